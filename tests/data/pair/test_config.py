from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dacn.data.pair.config import DataConfig
from dacn.data.read.folder import FolderSpec

KNOWN = "digits, mnist_svhn, pacs_photo_sketch, ... (`dacn list pairs` names all 182)"
SETS = "mnist, cifar10, stl10, ... (`dacn data list` names all)"
A, B = {"folder": Path("a")}, {"folder": Path("b")}


def messages(**values: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        DataConfig(**values)
    return [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in caught.value.errors()]


def test_configs_that_do_not_hold(tmp_path: Path) -> None:
    own = {"folder": tmp_path}
    assert messages() == [
        f": Value error, give data.pair ({KNOWN}), or data.source and data.target for your own, or data.dataset",
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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset": "cifr10", "labels": 9}, "dataset: Value error, no data set of this name; did you mean 'cifar10'?"),
        ({"dataset": "pets", "labels": 9}, f"dataset: Value error, no data set of this name; known: {SETS}, or {{fold"),
        ({"dataset": {"foldr": "a"}, "labels": 9}, "dataset: Value error, expected one of {folder"),
        ({"dataset": {"folder": 3}, "labels": 9}, "dataset.folder: Input is not a valid path"),
        ({"dataset": 3, "labels": 9}, "dataset: Value error, expected one of {folder"),
        ({"dataset": "mnist", "labels": 0}, "labels: Input should be greater than or equal to 1"),
        ({"dataset": "mnist", "labels": 9, "label_seed": -1}, "label_seed: Input should be greater than or equal to 0"),
        (
            {"pair": "digits", "labels": 9},
            ": Value error, data.labels goes with data.dataset; in a pair, data.target_l",
        ),
        ({"pair": "digits", "target_labels_per_class": 0}, "target_labels_per_class: Input should be greater than"),
        ({"pair": "digits", "target_labels_per_class": 1001}, "target_labels_per_class: Input should be less than"),
    ],
)
def test_labels_that_do_not_hold(values: dict[str, Any], message: str) -> None:
    (problem,) = messages(**values)
    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("key", "value"),
    [("pair", "digits"), ("source", A), ("source_test", [A]), ("target", A), ("target_labels_per_class", 3)],
)
def test_one_data_set_excludes_what_makes_a_pair(key: str, value: Any) -> None:
    (problem,) = messages(dataset="mnist", labels=100, **{key: value})
    assert problem == f": Value error, data.dataset is one data set and has no data.{key}: drop one of the two"


def test_test_sets_are_as_many_as_sources() -> None:
    for source, tests, counts in (([A, B], A, (1, 2)), (A, [A, B], (2, 1)), ([A, B], [A, B, A], (3, 2))):
        assert messages(source=source, target=A, source_test=tests) == [
            f": Value error, data.source_test has {counts[0]} and data.source {counts[1]}; "
            "expected as many, in the same order, or none"
        ]
    assert messages(pair="digits", source_test=[A, B])[0].startswith(": Value error, data.source_test has 2 and data.s")
    DataConfig(source=[A, B], target=A, source_test=[A, B])
    DataConfig(source=[A, B], target=A)


def test_one_of_several_sources_is_located() -> None:
    assert messages(source=[A, {"foldr": "b"}], target=A)[0].startswith("source.1: Value error, expected one of {fold")
    assert messages(source=[{"folder": 3}, A], target=A)[0].startswith("source.0.folder: Input is not a valid path")
    assert messages(source=[A, "b"], target=A)[0].startswith("source.1: Value error, expected one of {folder")
    assert messages(source=[], target=A) == ["source: Value error, expected at least one domain in the list"]


@pytest.mark.parametrize(
    "values",
    [
        {"pair": "digits", "target": {"torchvision": "USPS", "train": False}, "root": "~/data", "oracle": True},
        {"source": [A, B], "target": A, "source_test": [B, A], "target_labels_per_class": 3, "label_seed": 4},
        {"dataset": "cifar10", "labels": 250},
        {"dataset": A, "labels": 250, "target_test": B},
    ],
)
def test_a_config_survives_its_own_dump(values: dict[str, Any]) -> None:
    config = DataConfig(**values)
    assert DataConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"classes": ["a", "b", "a"]}, "classes: Value error, expected each class once, but a stands there twice"),
        ({"classes": ["a"]}, "classes: Tuple should have at least 2 items after validation, not 1"),
        ({"test_fraction": 0}, "test_fraction: Input should be greater than 0"),
        ({"test_fraction": 1}, "test_fraction: Input should be less than 1"),
        ({"test_seed": -1}, "test_seed: Input should be greater than or equal to 0"),
        ({"resident_mb": -1}, "resident_mb: Input should be greater than or equal to 0"),
        ({"workers": 65}, "workers: Input should be less than or equal to 64"),
        ({"on_bad_image": "ignore"}, "on_bad_image: Input should be 'error' or 'skip'"),
        ({"resize": "fit"}, "resize: Input should be 'crop', 'pad' or 'stretch'"),
        ({"class_map": {"a": [1]}}, "class_map.a: Input should be a valid string"),
    ],
)
def test_reading_and_classes_that_do_not_hold(values: dict[str, Any], message: str) -> None:
    (problem,) = messages(pair="digits", **values)
    assert problem == message


def test_every_key_says_what_it_is() -> None:
    for name, field in DataConfig.model_fields.items():
        assert field.description, name
    assert FolderSpec.model_fields["class_map"].description


def test_classes_and_their_new_names_survive_a_dump() -> None:
    config = DataConfig(source={**A, "class_map": {"x": None}}, target=B, class_map={0: "a", "b": 1}, classes=["a", 1])
    assert config.class_map == {"0": "a", "b": "1"}
    assert config.classes == ("a", "1")
    assert DataConfig.model_validate(config.model_dump(mode="json")) == config
