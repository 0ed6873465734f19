import ast
import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from dacn.data.catalogue import DATASETS, PAIRS
from dacn.data.domain import Domain
from dacn.data.pairs import DataConfig, build_pair
from dacn.errors import DataError


@pytest.mark.parametrize("name", ["mnist_usps", "usps_mnist", "mnist_svhn", "svhn_mnist"])
def test_named_pairs_read_their_four_parts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def spy(kind: str, root: Path, image_size: int, *, train: bool, download: bool) -> Any:
        calls.append((kind, train))
        assert (root, image_size, download) == (tmp_path, 16, True)
        return Domain(kind.lower(), torch.zeros(10, 3, 16, 16, dtype=torch.uint8), torch.arange(10))

    monkeypatch.setattr("dacn.data.catalogue.torchvision_set", spy)
    pair = build_pair(DataConfig(pair=name, root=tmp_path, download=True, image_size=16))
    source, target = name.upper().split("_")
    assert calls == [(source, True), (target, True), (source, False), (target, False)]
    assert pair.name == name
    assert pair.target.labels is None


@pytest.mark.parametrize(
    ("name", "kind", "flips"),
    [
        ("mnist", "MNIST", False),
        ("usps", "USPS", False),
        ("svhn", "SVHN", False),
        ("cifar10", "CIFAR10", True),
        ("cifar100", "CIFAR100", True),
    ],
)
def test_named_sets_read_their_two_parts(
    name: str, kind: str, flips: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def spy(kind: str, root: Path, image_size: int, *, train: bool, download: bool) -> Any:
        calls.append((kind, train))
        assert (root, image_size, download) == (tmp_path, 16, True)
        return Domain(kind.lower(), torch.zeros(20, 3, 16, 16, dtype=torch.uint8), torch.arange(20) % 10)

    monkeypatch.setattr("dacn.data.catalogue.torchvision_set", spy)
    pair = build_pair(DataConfig(dataset=name, labels=10, root=tmp_path, download=True, image_size=16))
    assert calls == [(kind, True), (kind, False)]
    assert (pair.name, pair.contexts, pair.flips) == (name, (name,), flips)
    assert (len(pair.source), len(pair.target)) == (10, 20)
    assert pair.target_test is not None
    assert pair.source_test is None


def write_cifar10(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray[Any, Any]:
    """Write CIFAR-10's format, three images of each class to train on and one to test: pickled rows of 3 x 32 x 32."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (40, 3072), dtype=np.uint8)
    files = {
        "train": {"data": images[:30], "labels": [index % 10 for index in range(30)]},
        "test": {"data": images[30:], "labels": list(range(10))},
        "meta": {"label_names": list("abcdefghij")},
    }
    sums = {}
    for name, content in files.items():
        (folder / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    kind = torchvision.datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(kind, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(kind, "meta", {"filename": "meta", "key": "label_names", "md5": sums["meta"]})
    return images.reshape(40, 3, 32, 32)


def test_cifar10_from_files_of_its_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_cifar10(tmp_path, monkeypatch)
    pair = build_pair(DataConfig(dataset="cifar10", labels=20, root=tmp_path))
    assert pair.classes == tuple("abcdefghij")
    assert np.array_equal(pair.target.images.numpy(), images[:30])
    assert pair.target.labels is None
    assert pair.source.labels is not None
    assert pair.source.labels.bincount().tolist() == [2] * 10
    for image, label in zip(pair.source.images.numpy(), pair.source.labels.tolist(), strict=True):
        assert any(np.array_equal(image, images[row]) for row in range(label, 30, 10))
    assert pair.target_test is not None
    assert np.array_equal(pair.target_test.images.numpy(), images[30:])


def test_a_test_set_of_ones_own_needs_no_files_of_the_named_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar10(tmp_path, monkeypatch)
    np.savez(tmp_path / "own.npz", images=np.zeros((1, 32, 32, 3), np.uint8), labels=[0], classes=["c"])
    (tmp_path / "cifar-10-batches-py/test").unlink()
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", [])
    config = {"dataset": "cifar10", "labels": 20, "root": tmp_path}
    pair = build_pair(DataConfig(**config, target_test={"npz": tmp_path / "own.npz"}))
    assert pair.target_test is not None
    assert pair.target_test.labels is not None
    assert pair.target_test.labels.tolist() == [2]


def test_absent_files_of_a_named_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"CIFAR10 \(train\): no intact files in .*download=true"):
        build_pair(DataConfig(dataset="cifar10", labels=20, root=tmp_path))


def test_every_pair_says_what_it_is() -> None:
    assert list(PAIRS) == ["digits", "mnist_usps", "usps_mnist", "mnist_svhn", "svhn_mnist"]
    assert all(parts.__doc__ for parts in PAIRS.values())
    assert list(DATASETS) == ["mnist", "usps", "svhn", "cifar10", "cifar100"]


def test_importing_the_catalogue_is_cheap() -> None:
    """The large packages are imported by the functions that need them."""
    package = Path(__file__).parents[2] / "dacn/data"
    for file in package.glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"torchvision", "sklearn", "scipy"}, file
