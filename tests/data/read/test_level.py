from pathlib import Path

import pytest

from dacn.data.read.level import level_note
from dacn.errors import DataError

ROOT = Path("src")


def note(*names: str) -> str | None:
    return level_note("data.source.folder", ROOT, [ROOT / name for name in names])


@pytest.mark.parametrize("between", ["images", "data/images"])
def test_one_class_that_holds_the_classes(between: str) -> None:
    with pytest.raises(DataError) as caught:
        note(f"{between}/a/0.png", f"{between}/b/deep/1.png")
    assert str(caught.value) == (
        f"only one class; point data.source.folder at src/{between}, which has the sub-folders a, b"
    )


def test_one_class_that_is_one(tmp_path: Path) -> None:
    assert note("cat/0.png", "cat/1.png") is None
    assert note("cat/2024/0.png", "cat/1.png") is None


@pytest.mark.parametrize("names", [("train", "val"), ("Training", "Test"), ("dev", "eval", "train")])
def test_class_folders_that_are_parts_of_a_data_set(names: tuple[str, ...]) -> None:
    train = next(name for name in names if name.lower().startswith("train"))
    with pytest.raises(
        DataError, match=rf"called {', '.join(names)}, which are .* no classes; point .* at src/{train}$"
    ):
        note(*(f"{name}/{kind}/0.png" for name in names for kind in ("a", "b")))


def test_classes_that_are_parted_in_training_and_test_images() -> None:
    assert note(*(f"{kind}/{part}/0.png" for kind in ("cat", "dog") for part in ("train", "val"))) == (
        "src: every class folder (cat, dog) holds the same sub-folders (train, val); training and test images are read "
        "together; move those to test on to a folder of their own"
    )


def test_domains_above_the_classes() -> None:
    assert note(*(f"{domain}/{kind}/0.png" for domain in ("photo", "sketch") for kind in ("dog", "horse"))) == (
        "src: every class folder (photo, sketch) holds the same sub-folders (dog, horse); if these are the classes, "
        "point data.source.folder at src/photo"
    )


@pytest.mark.parametrize(
    "names",
    [
        ["cat/0.png", "dog/1.png"],
        ["cat/2023/0.png", "dog/2024/1.png"],
        ["cat/2024/0.png", "dog/2024/1.png"],
        ["cat/x/0.png", "cat/y/0.png", "dog/x/1.png", "dog/y/1.png", "dog/2.png"],
        ["train/0.png", "bus/1.png"],  # a train is a vehicle too
    ],
)
def test_folders_that_are_in_order(names: list[str]) -> None:
    assert note(*names) is None
