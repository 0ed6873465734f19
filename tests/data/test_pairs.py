import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from dacn.data.domain import Domain
from dacn.data.pairs import PAIRS, DataConfig, build_pair
from dacn.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data"
KNOWN = "digits, mnist_usps, usps_mnist, mnist_svhn, svhn_mnist"


def save_npz(path: Path, count: int = 10, **arrays: Any) -> dict[str, Any]:
    images = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    np.savez(path, **({"images": images, "labels": np.arange(count)} | arrays))
    return {"npz": path}


def save_folder(path: Path, *names: str) -> dict[str, Any]:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(path / name)
    return {"folder": path}


def messages(**values: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        DataConfig(**values)
    return [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in caught.value.errors()]


def test_a_pair_of_ones_own(tmp_path: Path) -> None:
    pair = build_pair(
        DataConfig(
            source=save_folder(tmp_path / "photos", "cat/a.png", "dog/b.png"),
            target=save_folder(tmp_path / "sketches", "c.png"),
            target_test=save_folder(tmp_path / "sketches_test", "dog/d.png"),
            image_size=24,
        )
    )
    assert pair.name == "photos_sketches"
    assert pair.classes == ("cat", "dog")
    assert pair.source.images.shape == (2, 3, 24, 24)
    assert pair.target.labels is None
    assert pair.source_test is None
    assert pair.target_test is not None
    assert pair.target_test.labels is not None
    assert pair.target_test.labels.tolist() == [1]
    assert pair.flips is False


def test_labels_of_the_target_are_dropped(tmp_path: Path) -> None:
    spec = save_folder(tmp_path, "cat/a.png", "dog/b.png")
    pair = build_pair(DataConfig(source=spec, target=spec, flips=True))
    assert pair.target.labels is None
    assert pair.source.labels is not None
    assert pair.target_test is None
    assert pair.flips is True


def test_class_sets_that_differ(tmp_path: Path) -> None:
    source = save_folder(tmp_path / "photos", "cat/a.png", "dog/b.png")
    target = save_folder(tmp_path / "sketches", "cat/a.png", "owl/b.png")
    expected = r"data\.target \(sketches\) lacks 'dog'; data\.source \(photos\) lacks 'owl'"
    with pytest.raises(DataError, match=expected):
        build_pair(DataConfig(source=source, target=target))
    with pytest.raises(DataError, match=r"data\.source and data\.target_test must have the same classes"):
        build_pair(DataConfig(source=source, target=source, target_test=target))


@pytest.mark.parametrize("key", ["source", "source_test", "target_test"])
def test_only_the_target_may_lack_labels(tmp_path: Path, key: str) -> None:
    labelled = save_folder(tmp_path / "labelled", "cat/a.png", "dog/b.png")
    flat = save_folder(tmp_path / "flat", "a.png")
    with pytest.raises(DataError, match=f"data.{key}: flat has no labels, which only data.target may lack"):
        build_pair(DataConfig(**({"source": labelled, "target": flat} | {key: flat})))


def test_a_loading_error_names_the_key(tmp_path: Path) -> None:
    source = save_folder(tmp_path / "photos", "cat/a.png")
    with pytest.raises(DataError, match=r"data\.target: .*photo: no such folder; did you mean 'photos'\?"):
        build_pair(DataConfig(source=source, target={"folder": tmp_path / "photo"}))


def test_the_embedded_pair() -> None:
    pair = build_pair(DataConfig(pair="digits"))
    assert pair.name == "digits"
    assert pair.source_test is not None
    assert pair.target_test is not None
    assert pair.flips is False


@pytest.mark.parametrize("name", ["mnist_usps", "usps_mnist", "mnist_svhn", "svhn_mnist"])
def test_named_pairs_read_their_four_parts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def spy(kind: str, root: Path, image_size: int, *, train: bool, download: bool) -> Any:
        calls.append((kind, train))
        assert (root, image_size, download) == (tmp_path, 16, True)
        return Domain(kind.lower(), torch.zeros(10, 3, 16, 16, dtype=torch.uint8), torch.arange(10))

    monkeypatch.setattr("dacn.data.pairs.torchvision_set", spy)
    pair = build_pair(DataConfig(pair=name, root=tmp_path, download=True, image_size=16))
    source, target = name.upper().split("_")
    assert calls == [(source, True), (target, True), (source, False), (target, False)]
    assert pair.name == name
    assert pair.target.labels is None


def test_a_replaced_part_needs_no_files_of_the_pair(tmp_path: Path) -> None:
    """The digits are embedded and SVHN's files are absent: only what was replaced may be read."""
    own = save_npz(tmp_path / "own.npz")
    config = DataConfig(pair="mnist_svhn", root=tmp_path, source=own, source_test=own, target_test=own)
    with pytest.raises(DataError, match=r"SVHN \(train\): no sound files"):
        build_pair(config)
    pair = build_pair(DataConfig(pair="digits", target=own, target_test=save_npz(tmp_path / "other.npz", 4)))
    assert pair.name == "digits_own"
    assert len(pair.target) == 10
    assert pair.target_test is not None
    assert len(pair.target_test) == 4
    assert pair.source_test is not None


def test_a_replaced_target_leaves_its_test_set_behind(tmp_path: Path) -> None:
    pair = build_pair(DataConfig(pair="digits", target=save_npz(tmp_path / "own.npz")))
    assert pair.target_test is None
    assert pair.source_test is not None
    pair = build_pair(DataConfig(pair="digits", source=save_npz(tmp_path / "own.npz")))
    assert pair.source_test is None
    assert pair.target_test is not None


def test_a_replaced_target_must_have_the_classes_of_the_pair(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.target \(own\) lacks '4', '5', '6', '7', '8', '9'"):
        build_pair(DataConfig(pair="digits", target=save_npz(tmp_path / "own.npz", 4)))


def test_real_files_and_a_small_real_target() -> None:
    if not SHARED.is_dir():
        pytest.skip("MNIST and the house numbers are not beside this checkout")
    small = {"npz": SHARED / "svhn_554.npz"}
    pair = build_pair(DataConfig(pair="mnist_svhn", root=SHARED, target=small, target_test=small))
    assert len(pair.source) == 60000
    assert len(pair.target) == 554
    assert pair.target_test is not None


def test_configs_that_do_not_hold(tmp_path: Path) -> None:
    own = {"folder": tmp_path}
    assert messages() == [
        f": Value error, give data.pair ({KNOWN}), or data.source and data.target for your own",
    ]
    assert messages(source=own) == [
        ": Value error, data.source is given but data.target is not; give both, or a data.pair"
    ]
    assert messages(target=own) == [
        ": Value error, data.target is given but data.source is not; give both, or a data.pair"
    ]
    assert messages(pair="mnist_usp") == [
        f"pair: Value error, no pair of this name; did you mean 'mnist_usps'?; known: {KNOWN}"
    ]
    assert messages(pair="digits", source=own, target=own) == [
        ": Value error, data.source and data.target replace all of data.pair (digits): drop data.pair, or one of them"
    ]
    assert messages(pair="digits", image_size=4)[0].startswith("image_size: Input should be greater than or equal to 8")
    assert messages(pair="digits", target={"foldr": "a"})[0].startswith("target: Value error, expected one of {folder")


def test_a_config_survives_its_own_dump(tmp_path: Path) -> None:
    config = DataConfig(pair="digits", target={"torchvision": "USPS", "train": False}, root="~/data")
    assert DataConfig.model_validate(config.model_dump(mode="json")) == config


def test_every_pair_says_what_it_is() -> None:
    assert ", ".join(PAIRS) == KNOWN
    assert all(parts.__doc__ for parts in PAIRS.values())


def test_importing_the_catalogue_is_cheap() -> None:
    """The large packages are imported by the functions that need them."""
    package = Path(__file__).parents[2] / "dacn/data"
    for file in package.glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"torchvision", "sklearn", "scipy"}, file
