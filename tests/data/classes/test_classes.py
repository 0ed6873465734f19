import re
from dataclasses import replace

import pytest
import torch

from dacn.data.classes.classes import class_names, match_classes, require_labels, require_two_classes
from dacn.data.domain import Domain
from dacn.data.read.images import MemoryImage, Streamed
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


def test_target_folders_that_are_no_classes_get_the_way_out() -> None:
    source = domain("photo", [0, 1], ("cat", "dog"))
    dates = domain("sketch", [0, 1], ("2024-05", "2024-06"))
    dates = replace(dates, images=Streamed([MemoryImage(dates.images[:1], 0)] * 2, 8))  # type: ignore[list-item, arg-type]
    with pytest.raises(DataError, match=r"dates, cameras or the like .* say so: \{folder: \.\.\., labels: false\}$"):
        match_classes("target", dates, source, complete=True)
    with pytest.raises(DataError) as caught:
        match_classes("target", replace(dates, classes=("cat", "2024")), source, complete=True)
    assert "labels: false" not in str(caught.value)


def test_names_that_differ_by_case_or_spaces_are_said_to() -> None:
    source = domain("photo", [0, 1], ("cat", "dog"))
    with pytest.raises(DataError, match=r"; 'dog', 'Dog ' differ by case or spaces alone$"):
        match_classes("target_test", domain("b", [0, 1], ("cat", "Dog ")), source, complete=False)


@pytest.mark.parametrize("key", ["target_test", "source_test", "source_test[1]"])
def test_labels_without_names_must_be_the_same_numbers_in_a_test_set(key: str) -> None:
    source, shifted = domain("a", [1, 2, 3]), domain("b", [0, 1, 2])
    with pytest.raises(DataError) as caught:
        match_classes(key, shifted, source, complete=False)
    assert str(caught.value) == (
        f"labels without names must be the same numbers in data.source and data.{key}: data.source (a) lacks '0'; "
        f"data.{key} (b) lacks '3'; does one of them count from 1? Name them by an array 'classes' in both .npz, then "
        "a test set may lack some"
    )
    with pytest.raises(DataError, match=rf"data\.{re.escape(key)} \(b\) lacks '2', '11'; does"):
        match_classes(key, domain("b", [0, 1]), domain("a", [0, 1, 2, 11]), complete=False)
    assert match_classes(key, domain("b", [3, 1, 2, 1]), source, complete=False).labels is not None


def test_one_class_is_nothing_to_tell_apart() -> None:
    with pytest.raises(DataError, match=r"data\.source \(a\): only one class, '3'; expected images of two at least"):
        require_two_classes("source", [domain("a", [3, 3]), domain("b", [3])])
    require_two_classes("source", [domain("a", [3, 3]), domain("b", [0])])
