import ast
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from dacn.data.domain import Domain
from dacn.data.known.catalogue import PAIRS, load_domain
from dacn.data.known.names import VARIANTS
from dacn.data.known.superclasses import CIFAR100_SUPERCLASSES as SUPERCLASSES
from dacn.data.known.variants import apply_variant
from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.errors import DataError


@pytest.mark.parametrize("name", ["mnist_usps", "usps_mnist", "mnist_svhn", "svhn_mnist"])
def test_named_pairs_read_their_four_parts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def spy(kind: str, root: Path, image_size: int, *, train: bool, download: bool, resize: str) -> Any:
        calls.append((kind, train))
        assert (root, image_size, download, resize) == (tmp_path, 16, True, "crop")
        return Domain(kind.lower(), torch.zeros(10, 3, 16, 16, dtype=torch.uint8), torch.arange(10))

    monkeypatch.setattr("dacn.data.known.catalogue.torchvision_set", spy)
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

    def spy(kind: str, root: Path, image_size: int, *, train: bool, download: bool, resize: str) -> Any:
        calls.append((kind, train))
        assert (root, image_size, download, resize) == (tmp_path, 16, True, "crop")
        return Domain(kind.lower(), torch.zeros(20, 3, 16, 16, dtype=torch.uint8), torch.arange(20) % 10)

    monkeypatch.setattr("dacn.data.known.catalogue.torchvision_set", spy)
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


def test_importing_the_catalogue_is_cheap() -> None:
    """The large packages are imported by the functions that need them."""
    package = Path(__file__).parents[3] / "dacn/data"
    for file in package.glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"torchvision", "sklearn", "scipy"}, file


def write_binary(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.md5(content).hexdigest()


def write_stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray[Any, Any]:
    """Write STL-10's format: bytes in the order (N, channel, column, row), labels from 1, names one a line."""
    images = np.random.default_rng(1).integers(0, 256, (20, 96, 96, 3), dtype=np.uint8)
    labels = (np.arange(20) % 10 + 1).astype(np.uint8)
    names = "airplane bird car cat deer dog horse monkey ship truck"
    folder = root / "stl10_binary"
    lists = {}
    for part in ("train", "test"):
        files = {"X": images.transpose(0, 3, 2, 1).tobytes(), "y": labels.tobytes()}
        lists[part] = [
            [f"{part}_{kind}.bin", write_binary(folder / f"{part}_{kind}.bin", content)]
            for kind, content in files.items()
        ]
    (folder / "class_names.txt").write_text("\n".join(names.split()) + "\n")
    monkeypatch.setattr(torchvision.datasets.STL10, "train_list", lists["train"])
    monkeypatch.setattr(torchvision.datasets.STL10, "test_list", lists["test"])
    return images


NINE_OF_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"


def name_classes(root: Path, names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = pickle.dumps({"label_names": names.split()})
    md5 = write_binary(root / "cifar-10-batches-py/meta", content)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "meta", {"filename": "meta", "key": "label_names", "md5": md5})


def test_stl10_from_files_of_its_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_stl10(tmp_path, monkeypatch)
    domain = load_domain("stl10", tmp_path, 96)
    assert np.array_equal(domain.images.numpy(), images.transpose(0, 3, 1, 2))
    assert domain.labels is not None
    assert domain.labels.tolist() == [*range(10), *range(10)]


def test_cifar10_and_stl10_meet_in_nine_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path, monkeypatch)
    name_classes(tmp_path, NINE_OF_CIFAR10, monkeypatch)
    images = write_stl10(tmp_path, monkeypatch)
    pair = build_pair(DataConfig(pair="stl10_cifar10", root=tmp_path, image_size=96))
    assert pair.classes == tuple(name for name in NINE_OF_CIFAR10.split() if name != "frog")
    assert pair.flips
    assert (len(pair.source), len(pair.target)) == (18, 27)
    assert pair.source.labels is not None
    car = pair.source.images[pair.source.labels == 1].numpy()
    assert np.array_equal(car, images[[2, 12]].transpose(0, 3, 1, 2))
    assert pair.target_test is not None
    assert pair.target_test.labels is not None
    assert sorted(pair.target_test.labels.tolist()) == list(range(9))
    back = build_pair(DataConfig(pair="cifar10_stl10", root=tmp_path))
    assert back.classes == pair.classes


def test_cifar100_fine_and_coarse_from_files_of_its_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(name for names in SUPERCLASSES.values() for name in names)
    images = np.random.default_rng(2).integers(0, 256, (100, 3072), dtype=np.uint8)
    content = pickle.dumps({"data": images, "fine_labels": [*range(100)], "coarse_labels": [0] * 100})
    folder, kind = tmp_path / "cifar-100-python", torchvision.datasets.CIFAR100
    monkeypatch.setattr(kind, "train_list", [["train", write_binary(folder / "train", content)]])
    monkeypatch.setattr(kind, "test_list", [["test", write_binary(folder / "test", content)]])
    meta = write_binary(folder / "meta", pickle.dumps({"fine_label_names": names}))
    monkeypatch.setattr(kind, "meta", {"filename": "meta", "key": "fine_label_names", "md5": meta})
    fine, above = (load_domain(name, tmp_path, 32) for name in ("cifar100", "cifar100_coarse"))
    assert fine.classes == tuple(names)
    assert np.array_equal(above.images.numpy(), images.reshape(100, 3, 32, 32))
    assert fine.labels is not None
    assert above.labels is not None
    assert above.classes is not None
    for low, high in zip(fine.labels.tolist(), above.labels.tolist(), strict=True):
        assert names[low] in SUPERCLASSES[above.classes[high]]
    assert above.labels.bincount().tolist() == [5] * 20


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_of_cifar10_is_its_own_images_made_over(
    variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar10(tmp_path, monkeypatch)
    pair = build_pair(DataConfig(pair=f"cifar10_{variant}", root=tmp_path))
    assert torch.equal(pair.target.images, apply_variant(pair.source.images, variant))
    assert pair.target.name == f"cifar10_{variant}"
    assert pair.target_test is not None
    assert pair.source_test is not None
    assert torch.equal(pair.target_test.images, apply_variant(pair.source_test.images, variant))
    assert pair.target_test.classes == pair.source.classes


def test_cifar10_as_class_folders_where_torchvisions_files_are_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("train", "test"):
        for shade, name in enumerate(("cat", "dog")):
            (tmp_path / "cifar10" / part / name).mkdir(parents=True)
            Image.new("RGB", (32, 32), (100 * shade, 0, 9)).save(tmp_path / "cifar10" / part / name / "0.png")
    pair = build_pair(DataConfig(pair="cifar10_inverted", root=tmp_path))
    assert pair.classes == ("cat", "dog")
    assert (len(pair.source), len(pair.target)) == (2, 2)
    assert torch.equal(pair.target.images, 255 - pair.source.images)
    images = write_cifar10(tmp_path, monkeypatch)  # the original is preferred where both lie
    assert np.array_equal(build_pair(DataConfig(pair="cifar10_grey", root=tmp_path)).source.images, images[:30])


def write_folders(root: Path, *folders: str) -> None:
    for index, name in enumerate(folders):
        for label, kind in enumerate(("dog", "house")):
            (root / name / kind).mkdir(parents=True)
            Image.new("RGB", (30, 20), (40 * index, 100 * label, 0)).save(root / name / kind / "pic.png")


@pytest.mark.parametrize("place", ["pacs", "PACS", "PACS/kfold"])
def test_pacs_from_its_folders(place: str, tmp_path: Path) -> None:
    write_folders(tmp_path / place, "photo", "art_painting", "cartoon", "sketch")
    pair = build_pair(DataConfig(pair="pacs_photo_art", root=tmp_path, image_size=16))
    assert (pair.name, pair.source.name, pair.target.name) == ("pacs_photo_art", "pacs_photo", "pacs_art")
    assert pair.source.images[:, :, 0, 0].tolist() == [[0, 0, 0], [0, 100, 0]]
    assert pair.target.images[:, :, 0, 0].tolist() == [[40, 0, 0], [40, 100, 0]]
    assert pair.target.labels is None
    assert pair.source_test is None
    assert pair.target_test is not None
    assert pair.target_test.labels is not None
    assert pair.target_test.images is pair.target.images, "read once, held once"
    assert pair.target_test.labels.tolist() == [0, 1]


@pytest.mark.parametrize("below", ["images", "."])
def test_office31_from_its_folders(below: str, tmp_path: Path) -> None:
    write_folders(tmp_path / "office31", *(f"{name}/{below}" for name in ("amazon", "dslr", "webcam")))
    for name in (name for name in PAIRS if name.startswith("office31")):
        pair = build_pair(DataConfig(pair=name, root=tmp_path, image_size=16))
        assert pair.classes == ("dog", "house")
        assert pair.flips


@pytest.mark.parametrize("name", ["mnist_m", "mnist_m_grey", "syn_digits", "svhn_crops", "cifar10_fog_3"])
def test_prepared_sets_are_archives(name: str, tmp_path: Path) -> None:
    parts = {"cifar10_fog_3": ("cifar10_c", "fog_3_"), "mnist_m_grey": ("mnist_m", "grey_")}
    of, prefix = parts.get(name, (name, ""))
    (tmp_path / of).mkdir()
    for label, part in enumerate(("train", "test")):
        images = np.full((2, 32, 32, 3), label, np.uint8)
        np.savez(tmp_path / of / f"{prefix}{part}.npz", images=images, labels=[label, 1], classes=["a", "b"])
    train, test = (load_domain(name, tmp_path, 32, train=train) for train in (True, False))
    assert (train.name, test.name, train.classes) == (name, name, ("a", "b"))
    assert (int(train.images.max()), int(test.images.max())) == (0, 1)


def test_an_mnist_m_of_another_version_is_not_taken_for_the_published_one(tmp_path: Path) -> None:
    folder = tmp_path / "mnist_m"
    folder.mkdir()
    np.savez(folder / "train.npz", images=np.zeros((2, 32, 32, 3), np.uint8), labels=[0, 1], classes=["a", "b"])
    load_domain("mnist_m", tmp_path, 32)  # by somebody else: no manifest
    settings = {"seed": 0, "limit": None, "photographs": "300 files"}
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({"made_by": "dacn 0.1.0", "settings": settings, "files": {}}))
    with pytest.raises(DataError, match=r"shades of grey; in the published .* --force; or keep it as .*mnist_m_grey"):
        load_domain("mnist_m", tmp_path, 32)
    manifest.write_text(json.dumps({"made_by": "dacn", "settings": settings | {"blend": "full"}, "files": {}}))
    load_domain("mnist_m", tmp_path, 32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"pair": "mnist_mnist_m"}, "no pair of this name; did you mean 'mnist_mnistm'"),
        ({"pair": "cifar10_fgo_3"}, "no pair of this name; did you mean 'cifar10_fog_3'"),
        ({"pair": "cifar10_fog_6"}, "did you mean 'cifar10_fog_"),
        ({"pair": "zzz"}, "`dacn list pairs` names all 182"),
        ({"dataset": "pacs_foto", "labels": 7}, "no data set of this name; did you mean 'pacs_photo'"),
    ],
)
def test_an_unknown_name(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig(**data)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist_m", r"MNIST-M \(train\): no file .*mnist_m.train.npz; make it with `dacn data prepare mnist_m --root"),
        ("mnist_m_grey", r"in grey \(train\): no file .*grey_train.npz; .*prepare mnist_m --blend grey --root"),
        (
            "cifar10_fog_3",
            r"no file .*cifar10_c.fog_3_train.npz; make it with `dacn data prepare cifar10_c --only fog_3",
        ),
        (
            "pacs_art",
            r"PACS art: no folder .*pacs.art_painting, .*; fetch the data set \(http.*prepare pacs --from FILE",
        ),
        (
            "office31_dslr",
            r"Office-31 dslr: no folder .*; fetch the data set .*`dacn data prepare office31 --from FILE",
        ),
        ("stl10", r"STL10 \(train\): no intact files in .*download=true"),
    ],
)
def test_absent_files_say_how_to_come_by_them(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load_domain(name, tmp_path, 32)


def test_a_named_domain_as_a_part_of_ones_own_pair(tmp_path: Path) -> None:
    """Every domain but one as sources: the usual way with PACS."""
    write_folders(tmp_path / "pacs", "photo", "art_painting", "cartoon", "sketch")
    sources = [{"named": f"pacs_{name}"} for name in ("photo", "art", "cartoon")]
    config = DataConfig(source=sources, target={"named": "pacs_sketch"}, root=tmp_path, image_size=16)
    pair = build_pair(config)
    assert pair.contexts == ("pacs_photo", "pacs_art", "pacs_cartoon", "target")
    assert (len(pair.source), len(pair.target), pair.classes) == (6, 2, ("dog", "house"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"named": "mnistm"}, "no domain is named 'mnistm'; did you mean 'mnist_m'"),
        ({"named": "pacs_photo", "train": False}, "pacs_photo has no test part: leave `train: false` out"),
        ({"named": "mnist", "trian": False}, "unknown key 'trian' beside 'named'; did you mean 'train'"),
    ],
)
def test_a_named_domain_that_is_not_there(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig(pair="mnist_usps", target=spec)
