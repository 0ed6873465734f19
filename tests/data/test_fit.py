from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dacn.data.fit import fit_digits, fit_image, fit_images
from dacn.data.values import ValueRange


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_fitting_size_keeps_every_byte() -> None:
    images = noise(2, 16, 16, 3)
    assert np.array_equal(fit_images(images, 16).numpy(), images.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("shape", [(2, 16, 16), (2, 16, 16, 1)])
def test_grey_is_repeated(shape: tuple[int, ...]) -> None:
    images = noise(*shape)
    fitted = fit_images(images, 16)
    for channel in range(3):
        assert np.array_equal(fitted[:, channel].numpy(), images.reshape(2, 16, 16))


def test_the_centre_square_is_kept() -> None:
    image = np.zeros((1, 20, 60, 3), np.uint8)
    image[:, :, 20:40] = 200  # the centre square; all else is cut off
    assert (fit_images(image, 20) == 200).all()
    assert (fit_images(image.transpose(0, 2, 1, 3), 20) == 200).all()


def test_reduction_averages() -> None:
    checkers = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[None]
    assert (fit_images(checkers, 16).float() - 127.5).abs().max() < 6  # a nearest pixel would give 0 or 255


def test_one_image_and_a_stack_agree() -> None:
    images = noise(1, 30, 40, 3)
    alone = fit_image(Image.fromarray(images[0]), 16)
    assert np.array_equal(fit_images(images, 16)[0].permute(1, 2, 0).numpy(), alone)


def test_mnist_is_padded_not_stretched() -> None:
    images = noise(3, 28, 28)
    fitted = fit_digits(images, 32)
    assert np.array_equal(fitted[:, 0, 2:30, 2:30].numpy(), images)
    fitted[:, :, 2:30, 2:30] = 0
    assert (fitted == 0).all()


def test_smaller_digits_fill_28_pixels() -> None:
    fitted = fit_digits(np.full((1, 16, 16), 255, np.uint8), 32)
    assert torch.equal(
        fitted, torch.nn.functional.pad(torch.full((1, 3, 28, 28), 255, dtype=torch.uint8), (2, 2, 2, 2))
    )


def test_digits_of_another_size_are_the_same_picture() -> None:
    assert fit_digits(noise(1, 28, 28), 64).shape == (1, 3, 64, 64)


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert (fit_image(clear, 16) == 255).all()


def test_palette_with_a_transparent_entry() -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    assert fit_image(image, 16)[0, 0].tolist() == [10, 20, 30]
    image.info["transparency"] = 0
    assert fit_image(image, 16)[0, 0].tolist() == [255, 255, 255]


def test_sixteen_bit_grey_is_read_by_its_range() -> None:
    image = Image.fromarray(np.full((16, 16), 0x0812, np.uint16))
    assert (fit_image(image, 16, value_range=ValueRange(0, 0xFFF)) == round(0x812 * 255 / 0xFFF)).all()
    with pytest.raises(ValueError, match="16-bit values from 2066 to 2066, whose range nobody knows"):
        fit_image(image, 16)


def test_float_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="32-bit float values from 0 to 0, whose range nobody knows"):
        fit_image(Image.fromarray(np.zeros((16, 16), np.float32)), 16)


@pytest.mark.parametrize("transposed", [False, True])
def test_what_becomes_of_an_oblong_image(transposed: bool) -> None:
    image = np.full((1, 20, 60, 3), 200, np.uint8)
    image[:, :, :20] = 0  # its left third
    if transposed:
        image = image.transpose(0, 2, 1, 3)

    def along(resize: Any) -> Any:
        fitted = fit_images(image, 60, resize)[0, 0].float()
        return fitted.T if transposed else fitted  # the image's longer side runs along the second axis

    def level(part: Any) -> set[int]:
        return {round(value / 40) * 40 for value in part.flatten().tolist()}  # bicubic overshoots beside an edge

    assert level(along("crop")[:, 3:]) == {200}
    padded = along("pad")
    assert level(padded[:19]) == level(padded[41:]) == level(padded[21:39, :17]) == {0}
    assert level(padded[21:39, 23:]) == {200}
    stretched = along("stretch")
    assert level(stretched[:, :17]) == {0}
    assert level(stretched[:, 23:]) == {200}


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_squares_are_alike_whatever_becomes_of_others(resize: Any) -> None:
    images = noise(1, 40, 40, 3)
    assert torch.equal(fit_images(images, 16, resize), fit_images(images, 16))
    assert np.array_equal(fit_image(Image.fromarray(images[0]), 16, resize), fit_image(Image.fromarray(images[0]), 16))
