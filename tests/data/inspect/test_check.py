from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dacn.data.inspect.check import Report, check, to_json
from dacn.data.pair.config import DataConfig
from dacn.data.pair.pairs import build_pair
from dacn.errors import DataError

RNG = np.random.default_rng(0)


def save(
    path: Path, counts: dict[str, int], *, grey: bool = False, size: tuple[int, int] = (24, 24)
) -> dict[str, Path]:
    """Write smooth random pictures into class folders, or into the folder itself where a class is called ``.``."""
    for kind, count in counts.items():
        (path / kind).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            coarse = RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize(size)
            (picture.convert("L") if grey else picture).save(path / kind / f"{index}.png")
    return {"folder": path}


def report(**data: Any) -> Report:
    return check(DataConfig(image_size=16, **data))


def refusal(**data: Any) -> str:
    with pytest.raises(DataError) as caught:
        build_pair(DataConfig(image_size=16, **data))
    return str(caught.value)


def test_a_sound_pair(tmp_path: Path) -> None:
    data: dict[str, Any] = {
        "source": save(tmp_path / "photos", {"cat": 12, "dog": 12}),
        "target": save(tmp_path / "sketches", {"cat": 10, "dog": 10}, grey=True, size=(40, 30)),
        "target_test": save(tmp_path / "test", {"cat": 3, "dog": 2}, grey=True),
    }
    found = report(**data)
    assert found.problems == []
    assert found.warnings == []
    assert [(part.name, part.images, part.labels) for part in found.parts.values()] == [
        ("photos", 24, "trained on"),
        ("sketches", 20, "dropped"),
        ("test", 5, "only to report"),
    ]
    source, target, test = found.parts.values()
    assert source.classes == {"cat": 12, "dog": 12}
    assert test.classes == {"cat": 3, "dog": 2}
    assert target.original_sizes == ((40, 30),) * 3
    assert (source.size, source.grey, target.grey) == ((16, 16), 0, 1)
    assert found.proxy_a_distance is not None
    assert [(pair.between, pair.exact, pair.near) for pair in found.duplicates] == [
        (("target", "target_test"), 0, 0),
        (("source", "target_test"), 0, 0),
        (("source", "target"), 0, 0),
    ]
    assert found.pair is not None
    assert found.pair.target.labels is None


def test_statistics_are_of_the_pixels_that_training_sees() -> None:
    found, pair = check(DataConfig(pair="digits")), build_pair(DataConfig(pair="digits"))
    for key, domain in pair.domains.items():
        pixels = domain.images[:].double()
        assert found.parts[key].mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=0.01)
        assert found.parts[key].std == pytest.approx(pixels.std((0, 2, 3)).tolist(), abs=0.02)
    assert found.problems == []
    assert found.proxy_a_distance is not None
    assert found.proxy_a_distance > 1.5


def test_classes_that_do_not_match_are_reported_in_the_words_of_train(tmp_path: Path) -> None:
    data = {"source": save(tmp_path / "a", {"cat": 3, "dog": 3}), "target": save(tmp_path / "b", {"cats": 3, "dog": 3})}
    found = report(**data)
    assert found.problems == [refusal(**data)]
    assert "lacks 'cats'; did you mean 'cat'?" in found.problems[0]
    assert [part.classes for part in found.parts.values()] == [{"cat": 3, "dog": 3}, {"cats": 3, "dog": 3}]
    assert found.pair is None
    assert found.shown is not None
    assert found.shown.classes == ("cat", "dog")


def test_every_part_that_cannot_be_loaded_is_a_problem(tmp_path: Path) -> None:
    data = {
        "source": save(tmp_path / "a", {"cat": 3, "dog": 3}),
        "target": {"folder": tmp_path / "b"},
        "target_test": {"npz": tmp_path / "c.npz"},
    }
    found = report(**data)
    assert len(found.problems) == 2
    assert refusal(**data) == "\n  ".join(["2 problems with the images:", *found.problems])
    assert "c.npz: no such file" in found.problems[1]
    assert [*found.parts] == ["source"]
    assert found.proxy_a_distance is None
    assert found.shown is None


@pytest.mark.parametrize("mb", [0, 1024])
def test_damaged_files_do_not_end_the_report(tmp_path: Path, mb: int) -> None:
    data = {"source": save(tmp_path / "a", {"cat": 6, "dog": 6}), "target": save(tmp_path / "b", {".": 6})}
    (tmp_path / "a/cat/9.png").write_bytes(b"no image")
    found = report(**data, resident_mb=mb)
    assert found.problems == [refusal(**data, resident_mb=mb)]
    assert found.parts["source"].images == 12
    assert found.parts["source"].in_memory == (mb > 0)
    skipped = report(**data, resident_mb=mb, on_bad_image="skip")
    assert skipped.problems == []
    assert skipped.warnings[0].startswith("a: 1 image of 13 cannot be read and left out:\n  ")


def test_nothing_but_damaged_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/1.png").write_bytes(b"no image")
    found = report(source=save(tmp_path / "a", {"cat": 6, "dog": 6}), target={"folder": tmp_path / "b"})
    assert len(found.problems) == 1
    assert [*found.parts] == ["source"]


def test_classes_are_renamed_first(tmp_path: Path) -> None:
    data = {"source": save(tmp_path / "a", {"cat": 3, "dog": 3}), "target": save(tmp_path / "b", {"cats": 3, "dog": 3})}
    found = report(**data, class_map={"cats": "cat"}, classes=["dog", "cat"])
    assert found.problems == []
    assert found.parts["target"].classes == {"dog": 3, "cat": 3}
    unknown = report(**data, class_map={"catz": "cat"})
    assert unknown.problems == [refusal(**data, class_map={"catz": "cat"})]
    assert unknown.parts["target"].classes == {"cats": 3, "dog": 3}


def test_what_is_worth_a_look(tmp_path: Path) -> None:
    data = {
        "source": save(tmp_path / "a", {"cat": 20, "dog": 2}, size=(30, 60)),
        "target": save(tmp_path / "b", {"cat": 2, "dog": 20}, size=(8, 8)),
        "target_test": save(tmp_path / "c", {"cat": 4}),
    }
    with Image.open(tmp_path / "b/dog/3.png") as file:
        picture = file.copy()
    picture.save(tmp_path / "c/cat/9.png")
    picture.save(tmp_path / "b/dog/99.png")
    warnings = report(**data).warnings
    assert warnings == [
        "source: 20 images of 'cat', but 2 of 'dog'",
        "source: the median file has 30x60 pixels, of which data.resize: crop cuts off 50 %",
        "target: 1 of 23 images stand there more than once",
        "target: the median file has 8x8 pixels, enlarged to 16x16",
        "target_test: no image of 'dog'",
        "source and target have their classes in different shares (distance 0.82 of 1): "
        "'cat' is 91 % of the source and 9 % of the target",
        f"target_test: of 5 images 1 is in target too; for example {tmp_path}/c/cat/9.png "
        f"(target: {tmp_path}/b/dog/99.png)",
    ]
    assert not [line for line in report(**data, resize="pad").warnings if "cuts off" in line]


def test_a_target_without_labels_or_a_test_set(tmp_path: Path) -> None:
    found = report(source=save(tmp_path / "a", {"cat": 9, "dog": 9}), target=save(tmp_path / "b", {".": 9}))
    assert found.parts["target"].labels == "none"
    assert found.parts["target"].classes is None
    assert "target: no labels and no data.target_test, so its accuracy will not be known" in found.warnings


def test_the_same_folder_twice(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", {"cat": 20, "dog": 20})
    warnings = report(source=folder, target=folder).warnings
    assert "source and target look alike to a linear classifier: are these two domains?" in warnings
    assert "target: the very images of source" in warnings
    other = save(tmp_path / "b", {"cat": 20, "dog": 20})
    transductive = report(source=other, target=folder, target_test=folder).warnings
    assert "target_test: the very images of target, of which training sees all but the labels" in transductive
    assert not report(source=folder, target=folder, oracle=True).duplicates


def test_a_split_is_checked_as_it_will_be(tmp_path: Path) -> None:
    folders = {
        "source": save(tmp_path / "a", {"cat": 10, "dog": 10}),
        "target": save(tmp_path / "b", {"cat": 10, "dog": 10}),
    }
    found = report(**folders, test_fraction=0.2)
    assert {key: part.images for key, part in found.parts.items()} == {
        "source": 16,
        "target": 16,
        "source_test": 4,
        "target_test": 4,
    }
    assert all(part.original_sizes == ((24, 24),) * 3 for part in found.parts.values())


def test_one_data_set(tmp_path: Path) -> None:
    found = report(dataset=save(tmp_path / "a", {"cat": 10, "dog": 10}), labels=4, test_fraction=0.2)
    assert found.problems == []
    assert {key: part.images for key, part in found.parts.items()} == {"source": 4, "target": 16, "target_test": 4}
    assert ("source", "target") not in [pair.between for pair in found.duplicates]


def test_several_sources(tmp_path: Path) -> None:
    sources = [save(tmp_path / name, {"cat": 6, "dog": 6}) for name in ("a", "b")]
    found = report(source=sources, target=save(tmp_path / "c", {"cat": 6, "dog": 6}))
    assert found.parts["source"].name == "a+b"
    mismatch = report(source=sources, target=save(tmp_path / "d", {"owl": 6}))
    assert [*mismatch.parts] == ["source[0]", "source[1]", "target"]
    assert mismatch.proxy_a_distance is not None


def test_as_plain_values() -> None:
    import json

    found = to_json(check(DataConfig(pair="digits")))
    assert json.loads(json.dumps(found))["parts"]["target"]["labels"] == "dropped"
    assert set(found) == {"problems", "warnings", "parts", "proxy_a_distance", "duplicates"}
