import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dacn.data.fit import Resize, fit_digits
from dacn.data.read.folder import folder
from dacn.data.read.image_file import ImageFile
from dacn.data.read.image_files import open_images
from dacn.data.read.npz import npz
from dacn.errors import DataError


def noise(path: Path, size: tuple[int, int], seed: int = 0, mode: str = "RGB", **options: Any) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def every_kind(path: Path) -> Path:
    """Images whose fitting has more to it than a resize."""
    noise(path / "a/grey.png", (40, 20), 0, "L")
    noise(path / "a/small.png", (9, 12), 1)
    noise(path / "a/palette.gif", (30, 30), 2, "P")
    noise(path / "b/large.jpg", (300, 200), 3)  # decoded at reduced size
    turned = Image.Exif()
    turned[0x0112] = 6
    noise(path / "b/turned.jpg", (50, 40), 4, exif=turned)
    noise(path / "b/see_through.png", (33, 21), 5, "RGBA")
    return path


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_files_are_fitted_as_training_fits_them(tmp_path: Path, fit: Resize) -> None:
    path = every_kind(tmp_path / "photos")
    chunks = list(open_images(path, 16, fit).chunks(4))
    expected = folder(path, 16, resize=fit)
    assert expected.fit == fit
    assert isinstance(expected.images, torch.Tensor)
    assert [name for chunk in chunks for name in chunk.names] == [
        str(path / name)
        for name in ("a/grey.png", "a/palette.gif", "a/small.png", "b/large.jpg", "b/see_through.png", "b/turned.jpg")
    ]
    assert torch.equal(torch.cat([chunk.images for chunk in chunks]), expected.images)
    assert [problem for chunk in chunks for problem in chunk.problems] == [None] * 6


def test_no_more_than_a_chunk_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(7):
        noise(tmp_path / f"{index}.png", (8, 8), index)
    read, lock, plain = [], threading.Lock(), ImageFile.read

    def counted(file: ImageFile) -> Any:
        with lock:
            read.append(file.path)
        return plain(file)

    monkeypatch.setattr(ImageFile, "read", counted)
    images = open_images(tmp_path, 8, "crop")
    chunks = images.chunks(3)
    assert [len(next(chunks).names), len(read)] == [3, 3]
    assert [len(next(chunks).names), len(read)] == [3, 6]
    assert [len(next(chunks).names), len(read), len(images)] == [1, 7, 7]


def test_hidden_files_and_other_files_are_passed_over(tmp_path: Path) -> None:
    noise(tmp_path / "x/deep/er/a.PNG", (8, 8))
    for name in (".b.png", ".cache/c.png", "__MACOSX/d.png", "notes.txt"):
        (tmp_path / "x" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "x" / name).write_bytes(b"no image")
    found = open_images(tmp_path, 8, "crop")
    assert found.names == [str(tmp_path / "x/deep/er/a.PNG")]
    assert {(part.cause, part.folder, part.count) for part in found.passed_over} == {
        ("hidden", "x", 1),
        ("hidden", "x/.cache", 1),
        ("cache", "x/__MACOSX", 1),
        ("unknown", "x", 1),
    }


def test_an_unreadable_file_is_a_problem_of_its_row(tmp_path: Path) -> None:
    noise(tmp_path / "a.png", (8, 8))
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    noise(tmp_path / "c.png", (8, 8))
    (chunk,) = open_images(tmp_path, 8, "crop").chunks(9)
    assert [problem is None for problem in chunk.problems] == [True, False, True]
    assert "\n" not in str(chunk.problems[1])
    assert not chunk.images[1].any()


def test_a_single_file(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.png", (8, 8))
    (chunk,) = open_images(path, 8, "crop").chunks(9)
    assert (chunk.names, len(chunk.images)) == ([str(path)], 1)
    nameless = path.rename(tmp_path / "9f86d081")
    (chunk,) = open_images(nameless, 8, "crop").chunks(9)
    assert (chunk.names, chunk.problems) == ([str(nameless)], [None])


@pytest.mark.parametrize("shape", [(5, 20, 30, 3), (5, 20, 30, 1), (5, 20, 30), (5, 16, 16, 3)])
def test_an_archive_is_fitted_as_training_fits_it(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    chunks = list(open_images(path, 16, "crop").chunks(3))
    expected = npz(path, 16).images
    assert isinstance(expected, torch.Tensor)
    assert torch.equal(torch.cat([chunk.images for chunk in chunks]), expected)
    assert chunks[1].names == [f"{path}[3]", f"{path}[4]"]


@pytest.mark.parametrize("side", [16, 28])
def test_digits_keep_their_margin(tmp_path: Path, side: int) -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, side, side), np.uint8)
    for index, pixels in enumerate(array):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    for size in (32, 28, 20):
        (chunk,) = open_images(tmp_path, size, "digits").chunks(9)
        assert torch.equal(chunk.images, fit_digits(array, size))


def test_a_digit_that_has_its_margin_already_is_taken_as_it_is(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.png", (32, 32))
    (digit,), (image,) = (open_images(path, 32, fit).chunks(1) for fit in ("digits", "crop"))  # type: ignore[arg-type]
    assert torch.equal(digit.images, image.images)


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/notes.txt").touch()
    with pytest.raises(DataError, match="photo: no such file or folder; did you mean 'photos'"):
        open_images(tmp_path / "photo", 8, "crop")
    with pytest.raises(DataError, match=r"(?s)photos: no images in this folder or below\n.*1 \.txt in the folder"):
        open_images(tmp_path / "photos", 8, "crop")
    with pytest.raises(
        DataError, match=r"notes\.txt: not an image, neither by its name nor by its content; expected a"
    ):
        open_images(tmp_path / "photos/notes.txt", 8, "crop")
    (tmp_path / "set.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"set\.npz: not a sound \.npz archive"):
        open_images(tmp_path / "set.npz", 8, "crop")
