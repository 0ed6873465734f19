"""Each corruption against what its definition says, written out another way."""

import colorsys
import io

import numpy as np
import pytest
from PIL import Image

from dacn.data.corruption import blur, digital, noise, weather
from dacn.data.corruption.corrupt import SETTINGS, corrupt
from dacn.data.corruption.image import clouds, smear, zoom
from dacn.data.known.sets import CORRUPTIONS


def photo(seed: int = 0) -> np.ndarray:
    """Return a smooth image with an edge, uint8."""
    y, x = np.mgrid[0:32, 0:32] / 31
    image = np.stack([x, y, 0.5 + 0.4 * np.sin(6 * x + seed)], axis=-1)
    image[8:20, 10:24] = [0.9, 0.2, 0.1]
    return (image * 230 + 10).astype(np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def made(kind: str, level: int, seed: int = 0) -> np.ndarray:
    return corrupt(photo(), kind, level, rng(seed))


def test_the_table_is_the_catalogues() -> None:
    assert tuple(SETTINGS) == CORRUPTIONS
    assert all(len(settings) == 5 for _, settings in SETTINGS.values())


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_corruption_is_bytes_of_the_same_shape_and_repeats(kind: str) -> None:
    for level in range(1, 6):
        image = made(kind, level)
        assert (image.dtype, image.shape) == (np.uint8, (32, 32, 3))
        assert np.array_equal(image, made(kind, level))
        assert not np.array_equal(image, photo())


@pytest.mark.parametrize("kind", [kind for kind in SETTINGS if kind != "elastic_transform"])
def test_the_fifth_severity_is_further_from_the_image_than_the_first(kind: str) -> None:
    """By correlation, which a mere change of brightness or contrast leaves alone, or by the pixels' distance."""

    def lost(level: int) -> tuple[float, float]:
        images = np.array([made(kind, level, seed).astype(float) for seed in range(8)])
        clean = photo().astype(float)
        likeness = np.mean([np.corrcoef(image.ravel(), clean.ravel())[0, 1] for image in images])
        return 1 - float(likeness), float(np.abs(images - clean).mean())

    (unlike1, far1), (unlike5, far5) = lost(1), lost(5)
    assert unlike5 > unlike1
    assert far5 > far1 or kind == "frost"  # whose published settings darken the image as the ice grows


def test_gaussian_noise_has_its_scale() -> None:
    grey = np.full((200, 200, 3), 0.5)
    added = noise.gaussian_noise(grey, rng(), 0.08) - grey
    assert added.std() == pytest.approx(0.08, rel=0.02)
    assert added.mean() == pytest.approx(0, abs=0.001)


def test_shot_noise_has_the_variance_of_counting() -> None:
    for level in (0.2, 0.9):
        counted = noise.shot_noise(np.full((200, 200, 3), level), rng(), 50)
        assert counted.mean() == pytest.approx(level, rel=0.01)
        assert counted.var() == pytest.approx(level / 50, rel=0.03)


def test_impulse_noise_hits_its_share_half_black_half_white() -> None:
    image = noise.impulse_noise(np.full((200, 200, 3), 0.5), rng(), 0.07)
    assert (image == 0).mean() == pytest.approx(0.035, rel=0.1)
    assert (image == 1).mean() == pytest.approx(0.035, rel=0.1)
    assert ((image == 0) | (image == 1) | (image == 0.5)).all()


def test_defocus_spreads_a_point_over_a_disk() -> None:
    point = np.zeros((15, 15, 3))
    point[7, 7] = 1
    spread = blur.defocus_blur(point, rng(), 1.5, 0.1)[..., 0]
    assert spread.sum() == pytest.approx(1)
    inside = {(y, x) for y in range(15) for x in range(15) if (y - 7) ** 2 + (x - 7) ** 2 <= 1.5**2}
    assert {(int(y), int(x)) for y, x in np.argwhere(spread > 0.01)} == inside
    assert spread[7, 7] == pytest.approx(1 / len(inside), rel=0.01)


def test_glass_takes_every_pixel_from_near_it() -> None:
    numbered = np.arange(32 * 32, dtype=float).reshape(32, 32, 1).repeat(3, axis=2)
    scattered = blur.glass_blur(numbered, rng(), 0.05, 1, 1)[..., 0].round().astype(int)
    moved = set()
    for y in range(32):
        for x in range(32):
            from_y, from_x = divmod(int(scattered[y, x]), 32)
            moved.add((y - from_y, x - from_x))
            if y < 2 or x < 2:
                assert (from_y, from_x) == (y, x)
    assert moved == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_smear_is_a_weighted_mean_along_the_line() -> None:
    image = rng().random((9, 9))
    smeared = smear(image, 2, 1.0, 0)
    weights = np.exp(-(np.arange(5) ** 2) / 2)
    for x in range(9):
        seen = [image[4, min(x + step, 8)] for step in range(5)]
        assert smeared[4, x] == pytest.approx(np.dot(weights, seen) / weights.sum())
    down = smear(image.T, 2, 1.0, 90)
    assert np.allclose(down, smeared.T)


def test_motion_keeps_a_flat_image_and_blurs_an_edge() -> None:
    flat = np.full((32, 32, 3), 0.3)
    assert np.allclose(blur.motion_blur(flat, rng(), 9, 2.5), flat)
    edge = np.zeros((32, 32, 3))
    edge[:, 16:] = 1
    assert len(np.unique(blur.motion_blur(edge, rng(), 9, 2.5).round(3))) > 5


def test_zoom_enlarges_about_the_centre() -> None:
    ramp = np.arange(31.0)[None, :, None].repeat(31, 0)
    enlarged = zoom(ramp, 2)
    assert np.allclose(enlarged[5, :, 0], 15 + (np.arange(31) - 15) / 2)
    assert np.allclose(zoom(ramp, 1), ramp)
    assert np.allclose(zoom(ramp[..., 0], 2), enlarged[..., 0])


def test_zoom_blur_averages_the_enlargements() -> None:
    image = photo() / 255
    expected = (image + zoom(image, 1.0) + zoom(image, 1.01) + zoom(image, 1.02)) / 4
    assert np.allclose(blur.zoom_blur(image, rng(), 1.025), expected)


def test_clouds_fill_the_range_and_smooth_with_decay() -> None:
    rough, smooth = (clouds(32, decay, rng()) for decay in (1.2, 3))
    for field in (rough, smooth):
        assert (field.shape, field.min(), field.max()) == ((32, 32), 0, 1)
    assert np.abs(np.diff(rough)).mean() > 3 * np.abs(np.diff(smooth)).mean()
    assert clouds(20, 2, rng()).shape == (20, 20)


def test_fog_thins_what_differs_and_keeps_the_brightest_level() -> None:
    image = photo() / 255
    other = image[:, ::-1]
    foggy, other_foggy = (weather.fog(x, rng(), 1.5, 1.75) for x in (image, other))
    assert foggy.max() <= image.max() + 1e-9
    assert np.allclose(foggy - other_foggy, (image - other) * image.max() / (image.max() + 1.5))


def test_brightness_raises_v_of_hsv_alone() -> None:
    image = photo() / 255
    brighter = weather.brightness(image, rng(), 0.1)
    for old, new in zip(image[::5, ::5].reshape(-1, 3), brighter[::5, ::5].reshape(-1, 3), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*old)
        assert new == pytest.approx(colorsys.hsv_to_rgb(h, s, min(v + 0.1, 1)))
    assert np.allclose(weather.brightness(np.zeros((4, 4, 3)), rng(), 0.3), 0.3)


def test_snow_and_frost_only_whiten_a_black_image() -> None:
    black = np.zeros((32, 32, 3))
    flakes = weather.snow(black, rng(), 0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)
    assert flakes.min() >= 0.1 - 1e-9  # a fifth of the pale layer, which is 0.5
    assert flakes.max() > 0.3
    assert np.allclose(flakes, np.rot90(flakes, 2))
    ice = weather.frost(black, rng(), 0.75, 0.45)
    assert ice.min() >= 0
    assert ice.max() <= 0.45
    assert (ice[..., 2] >= ice[..., 0]).all()


def test_contrast_shrinks_about_the_mean_of_a_channel() -> None:
    image = photo() / 255
    flatter = digital.contrast(image, rng(), 0.15)
    for channel in range(3):
        before, after = image[..., channel], flatter[..., channel]
        assert after.mean() == pytest.approx(before.mean())
        assert after.std() == pytest.approx(0.15 * before.std())


def test_elastic_with_nothing_to_pull_is_the_image() -> None:
    image = photo() / 255
    assert np.allclose(digital.elastic_transform(image, rng(), 0, 0, 0), image)


def test_elastic_moves_pixels_no_further_than_told() -> None:
    ramp = np.arange(32.0)[None, :, None].repeat(32, 0).repeat(3, 2)
    pulled = digital.elastic_transform(ramp, rng(), 0.1, 0.03, 0)
    moved = np.abs(pulled - ramp)[4:-4, 4:-4]
    assert 0.3 < moved.max() <= 3.2
    assert moved[..., 0].std() > 0


def test_pixelate_and_jpeg_are_pillows() -> None:
    image = Image.fromarray(photo())
    small = image.resize((20, 20), Image.Resampling.BOX).resize((32, 32), Image.Resampling.BOX)
    assert np.array_equal(made("pixelate", 5), np.asarray(small))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    assert np.array_equal(made("jpeg_compression", 5), np.asarray(Image.open(file)))
