"""A run's classes and those of data that it meets later."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dacn.data.domain import DomainPair
from dacn.errors import DataError
from dacn.run.classes import with_classes_of_run
from tests import made_up

FILE = Path("run/last.pt")


def test_another_order_is_put_in_order() -> None:
    pair = made_up.pair(classes=3)  # class0, class1, class2
    matched = with_classes_of_run(FILE, ("class2", "class0", "class1"), pair)
    assert matched.classes == ("class2", "class0", "class1")
    for key in ("source", "source_test", "target_test"):
        before, after = pair.domains[key], matched.domains[key]
        assert before.labels is not None
        assert after.labels is not None
        names = [pair.classes[label] for label in before.labels.tolist()]
        assert [matched.classes[label] for label in after.labels.tolist()] == names
        assert torch.equal(before.images, after.images)  # type: ignore[arg-type]
    assert matched.target.labels is None


def test_the_same_classes_are_left_alone() -> None:
    pair = made_up.pair()
    assert with_classes_of_run(FILE, pair.classes, pair) is pair


@pytest.mark.parametrize(
    ("known", "tail"),
    [
        (("class0", "zebra"), "The network does not know 'class1'. The data lack 'zebra'. "),
        (("class0", "class1", "owl"), "The data lack 'owl'. "),
        (("class0",), "The network does not know 'class1'. "),
    ],
)
def test_other_classes_are_refused_with_both_lists(known: tuple[str, ...], tail: str) -> None:
    with pytest.raises(DataError) as caught:
        with_classes_of_run(FILE, known, made_up.pair())
    assert str(caught.value) == (
        f"{FILE}: the classes of the data are not those of the network. The network knows "
        f"{', '.join(map(repr, known))}; the data (made_up) have 'class0', 'class1'. {tail}"
        "Give the classes their former names, or train anew"
    )


def test_unicode_forms_are_the_same_name() -> None:
    pair = made_up.pair()
    parts = {key: replace(domain, classes=None) for key, domain in pair.domains.items()}
    named = DomainPair(**parts, classes=("cafe\u0301", "dog"))
    assert with_classes_of_run(FILE, ("caf\u00e9", "dog"), named) is named
