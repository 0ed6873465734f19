import pytest
import torch

from dacn.data.classes.shared_classes import keep_classes
from dacn.data.domain import Domain
from dacn.errors import DataError


def domain(labels: list[int], *classes: str) -> Domain:
    images = torch.arange(len(labels)).byte()[:, None, None, None].expand(-1, 3, 8, 8)
    return Domain("stl10", images, torch.tensor(labels), classes)


def test_images_of_other_classes_go_and_labels_follow_the_new_order() -> None:
    kept = keep_classes(domain([2, 0, 1, 2], "car", "monkey", "ship"), ("ship", "automobile"), {"car": "automobile"})
    assert kept.labels is not None
    assert kept.images[:, 0, 0, 0].tolist() == [0, 1, 3]
    assert kept.labels.tolist() == [0, 1, 0]
    assert kept.classes == ("ship", "automobile")


def test_a_class_that_is_not_there() -> None:
    with pytest.raises(DataError, match="stl10: has no class truck, only car, ship"):
        keep_classes(domain([0, 1], "car", "ship"), ("ship", "truck"), {})
