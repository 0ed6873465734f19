from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dacn.data.domain import Domain
from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.data.pair.split import split_off_test
from dacn.errors import DataError
from tests.data.own_sets import colours, read, save_folder, values


def domain(counts: list[int]) -> Domain:
    """Every pixel of image i is i; classes come in turns."""
    labels = [label for place in range(max(counts)) for label, count in enumerate(counts) if place < count]
    images = torch.arange(len(labels)).byte().view(-1, 1, 1, 1).repeat(1, 3, 2, 2)
    return Domain("d", images, torch.tensor(labels), context=torch.tensor(labels))


def rows(part: Domain) -> list[int]:
    return values(part.images[:])


@pytest.mark.parametrize(
    ("counts", "fraction", "expected"),
    [([10, 20], 0.2, [2, 4]), ([5, 5], 0.5, [2, 2]), ([1, 2, 3], 0.1, [0, 1, 1]), ([3, 100], 0.99, [2, 99])],
)
def test_each_class_gives_its_share(counts: list[int], fraction: float, expected: list[int]) -> None:
    whole = domain(counts)
    train, test = split_off_test(whole, fraction, seed=0)
    assert train.labels is not None
    assert test.labels is not None
    assert torch.bincount(test.labels, minlength=len(counts)).tolist() == expected
    assert sorted(rows(train) + rows(test)) == list(range(sum(counts)))
    for part in (train, test):
        assert rows(part) == sorted(rows(part))
        assert part.labels.tolist() == part.context.tolist() == [whole.labels.tolist()[row] for row in rows(part)]  # type: ignore[union-attr]


def test_the_draw_depends_on_its_seed_alone() -> None:
    torch.manual_seed(1)
    first = rows(split_off_test(domain([30, 30]), 0.3, seed=5)[1])
    torch.manual_seed(2)
    assert rows(split_off_test(domain([30, 30]), 0.3, seed=5)[1]) == first
    assert rows(split_off_test(domain([30, 30]), 0.3, seed=6)[1]) != first


@pytest.mark.parametrize(("fraction", "at_least"), [(0.3, 30), (0.001, 1), (0.999, 90)])
def test_groups_stay_whole(fraction: float, at_least: int) -> None:
    group = torch.arange(100) // 10 * 7 % 100  # ten groups of ten
    whole = replace(domain([50, 50]), group=group)
    train, test = split_off_test(whole, fraction, seed=0)
    assert train.group is not None
    assert test.group is not None
    assert sorted(rows(train) + rows(test)) == list(range(100))
    assert not set(train.group.tolist()) & set(test.group.tolist())
    assert at_least <= len(test) < at_least + 10
    assert rows(test) == sorted(rows(test))
    assert test.labels.tolist() == [whole.labels.tolist()[row] for row in rows(test)]  # type: ignore[union-attr]
    assert rows(split_off_test(whole, fraction, seed=0)[1]) == rows(test)


def test_nothing_to_split() -> None:
    with pytest.raises(DataError, match="d: all images are of one group, so none can be a test image"):
        split_off_test(replace(domain([3, 3]), group=torch.zeros(6, dtype=torch.int64)), 0.2, seed=0)
    with pytest.raises(DataError, match="d: no class has two images, so none can be a test image"):
        split_off_test(domain([1, 1]), 0.2, seed=0)


def test_both_domains_get_test_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source, target = colours("a", [0, 1] * 5, level=0), colours("b", [1, 0] * 10, level=50)
    pair = read(source=source, target=target, test_fraction=0.2)
    assert pair.source_test is not None
    assert pair.target_test is not None
    assert [len(part) for part in pair.domains.values()] == [8, 16, 2, 4]
    assert pair.target.labels is None
    assert {*values(pair.target.images[:])} | {*values(pair.target_test.images[:])} == {*range(50, 70)}
    assert pair.target_test.labels is not None
    assert [value % 2 for value in values(pair.target_test.images[:])] == (1 - pair.target_test.labels).tolist()
    other = read(source=source, target=target, test_fraction=0.2, test_seed=1)
    assert other.target_test is not None
    assert values(other.target_test.images[:]) != values(pair.target_test.images[:])


def test_a_test_set_of_its_own_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source, target = colours("a", [0, 1] * 5, level=0), colours("b", [1, 0] * 10, level=50)
    test = colours("c", [0, 1], level=90)
    pair = read(source=source, target=target, target_test=test, test_fraction=0.2)
    assert [len(part) for part in pair.domains.values()] == [8, 20, 2, 2]


def test_an_unlabelled_target_stays_whole(tmp_path: Path) -> None:
    source = save_folder(tmp_path / "a", *(f"{kind}/{n}.png" for kind in ("cat", "dog") for n in range(4)))
    target = save_folder(tmp_path / "b", "x.png", "y.png")
    pair = read(source=source, target=target, test_fraction=0.25)
    assert {key: len(part) for key, part in pair.domains.items()} == {"source": 6, "target": 2, "source_test": 2}


def test_several_sources_are_split_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sources = [colours("a", [0, 1] * 4, level=0), colours("b", [0, 1] * 8, level=50)]
    pair = read(source=sources, target=colours("c", [0, 1] * 2, level=90), test_fraction=0.25)
    assert pair.source_test is not None
    assert pair.source_test.context is not None
    assert pair.source_test.context.tolist() == [0] * 2 + [1] * 4


def test_one_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pair = read(dataset=colours("a", [0, 1] * 10, level=0), labels=4, test_fraction=0.2)
    assert {key: len(part) for key, part in pair.domains.items()} == {"source": 4, "target": 16, "target_test": 4}
    assert not {*values(pair.source.images[:])} & {*values(pair.target_test.images[:])}  # type: ignore[union-attr]


def test_labelled_target_images_come_from_the_training_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data: dict[str, Any] = {"source": colours("a", [0, 1] * 5, level=0), "target": colours("b", [0, 1] * 5, level=50)}
    for extra in ({"target_labels_per_class": 3}, {"oracle": True}):
        pair = read(**data, **extra, test_fraction=0.4)
        assert pair.target_test is not None
        assert not {*values(pair.source.images[:])} & {*values(pair.target_test.images[:])}


def test_a_fraction_with_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        build_pair(DataConfig(pair="digits", test_fraction=0.2))
    assert str(caught.value) == (
        "data.test_fraction: got 0.2, but every labelled domain has a test set of its own; leave it out"
    )
    folders = {
        "source": save_folder(tmp_path / "a", "cat/a.png", "dog/a.png"),
        "source_test": save_folder(tmp_path / "b", "cat/a.png"),
        "target": save_folder(tmp_path / "c", "a.png"),
    }
    with pytest.raises(DataError, match=r"test set of its own; c has no labels to report on; leave it out"):
        read(**folders, test_fraction=0.2)
