"""What is trained on with labels: several sources, a few target images or all of them, some of one data set."""

from pathlib import Path

import pytest
import torch

from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.errors import DataError
from tests.data.own_sets import colours, read, save_folder, values


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_source_has_the_two_usual_contexts(here: Path) -> None:
    own = colours("a", [0, 1, 0], level=0)
    for source, test in ((own, own), ([own], [own])):
        pair = read(source=source, target=own, source_test=test)
        assert pair.contexts == ("source", "target")
        assert pair.source.context is None
        assert pair.source_test is not None
        assert pair.source_test.context is None
        assert values(pair.source.images) == [0, 1, 2]
        assert (pair.name, pair.oracle) == ("a_a", False)


def test_each_of_several_sources_is_a_context(here: Path) -> None:
    sources = [colours("a", [0, 1, 0], level=0), colours("b", [0, 1], level=50, classes=("dog", "cat"))]
    tests = [colours("a_test", [1], level=10), colours("b_test", [0, 0], level=60, classes=("dog",))]
    pair = read(source=sources, target=colours("t", [0, 1], level=100), source_test=tests)
    assert pair.contexts == ("a", "b", "target")
    assert (pair.num_contexts, pair.target_context) == (3, 2)
    assert pair.name == "a+b_t"
    assert pair.source.name == "a+b"
    assert pair.source.labels is not None
    assert pair.source.context is not None
    rows = zip(values(pair.source.images), pair.source.labels.tolist(), pair.source.context.tolist(), strict=True)
    assert list(rows) == [(0, 0, 0), (1, 1, 0), (2, 0, 0), (50, 1, 1), (51, 0, 1)]
    test = pair.source_test
    assert test is not None
    assert test.labels is not None
    assert test.context is not None
    rows = zip(values(test.images), test.labels.tolist(), test.context.tolist(), strict=True)
    assert list(rows) == [(10, 1, 0), (60, 1, 1), (61, 1, 1)]
    assert pair.target.context is None


def test_sources_of_the_same_name_are_numbered(here: Path) -> None:
    for folder in ("x", "y", "z"):
        (here / folder).mkdir()
    same = [colours(f"{folder}/a", [0, 1], level=0) for folder in ("x", "y", "z")]
    target = colours("target", [0, 1], level=0)
    assert read(source=[*same, target], target=target).contexts == ("a", "a_2", "a_3", "target_2", "target")


def test_several_sources_replace_that_of_a_pair(here: Path) -> None:
    digits = tuple("0123456789")
    own = [colours(name, list(range(10)), level=0, classes=digits) for name in ("a", "b")]
    pair = read(pair="digits", source=own)
    assert pair.name == "a+b_digits_photo"
    assert pair.source_test is None
    assert pair.target_test is not None


def test_what_is_amiss_with_one_of_several_sources(here: Path) -> None:
    good, other = colours("a", [0, 1], level=0), colours("b", [0, 1], level=0, classes=("cat", "owl"))
    expected = r"data\.source and data\.source\[1\] must have the same classes: data\.source\[1\] \(b\) lacks 'dog'"
    with pytest.raises(DataError, match=expected):
        read(source=[good, other], target=good)
    with pytest.raises(DataError, match=r"data\.source\[1\]: c\.npz: no such file"):
        read(source=[good, {"npz": "c.npz"}], target=good)
    flat = save_folder(here / "flat", "a.png")
    with pytest.raises(DataError, match=r"data\.source\[0\]: flat has no labels, which only data\.target may lack"):
        read(source=[flat, good], target=good)
    with pytest.raises(DataError, match=r"data\.source_test\[1\]: flat has no labels"):
        read(source=[good, good], target=good, source_test=[good, flat])


# A few labels of the target, and all of them.


def test_a_few_target_images_are_labelled_too(here: Path) -> None:
    source, target = colours("s", [0, 1, 0], level=0), colours("t", [1, 0, 1, 0, 1, 0], level=100)
    plain, pair = (read(source=source, target=target, target_labels_per_class=count) for count in (None, 2))
    assert pair.contexts == ("source", "target")
    assert pair.name == plain.name == "s_t"
    assert pair.source.context is not None
    assert pair.source.labels is not None
    assert pair.source.context.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert values(pair.source.images)[:3] == [0, 1, 2]
    lent = values(pair.source.images)[3:]
    assert len(set(lent)) == 4
    assert pair.source.labels.tolist() == [0, 1, 0, 0, 0, 1, 1]
    assert all((value - 100) % 2 != label for value, label in zip(lent, [0, 0, 1, 1], strict=True))
    assert pair.target.labels is None
    assert torch.equal(pair.target.images, plain.target.images)  # those lent stay among the unlabelled ones


def test_the_draw_has_a_seed_of_its_own(here: Path) -> None:
    source, target = colours("s", [0, 1], level=0), colours("t", [0] * 50 + [1] * 50, level=100)
    few = {"source": source, "target": target, "target_labels_per_class": 3}
    first, again, other = (values(read(**few, label_seed=seed).source.images) for seed in (0, 0, 1))
    assert first == again != other


def test_several_sources_and_a_few_target_images(here: Path) -> None:
    own = colours("a", [0, 1], level=0)
    pair = read(source=[own, own], target=own, target_labels_per_class=1)
    assert pair.contexts == ("a", "a_2", "target")
    assert pair.source.context is not None
    assert pair.source.context.tolist() == [0, 0, 1, 1, 2, 2]


def test_target_labels_that_are_not_there(here: Path) -> None:
    source, flat = colours("s", [0, 1], level=0), save_folder(here / "flat", "a.png")
    with pytest.raises(DataError, match=r"data\.target_labels_per_class: flat has no labels, some of which this needs"):
        read(source=source, target=flat, target_labels_per_class=1)
    with pytest.raises(DataError, match=r"data\.oracle: flat has no labels, which this trains on; give class sub-fol"):
        read(source=source, target=flat, oracle=True)
    few = colours("few", [0, 0, 1], level=0)
    expected = (
        r"data\.target_labels_per_class: 2 images of class 'dog' are called for, but few has 1; "
        r"lower data\.target_labels_per_class"
    )
    with pytest.raises(DataError, match=expected):
        read(source=source, target=few, target_labels_per_class=2)


def test_a_skewed_target(here: Path) -> None:
    """The training images are thinned out; the test set that is cut off, and what is in it, stay as they are."""
    own = {"source": colours("s", [0, 1] * 9, level=0), "target": colours("t", [0, 1] * 50, level=100)}
    plain, pair = (read(**own, test_fraction=0.2, target_imbalance=skew) for skew in (None, 8))
    assert (len(plain.target), len(pair.target)) == (80, 45)
    assert pair.target.labels is None
    assert plain.target_test is not None
    assert pair.target_test is not None
    assert torch.equal(pair.target_test.images[:], plain.target_test.images[:])
    flat = save_folder(here / "flat", "a.png")
    with pytest.raises(
        DataError, match=r"data\.target_imbalance: flat has no labels, by which its classes are thinned out"
    ):
        read(source=own["source"], target=flat, target_imbalance=8)


def test_the_oracle_trains_on_the_target(here: Path) -> None:
    source = colours("s", [0, 1], level=0)
    target = colours("t", [0, 1, 1], level=100, classes=("dog", "cat"))
    pair = read(source=source, target=target, source_test=source, target_test=target, oracle=True)
    assert pair.oracle
    assert (pair.name, pair.contexts, pair.classes) == ("s_t", ("source", "target"), ("cat", "dog"))
    assert values(pair.source.images) == [100, 101, 102]
    assert pair.source.labels is not None
    assert pair.source.labels.tolist() == [1, 0, 0]
    assert pair.source.context is not None
    assert pair.source.context.tolist() == [1, 1, 1]
    assert pair.target.labels is None
    assert pair.source_test is not None
    assert values(pair.source_test.images) == [0, 1]
    assert pair.target_test is not None
    assert values(pair.target_test.images) == [100, 101, 102]


def test_the_embedded_pair_has_an_oracle() -> None:
    plain, oracle = (build_pair(DataConfig(pair="digits", oracle=oracle)) for oracle in (False, True))
    assert torch.equal(oracle.source.images, plain.target.images)
    assert oracle.source.labels is not None
    assert plain.source.labels is not None
    assert torch.equal(oracle.source.labels, plain.source.labels.repeat(4))  # four blendings of each digit, in order
    assert oracle.target.labels is None
    assert oracle.name == plain.name == "digits"


# One data set, some of it labelled.


def test_some_labels_of_one_data_set(here: Path) -> None:
    whole = colours("pets", [0] * 30 + [1] * 20, level=0)
    pair = read(dataset=whole, labels=11, target_test=colours("test", [1, 0], level=200, classes=("dog", "cat")))
    assert (pair.name, pair.contexts, pair.num_contexts, pair.target_context) == ("pets", ("pets",), 1, 0)
    assert pair.source.labels is not None
    assert pair.source.labels.tolist() == [0] * 6 + [1] * 5
    assert pair.source.context is None
    drawn = values(pair.source.images)
    assert len(set(drawn)) == 11
    assert all((value >= 30) == bool(label) for value, label in zip(drawn, pair.source.labels.tolist(), strict=True))
    assert values(pair.target.images) == list(range(50))
    assert pair.target.labels is None
    assert pair.source_test is None
    assert pair.target_test is not None
    assert pair.target_test.labels is not None
    assert pair.target_test.labels.tolist() == [0, 1]
    assert pair.flips is False
    assert read(dataset=whole, labels=11, flips=True).flips is True
    assert read(dataset=whole, labels=11).target_test is None
    assert values(read(dataset=whole, labels=11, label_seed=1).source.images) != drawn


def test_the_oracle_of_one_data_set_has_all_of_its_labels(here: Path) -> None:
    whole = colours("pets", [0, 0, 1], level=0)
    for labels in (None, 2):
        pair = read(dataset=whole, labels=labels, oracle=True)
        assert pair.oracle
        assert values(pair.source.images) == [0, 1, 2]
        assert pair.target.labels is None


def test_a_data_set_that_cannot_be_had_so(here: Path) -> None:
    whole = colours("pets", [0, 0, 1], level=0)
    with pytest.raises(DataError, match=r"data\.labels: got 1, but pets has 2 classes; expected at least one image of"):
        read(dataset=whole, labels=1)
    with pytest.raises(DataError, match=r"data\.labels: 2 images of class 'dog' are called for, but pets has 1; lower"):
        read(dataset=whole, labels=4)
    with pytest.raises(DataError, match=r"data\.dataset: flat has no labels, some of which must be known"):
        read(dataset=save_folder(here / "flat", "a.png"), labels=4)
    with pytest.raises(
        DataError, match=r"data\.dataset and data\.target_test must have .*; data\.dataset \(pets\) lacks"
    ):
        read(dataset=whole, labels=2, target_test=colours("owls", [0], level=0, classes=("owl",)))
    with pytest.raises(DataError, match=r"data\.dataset: no\.npz: no such file"):
        read(dataset={"npz": "no.npz"}, labels=2)
