import pytest
import torch

from dacn.data.classes.classes import class_names, match_classes, require_labels
from dacn.data.domain import Domain
from dacn.errors import DataError


def domain(name: str, labels: list[int] | None, classes: tuple[str, ...] | None = None) -> Domain:
    count = len(labels or [0])
    tensor = None if labels is None else torch.tensor(labels)
    return Domain(name, torch.zeros(count, 3, 8, 8, dtype=torch.uint8), tensor, classes)


def test_labels_without_names_count_from_zero() -> None:
    assert class_names(domain("a", [0, 3, 1])) == ("0", "1", "2", "3")


def test_labels_are_put_in_the_order_of_the_source() -> None:
    source = domain("photo", [0, 1, 2], ("cat", "dog", "owl"))
    other = domain("sketch", [0, 1, 2, 0], ("owl", "cat", "dog"))
    matched = match_classes("target", other, source, complete=True)
    assert matched.labels is not None
    assert matched.labels.tolist() == [2, 0, 1, 2]
    assert matched.classes == source.classes


def test_a_test_set_may_lack_a_class() -> None:
    source = domain("photo", [0, 1], ("cat", "dog"))
    few = domain("few", [0, 0], ("dog",))
    matched = match_classes("target_test", few, source, complete=False)
    assert matched.labels is not None
    assert matched.labels.tolist() == [1, 1]


def test_the_message_lists_what_each_side_lacks() -> None:
    source = domain("photo", [0, 1, 2], ("cat", "dog", "owl"))
    target = domain("sketch", [0, 1], ("cats", "dog"))
    with pytest.raises(DataError) as caught:
        match_classes("target", target, source, complete=True)
    assert str(caught.value) == (
        "data.source and data.target must have the same classes: data.target (sketch) lacks 'cat', 'owl'; "
        "data.source (photo) lacks 'cats'; did you mean 'cat'? "
        "(data.class_map renames classes, data.classes takes some alone)"
    )


def test_numbers_beside_names_get_the_fix() -> None:
    with pytest.raises(DataError, match=r"an array 'classes' in the \.npz names them"):
        match_classes("target", domain("b", [0, 1]), domain("a", [0, 1], ("cat", "dog")), complete=True)


def test_many_missing_classes_are_counted() -> None:
    with pytest.raises(DataError, match=r"lacks '1', '2', .*'10' and 5 more"):
        match_classes("target", domain("b", [0]), domain("a", list(range(16))), complete=True)


def test_labels_and_names_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="a: a label is 2; expected class indices from 0 to 1"):
        class_names(domain("a", [0, 2], ("cat", "dog")))
    with pytest.raises(DataError, match="a: a label is 1000000000; expected class indices from 0 to 65535"):
        class_names(domain("a", [0, 1_000_000_000]))
    with pytest.raises(DataError, match="a: class names must differ, but several classes are called 'crane'"):
        class_names(domain("a", [0, 1], ("crane", "crane")))


def test_absent_labels_name_the_key() -> None:
    with pytest.raises(DataError, match=r"data\.source_test: sketches has no labels, which only data\.target may lack"):
        require_labels("source_test", domain("sketches", None))
