"""One range for all domains of a run: stated, or found and told."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dacn.cli import main
from dacn.data.domain import Domain, DomainPair
from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.data.read.folder import folder
from dacn.data.read.npz import npz
from dacn.data.read.python_set import read_dataset
from dacn.data.values import ValueRange
from dacn.errors import DataError
from tests.deep_images import RAMP, write_png, write_tiff


def row(domain: Domain) -> list[int]:
    """Return three shades of the first image's ramp."""
    first = domain.images[:1]
    return [int(first[0, 0, 0, column]) for column in (0, 8, 15)]


def classes(path: Path, *, scale: int = 1, kind: str = "png") -> Path:
    for name in ("a", "b"):
        (path / name).mkdir(parents=True)
        for index in range(4):
            values = np.roll(RAMP, index, axis=0) * scale
            (write_png if kind == "png" else write_tiff)(path / name / f"{index}.{kind}", values)
    return path


def test_12_bits_in_16_are_a_ramp_and_told(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", RAMP)
    domain = folder(tmp_path, 16)
    assert row(domain) == [0, 136, 254]
    assert domain.value_range == ValueRange(0, 4095, stated=False)
    (note,) = domain.notes
    assert "1 image has 16-bit values from 0 to 4080, read as 0 to 4095 (found over all images of the run" in note


def test_8_bits_in_16_are_a_ramp(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.tile(np.arange(0, 256, 17), (16, 1)))
    assert row(folder(tmp_path, 16)) == [0, 136, 255]


@pytest.mark.parametrize(("highest", "white"), [(255, 255), (256, 1023), (4096, 16383), (16384, 65535), (65535, 65535)])
def test_the_least_step_that_holds_every_value(highest: int, white: int, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.full((16, 16), 7))
    write_png(tmp_path / "b.png", np.full((16, 16), highest))
    domain = folder(tmp_path, 16)
    assert domain.value_range == ValueRange(0, white, stated=False)
    assert domain.images[:].float().amax(dim=(1, 2, 3)).tolist() == [
        round(7 * 255 / white),
        round(highest * 255 / white),
    ]


def test_a_range_that_is_stated(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", RAMP)
    domain = folder(tmp_path, 16, range=(1000, 2000))
    expected = np.clip((RAMP[0] - 1000.0) * 255 / 1000, 0, 255).round()
    assert domain.images[:][0, 0, 0].tolist() == expected.tolist()
    assert "read as 1000 to 2000 (as stated); 1 of them go beyond it and are clipped, for example" in domain.notes[0]
    dark = folder(tmp_path, 16, range=(0, 65535))
    shade = "1 of them use less than an eighth of it and look nearly of one shade, for example"
    assert f"{shade} {tmp_path / 'a.png'}" in dark.notes[0]
    write_png(tmp_path / "b.png", RAMP * 16)
    mixed = folder(tmp_path, 16)
    assert "2 images have 16-bit values from 0 to 65280, read as 0 to 65535" in mixed.notes[0]
    assert f"{shade} {tmp_path / 'a.png'}" in mixed.notes[0]
    (tmp_path / "b.png").unlink()
    with pytest.raises(DataError, match=r"range: got .*\[low, high\] with low below high"):
        folder(tmp_path, 16, range=(5, 5))


def test_32_bits_are_refused_by_name(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", RAMP)
    write_tiff(tmp_path / "b.tif", RAMP.astype("<i4"))
    write_tiff(tmp_path / "c.tif", RAMP.astype("<f4"))
    with pytest.raises(DataError, match="2 images cannot be read") as caught:
        folder(tmp_path, 16)
    for name, kind in (("b.tif", "32-bit integer"), ("c.tif", "32-bit float")):
        assert f"{tmp_path / name}: {kind} values from 0 to 4080, whose range nobody knows" in str(caught.value)
    images = folder(tmp_path, 16, range=(0, 4095)).images
    assert torch.equal(images[:1], images[1:2])
    assert torch.equal(images[:1], images[2:])


@pytest.mark.parametrize("resident_mb", [1024, 0], ids=["in memory", "decoded while training"])
def test_all_parts_of_a_pair_are_read_alike(resident_mb: int, tmp_path: Path) -> None:
    parts = {"source": classes(tmp_path / "dim"), "target": classes(tmp_path / "bright", scale=4, kind="tif")}
    Image.new("L", (16, 16), 200).save(parts["target"] / "a" / "eight.png")
    specs = {key: {"folder": path} for key, path in parts.items()}
    pair = build_pair(DataConfig(**specs, target_test=specs["source"], image_size=16, resident_mb=resident_mb))
    assert pair.value_range == ValueRange(0, 16383, stated=False)
    assert row(pair.source) == row(pair.domains["target_test"]) == [0, 34, 64]
    assert row(pair.target) == [0, 135, 254]
    assert (pair.target.images[4:5] == 200).all()  # a byte is a byte
    assert [note.partition(":")[0] for note in pair.notes] == ["dim", "bright"]


def test_domains_that_were_read_apart_do_not_make_a_pair(tmp_path: Path) -> None:
    dim, bright = classes(tmp_path / "dim"), classes(tmp_path / "bright", scale=4)
    with pytest.raises(DataError, match=r"source as 0 to 4095, target as 0 to 16383\); .* range=\(0, 16383\)"):
        DomainPair(source=folder(dim, 16), target=folder(bright, 16))
    source, target = (folder(path, 16, range=(0, 16383)) for path in (dim, bright))
    pair = DomainPair(source=source, target=target)
    assert pair.value_range == ValueRange(0, 16383)


def test_arrays_of_16_bits(tmp_path: Path) -> None:
    grey, colour = np.stack([RAMP, RAMP // 2]), np.stack([np.stack([RAMP] * 3, axis=-1)] * 2)
    for images in (grey, grey[..., None], colour):
        np.savez(tmp_path / "set.npz", images=images, labels=[0, 1])
        domain = npz(tmp_path / "set.npz", 16)
        assert row(domain) == [0, 136, 254]
        assert isinstance(domain.images, torch.Tensor)
        assert domain.value_range == ValueRange(0, 4095, stated=False)
    assert npz(tmp_path / "set.npz", 16, range=(0, 65535)).images[:].max() == 16
    for dtype in (np.float32, np.int32, np.bool_):
        np.savez(tmp_path / "set.npz", images=grey.astype(dtype))
        with pytest.raises(
            DataError, match=r"must be uint8 from 0 to 255, or uint16, got .*convert them before saving"
        ):
            npz(tmp_path / "set.npz", 16)


def test_images_of_a_python_data_set_need_it_stated() -> None:
    items = [(Image.fromarray(RAMP), 0), (Image.new("L", (16, 16)), 1)]
    with pytest.raises(DataError, match="items, item 0: 16-bit values from 0 to 4080, whose range nobody knows"):
        read_dataset("items", type("Items", (list,), {})(items), 16)
    domain = read_dataset("items", type("Items", (list,), {})(items), 16, value_range=ValueRange(0, 4095))
    assert row(domain) == [0, 136, 254]


def test_a_recipe_states_it_and_data_check_tells_it(tmp_path: Path) -> None:
    classes(tmp_path / "s"), classes(tmp_path / "t", scale=4)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"data: {{source: {{folder: {tmp_path}/s}}, target: {{folder: {tmp_path}/t}}, image_size: 16}}\n")
    result = CliRunner().invoke(main, ["data", "check", str(recipe)])
    told = " ".join(result.output.split())
    assert "s: 8 images have 16-bit values from 0 to 4080, read as 0 to 16383 (found over all images" in told
    assert "t: 8 images have 16-bit values from 0 to 16320, read as 0 to 16383" in told
    for value, message in (("[4095, 0]", "low below high"), ("aut", "data.range"), ("[0]", "data.range")):
        result = CliRunner().invoke(main, ["data", "check", str(recipe), "--set", f"data.range={value}"])
        assert result.exit_code == 2
        assert message in result.stderr
