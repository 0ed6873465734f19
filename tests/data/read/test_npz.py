from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dacn.data.read.npz import npz
from dacn.errors import DataError

SVHN = Path(__file__).parents[3] / "../shared/data/svhn_554.npz"
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


def save(tmp_path: Path, **arrays: Any) -> Path:
    np.savez(tmp_path / "set.npz", **arrays)
    return tmp_path / "set.npz"


def test_images_labels_and_classes(tmp_path: Path) -> None:
    path = save(tmp_path, images=IMAGES, labels=np.array([1, 0, 1], np.uint8), classes=["cat", "dog"], extra=[1.0])
    domain = npz(path, 16)
    assert domain.name == "set"
    assert np.array_equal(domain.images.numpy(), IMAGES.transpose(0, 3, 1, 2))
    assert domain.labels is not None
    assert domain.labels.tolist() == [1, 0, 1]
    assert domain.classes == ("cat", "dog")


def test_images_that_belong_together(tmp_path: Path) -> None:
    path = save(tmp_path, images=IMAGES, labels=[0, 1, 0], photo=np.array([7, 7, 2], np.uint16), wide=IMAGES[:, 0, 0])
    domain = npz(path, 16, group="photo")
    assert domain.group is not None
    assert domain.group.tolist() == [7, 7, 2]
    assert domain.rows(torch.tensor([2, 0])).group.tolist() == [2, 7]  # type: ignore[union-attr]
    with pytest.raises(
        DataError, match=r"set\.npz: has no array 'photos' to group its images by; did you mean 'photo'\?"
    ):
        npz(path, 16, group="photos")
    with pytest.raises(
        DataError, match=r"'wide' must be one integer an image to group them by, \(3,\), got uint8 \(3, 3\)"
    ):
        npz(path, 16, group="wide")


def test_images_alone_are_unlabelled(tmp_path: Path) -> None:
    domain = npz(save(tmp_path, images=IMAGES), 16)
    assert domain.labels is None
    assert domain.classes is None


def test_grey_images_and_another_size(tmp_path: Path) -> None:
    domain = npz(save(tmp_path, images=IMAGES[..., 0]), 24)
    assert domain.images.shape == (3, 3, 24, 24)
    assert torch.equal(domain.images, domain.images[:, :1].expand_as(domain.images))


def test_real_house_numbers() -> None:
    if not SVHN.is_file():
        pytest.skip("the house numbers are not beside this checkout")
    domain = npz(SVHN, 32)
    assert len(domain) == 554
    assert domain.labels is not None
    assert set(domain.labels.tolist()) == set(range(10))


class Hostile:
    """Unpickling this would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("key", ["images", "labels"])
def test_pickled_objects_are_never_loaded(tmp_path: Path, key: str) -> None:
    witness = tmp_path / "witness"
    hostile = np.array([Hostile(witness)] * 3, dtype=object)
    with pytest.raises(DataError, match=r"set\.npz: pickled objects are refused, save plain arrays"):
        npz(save(tmp_path, **({"images": IMAGES} | {key: hostile})), 16)
    assert not witness.exists()


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.save(path.with_suffix(".npy"), np.array([Hostile(tmp_path / "witness")], dtype=object))
    path.write_bytes(path.with_suffix(".npy").read_bytes())
    with pytest.raises(DataError, match=r"set\.npz: not a sound \.npz archive"):
        npz(path, 16)
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"imagess": IMAGES}, r"has no array 'images', only imagess; expected np\.savez"),
        ({"images": IMAGES / 255}, r"'images' must be uint8 from 0 to 255, or uint16, got float64 \(3, 16, 16, 3\)"),
        ({"images": IMAGES.transpose(0, 3, 1, 2)}, r"channels first.*save images\.transpose\(0, 2, 3, 1\)"),
        ({"images": IMAGES[0, 0]}, r"'images' must be \(N, H, W, 3\).*got uint8 \(16, 3\)"),
        ({"images": IMAGES[:0]}, r"not empty, got uint8 \(0, 16, 16, 3\)"),
        ({"images": IMAGES, "labels": [0, 1]}, r"3 images, but 'labels' has shape \(2,\); expected \(3,\)"),
        ({"images": IMAGES, "labels": [0.0, 1.0, 2.0]}, "'labels' must be integers from 0, got float64"),
        ({"images": IMAGES, "labels": [0, -1, 2]}, "'labels' must be integers from 0, got -1"),
        ({"images": IMAGES, "labels": [0, 1, 2], "classes": ["a", "b"]}, "a label is 2, but 'classes' names only 2"),
        ({"images": IMAGES, "labels": [0, 1, 1], "classes": ["a", "a"]}, "'classes' must be different strings"),
        ({"images": IMAGES, "labels": [0, 1, 1], "classes": [0, 1]}, r"'classes' must be different strings, got int64"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        npz(save(tmp_path, **arrays), 16)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut short"])
def test_a_damaged_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"set\.npz: not a sound \.npz archive"):
        npz(tmp_path / "set.npz", 16)


def test_a_cut_archive(tmp_path: Path) -> None:
    path = save(tmp_path, images=IMAGES)
    content = path.read_bytes()
    path.write_bytes(content[:400] + bytes(100) + content[500:])  # fails the archive's own checksum
    with pytest.raises(DataError, match=r"set\.npz: not a sound \.npz"):
        npz(path, 16)


def test_a_bare_array(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", IMAGES)
    with pytest.raises(DataError, match=r"not a sound \.npz archive; expected np\.savez"):
        npz(tmp_path / "set.npy", 16)


def test_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    save(tmp_path, images=IMAGES)
    with pytest.raises(DataError, match=r"sets\.npz: no such file; did you mean 'set\.npz'\?"):
        npz(tmp_path / "sets.npz", 16)
    with pytest.raises(DataError, match=r"is a folder, not an \.npz file"):
        npz(tmp_path, 16)
