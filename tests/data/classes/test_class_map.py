from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dacn.data.classes.class_map import keep_classes, rename_classes
from dacn.data.domain import Domain
from dacn.data.read.folder import folder
from dacn.errors import DataError
from tests.data.own_sets import colours, read, save_folder, values

VEHICLES = ("automobile", "bird", "frog", "truck")
LISTED = "classes: 'automobile', 'bird', 'frog', 'truck'"


def domain(labels: list[int] | None, classes: tuple[str, ...] | None = VEHICLES) -> Domain:
    count = 6 if labels is None else len(labels)
    images = torch.arange(count).byte().view(-1, 1, 1, 1).repeat(1, 3, 2, 2)
    return Domain("d", images, None if labels is None else torch.tensor(labels), classes, torch.arange(count))


def named(domain: Domain) -> list[tuple[int, str]]:
    """Each image's number and the name of its class."""
    assert domain.labels is not None
    assert domain.classes is not None
    return [
        (number, domain.classes[label])
        for number, label in zip(values(domain.images[:]), domain.labels.tolist(), strict=True)
    ]


def test_classes_are_renamed_joined_and_left_out() -> None:
    mapped = rename_classes(
        domain([0, 1, 2, 3, 0]), {"automobile": "car", "truck": "car", "frog": None, "boat": "ship"}
    )
    assert mapped.classes == ("car", "bird")
    assert named(mapped) == [(0, "car"), (1, "bird"), (3, "car"), (4, "car")]
    assert mapped.context is not None
    assert mapped.context.tolist() == [0, 1, 3, 4]


def test_two_names_can_be_exchanged() -> None:
    mapped = rename_classes(domain([0, 1]), {"automobile": "bird", "bird": "automobile"})
    assert named(mapped) == [(0, "bird"), (1, "automobile")]


def test_numbers_are_names_too() -> None:
    assert named(rename_classes(domain([0, 1, 1], None), {"1": "one"})) == [(0, "0"), (1, "one"), (2, "one")]


def test_some_classes_alone_in_the_order_asked_for() -> None:
    kept = keep_classes(domain([0, 1, 2, 3, 3]), ["truck", "automobile", "boat"])
    assert kept.classes == ("truck", "automobile")
    assert named(kept) == [(0, "automobile"), (3, "truck"), (4, "truck")]


def test_unlabelled_images_stay_as_they_are() -> None:
    flat = domain(None, None)
    assert rename_classes(flat, {"a": "b"}) is flat
    assert keep_classes(flat, ["a"]) is flat


def test_nothing_left() -> None:
    with pytest.raises(DataError, match="d: no image is left of the classes that are asked for"):
        rename_classes(domain([2, 2]), {"frog": None})
    with pytest.raises(DataError, match="d: no image is left of the classes that are asked for"):
        keep_classes(domain([2, 2]), ["bird"])


def test_a_pair_whose_domains_name_things_differently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = colours("a", [0, 1, 2, 3], level=0, classes=VEHICLES)
    target = colours("b", [0, 1, 2, 2], level=50, classes=("Bird", "car", "monkey"))
    test = colours("c", [0, 1, 1], level=90, classes=("lorry", "bird"))
    pair = read(
        source=source,
        target={**target, "class_map": {"Bird": "bird"}},
        target_test={**test, "class_map": {"lorry": "truck"}},
        class_map={"automobile": "car", "truck": "car", "monkey": None, "frog": None},
    )
    assert pair.classes == ("car", "bird")
    assert named(pair.source) == [(0, "car"), (1, "bird"), (3, "car")]
    assert values(pair.target.images[:]) == [50, 51]
    assert pair.target.labels is None
    assert pair.target_test is not None
    assert named(pair.target_test) == [(90, "car"), (91, "bird"), (92, "bird")]


def test_a_subset_of_a_folder_is_read_without_the_rest(tmp_path: Path) -> None:
    photos = save_folder(tmp_path / "photos", "dog/a.png", "horse/a.png", "cat/a.png")
    (tmp_path / "photos/cat/b.png").write_bytes(b"no image, and nobody looks")
    sketches = save_folder(tmp_path / "sketches", "dog/a.png", "horse/a.png", "whale/a.png")
    pair = read(source=photos, target=sketches, classes=["horse", "dog"])
    assert pair.classes == ("horse", "dog")
    assert (len(pair.source), len(pair.target)) == (2, 2)


def test_numbers_in_a_recipe_stand_for_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = colours("a", [0, 1, 2], level=0, classes=("0", "1", "2"))
    target = colours("b", [0, 1, 2], level=50, classes=("0", "1", "2"))
    pair = read(source=source, target=target, class_map={2: 1}, classes=[1, 0])
    assert named(pair.source) == [(0, "0"), (1, "1"), (2, "1")]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            {"class_map": {"brid": "x"}},
            "data.class_map: no class 'brid' in any part of the pair; did you mean 'bird'?; " + LISTED,
        ),
        (
            {"classes": ["brid", "frog"]},
            "data.classes: no class 'brid' in any part of the pair; did you mean 'bird'?; " + LISTED,
        ),
        (
            {"source": {"npz": "a.npz", "class_map": {"trck": "x"}}},
            "data.source.class_map: no class 'trck' in a; did you mean 'truck'?; " + LISTED,
        ),
        (
            {"target": {"npz": "flat.npz", "class_map": {"bird": "x"}}},
            "data.target: flat has no labels, which its class_map would rename; give class sub-folders, or an archive "
            "with 'labels'",
        ),
        (
            {"classes": ["frog", "bird"], "target_test": {"npz": "d.npz"}},
            "data.target_test: d: no image is left of the classes that are asked for",
        ),
    ],
)
def test_names_that_are_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    colours("d", [0], level=0, classes=("truck",))
    np.savez("flat.npz", images=np.zeros((2, 8, 8, 3), np.uint8))
    both = {
        "source": colours("a", [0, 1, 2, 3], level=0, classes=VEHICLES),
        "target": colours("b", [0, 1, 2, 3], level=0, classes=VEHICLES),
    }
    with pytest.raises(DataError) as caught:
        read(**(both | extra))
    assert str(caught.value) == message


def test_from_python(tmp_path: Path) -> None:
    save_folder(tmp_path / "photos", "dogs/a.png", "horse/a.png", "puppy/a.png")
    mapped = folder(tmp_path / "photos", 8, class_map={"dogs": "dog", "puppy": "dog"})
    assert mapped.classes == ("dog", "horse")
    assert mapped.labels is not None
    assert mapped.labels.tolist() == [0, 1, 0]
