import bz2
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from scipy.io import savemat

from dacn.data.read.torchvision_set import DIGITS, torchvision_set
from dacn.errors import DataError

SHARED = Path(__file__).parents[3] / "../shared/data"
LABELS = np.arange(12) % 10


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def write_mnist(root: Path, images: np.ndarray, part: str = "train") -> None:
    """Write the IDX format: big-endian sizes, then bytes."""
    raw = root / "MNIST/raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name in ("train", "t10k"):  # torchvision wants all four files
        own = images if name == part else images[:1]
        pixels = struct.pack(">IIII", 0x803, *own.shape) + own.tobytes()
        (raw / f"{name}-images-idx3-ubyte").write_bytes(pixels)
        labels = struct.pack(">II", 0x801, len(own)) + LABELS[: len(own)].astype(np.uint8).tobytes()
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(labels)


def write_usps(folder: Path, images: np.ndarray) -> None:
    """Write the libsvm format: label from 1, then `index:value` from -1 to 1."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{label + 1} " + " ".join(f"{i}:{value:.6f}" for i, value in enumerate(image.ravel() / 127.5 - 1, start=1))
        for label, image in zip(LABELS, images, strict=True)
    ]
    (folder / "usps.bz2").write_bytes(bz2.compress("\n".join(lines).encode()))


def write_svhn(folder: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the MATLAB format: X (H, W, 3, N), y (N, 1) where 10 stands for the digit 0."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "train_32x32.mat"
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": np.where(LABELS == 0, 10, LABELS)[:, None]})
    checksum = hashlib.md5(path.read_bytes()).hexdigest()
    splits = torchvision.datasets.SVHN.split_list
    monkeypatch.setitem(splits, "train", ["http://nowhere", path.name, checksum])


def test_mnist_is_padded(tmp_path: Path) -> None:
    images = noise(12, 28, 28)
    write_mnist(tmp_path, images)
    domain = torchvision_set("MNIST", tmp_path, 32)
    assert domain.name == "mnist"
    assert domain.classes == DIGITS
    assert torch.equal(domain.images, domain.images[:, :1].expand_as(domain.images))
    assert np.array_equal(domain.images[:, 0, 2:30, 2:30].numpy(), images)
    assert domain.labels is not None
    assert domain.labels.tolist() == LABELS.tolist()


def test_the_test_part(tmp_path: Path) -> None:
    write_mnist(tmp_path, noise(12, 28, 28), part="t10k")
    assert len(torchvision_set("MNIST", tmp_path, 32)) == 1
    assert len(torchvision_set("MNIST", tmp_path, 32, train=False)) == 12


@pytest.mark.parametrize("place", ["USPS", "."])
def test_usps_fills_28_pixels(tmp_path: Path, place: str) -> None:
    images = np.zeros((12, 16, 16), np.uint8)
    images[:, 8:] = 255  # lower half ink
    write_usps(tmp_path / place, images)
    domain = torchvision_set("USPS", tmp_path, 32)
    assert domain.classes == DIGITS
    assert domain.labels is not None
    assert domain.labels.tolist() == LABELS.tolist()
    assert (domain.images[:, :, 20:30, 2:30] >= 254).all()
    assert (domain.images[:, :, :12] <= 1).all()
    assert (domain.images[:, :, 30:] == 0).all()


def test_svhn_keeps_its_bytes_and_ten_is_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(12, 32, 32, 3)
    write_svhn(tmp_path / "SVHN", images, monkeypatch)
    domain = torchvision_set("SVHN", tmp_path, 32)
    assert domain.classes == DIGITS
    assert np.array_equal(domain.images.numpy(), images.transpose(0, 3, 1, 2))
    assert domain.labels is not None
    assert domain.labels.tolist() == LABELS.tolist()


def test_another_size(tmp_path: Path) -> None:
    write_mnist(tmp_path, noise(12, 28, 28))
    assert torchvision_set("MNIST", tmp_path, 48).images.shape == (12, 3, 48, 48)


class Unlabelled(torchvision.datasets.VisionDataset):
    def __init__(self, root: Any, split: str = "train", download: bool = False) -> None:
        if split not in ("train", "unlabeled"):
            raise ValueError(f"Unknown value '{split}' for argument split. Valid values are train, unlabeled.")
        self.data = noise(4, 3, 96, 96)
        self.labels = np.full(4, -1) if split == "unlabeled" else np.arange(4)


class Iterated(torchvision.datasets.VisionDataset):
    def __init__(self, root: Any) -> None:
        self.classes = ["cat", "dog"]

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return torchvision.transforms.functional.to_pil_image(torch.full((3, 20, 30), index / 2)), index


def test_the_split_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets, "STL10", Unlabelled)
    unlabelled = torchvision_set("STL10", Path(), 96, split="unlabeled")
    assert unlabelled.labels is None
    assert np.array_equal(unlabelled.images.numpy(), noise(4, 3, 96, 96))
    assert torchvision_set("STL10", Path(), 32).labels is not None
    with pytest.raises(DataError, match=r"STL10: Unknown value 'test' for argument split\. Valid values are"):
        torchvision_set("STL10", Path(), 32, train=False)


def test_a_set_without_arrays_is_read_item_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets, "EuroSAT", Iterated)
    domain = torchvision_set("EuroSAT", Path(), 16)
    assert domain.classes == ("cat", "dog")
    assert domain.images[:, 0, 0, 0].tolist() == [0, 127]
    with pytest.raises(DataError, match="Iterated has no test part: leave `train: false` out"):
        torchvision_set("EuroSAT", Path(), 16, train=False)


@pytest.mark.parametrize("name", ["MNIST", "USPS", "SVHN", "CIFAR10"])
def test_absent_files_say_where_and_how(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        torchvision_set(name, tmp_path / "data", 32)
    message = str(caught.value)
    assert f"{name} (train): no intact files in {tmp_path / 'data'}" in message
    assert "run `dacn train RECIPE --set data.download=true`" in message
    assert "data.root" in message
    assert not (tmp_path / "data").exists()


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: Any, **kwargs: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.usps.download_url", offline)
    with pytest.raises(DataError, match=r"the download into .*USPS failed \(no route to host\); put the files there"):
        torchvision_set("USPS", tmp_path, 32, download=True)


def test_a_download_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(url: str, root: Any, filename: str, md5: str) -> None:
        write_usps(Path(root), noise(12, 16, 16))

    monkeypatch.setattr("torchvision.datasets.usps.download_url", serve)
    assert len(torchvision_set("USPS", tmp_path, 32, download=True)) == 12
    assert (tmp_path / "USPS/usps.bz2").is_file()


def test_files_that_are_there_are_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("asked for a download")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", forbidden)
    write_mnist(tmp_path, noise(12, 28, 28))
    assert len(torchvision_set("MNIST", tmp_path, 32, download=True)) == 12


def test_damaged_files(tmp_path: Path) -> None:
    write_mnist(tmp_path, noise(12, 28, 28))
    path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"MNIST \(train\): files in .* are damaged .*remove them and download again"):
        torchvision_set("MNIST", tmp_path, 32)
    (tmp_path / "usps.bz2").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"USPS \(train\): files in .* are damaged"):
        torchvision_set("USPS", tmp_path, 32)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("UPSP", {}, r"torchvision.datasets has no class 'UPSP'; did you mean 'USPS'\?"),
        ("MNIST", {"split": "extra"}, "MNIST has no split 'extra': leave `split` out"),
        ("SVHN", {"split": "xtra"}, "SVHN: Unknown value 'xtra' for argument split. Valid values are"),
        ("EMNIST", {}, "EMNIST needs `split`: say which part"),
        ("CocoDetection", {}, r"CocoDetection needs annFile; wrap it: \{python: 'package.module:function'\}"),
        ("FakeData", {}, "FakeData reads no files; wrap it"),
    ],
)
def test_requests_that_do_not_fit(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        torchvision_set(name, tmp_path, 32, **options)


@pytest.mark.parametrize(("name", "count"), [("MNIST", 10000), ("USPS", 2007)])
def test_real_digits(name: str, count: int) -> None:
    if not SHARED.is_dir():
        pytest.skip("MNIST and USPS are not beside this checkout")
    domain = torchvision_set(name, SHARED, 32, train=False)
    assert len(domain) == count
    assert torch.equal(domain.images, domain.images[:, :1].expand_as(domain.images))
    assert domain.labels is not None
    assert len(torch.bincount(domain.labels)) == 10
