from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.errors import DataError
from tests.data.own_sets import save_folder

SHARED = Path(__file__).parents[3] / "../shared/data"


def save_npz(path: Path, count: int = 10, **arrays: Any) -> dict[str, Any]:
    images = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    np.savez(path, **({"images": images, "labels": np.arange(count)} | arrays))
    return {"npz": path}


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


def test_a_target_of_fewer_classes_is_taken_if_that_is_said(tmp_path: Path) -> None:
    source = save_folder(tmp_path / "photos", "cat/a.png", "dog/b.png", "owl/c.png")
    target = save_folder(tmp_path / "sketches", "owl/a.png", "cat/b.png")
    with pytest.raises(DataError, match=r"lacks 'dog' .*; where the target does have fewer .*target_classes: fewer"):
        build_pair(DataConfig(source=source, target=target))
    pair = build_pair(DataConfig(source=source, target=target, target_test=target, target_classes="fewer"))
    assert (pair.classes, pair.fewer_classes) == (("cat", "dog", "owl"), True)
    assert pair.target_test is not None
    assert pair.target_test.labels is not None
    assert pair.target_test.labels.tolist() == [0, 2]
    assert build_pair(DataConfig(source=source, target=target, oracle=True, target_classes="fewer")).oracle
    flat = save_folder(tmp_path / "unlabelled", "a.png")
    assert build_pair(DataConfig(source=source, target=flat, target_classes="fewer")).fewer_classes
    assert not build_pair(DataConfig(source=source, target=flat)).fewer_classes


@pytest.mark.parametrize("classes", ["same", "fewer"])
def test_a_class_that_the_source_lacks_is_refused_with_the_reason(tmp_path: Path, classes: Any) -> None:
    source = save_folder(tmp_path / "photos", "cat/a.png", "dog/b.png")
    more = save_folder(tmp_path / "sketches", "cat/a.png", "dog/b.png", "owl/c.png")
    fewer_and_more = save_folder(tmp_path / "prints", "cat/a.png", "owl/c.png")
    for target in (more, fewer_and_more) if classes == "fewer" else (more,):
        with pytest.raises(DataError, match=r"lacks 'owl'.*open-set adaptation.* is not built: leave them out"):
            build_pair(DataConfig(source=source, target=target, target_classes=classes))
    pair = build_pair(DataConfig(source=source, target={**more, "class_map": {"owl": None}}, target_classes=classes))
    assert pair.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"dataset": "mnist"}, "data.target_classes: fewer is of a pair of domains"),
        ({"pair": "digits", "target_labels_per_class": 2}, "labels images of every class"),
    ],
)
def test_what_does_not_go_with_fewer_classes(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig(target_classes="fewer", **tree)


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


def test_a_replaced_part_needs_no_files_of_the_pair(tmp_path: Path) -> None:
    """The digits are embedded and SVHN's files are absent: only what was replaced may be read."""
    own = save_npz(tmp_path / "own.npz")
    config = DataConfig(pair="mnist_svhn", root=tmp_path, source=own, source_test=own, target_test=own)
    with pytest.raises(DataError, match=r"SVHN \(train\): no intact files"):
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
