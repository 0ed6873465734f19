from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from dacn.data.domain import Domain
from dacn.data.pair.config import DataConfig
from dacn.data.pair.pairs import build_pair
from dacn.data.read.folder import find_folder, folder
from dacn.data.read.images import Streamed
from dacn.data.read.reading import ReadingConfig, reading_config
from dacn.data.read.resident import ResidentLoader, memory_note
from dacn.errors import DataError

SIDE = 256  # 196,608 bytes an image: five to a MiB


def save(path: Path, count: int, broken: int = 0) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(path / f"{index}.png")
    for index in range(broken):
        (path / f"broken{index}.png").write_bytes(b"no image")
    return path


def config(**values: Any) -> ReadingConfig:
    return ReadingConfig(image_size=SIDE, **values)


def test_the_budget_is_spent_in_order(tmp_path: Path) -> None:
    parts = [
        find_folder(save(tmp_path / name, count), config()) for name, count in (("a", 4), ("b", 6), ("c", 1), ("d", 1))
    ]
    loader = ResidentLoader(config(resident_mb=1))
    held = [isinstance(loader.load_resident(part).images, Tensor) for part in parts]
    assert held == [True, False, True, False]


def test_arrays_count_too(tmp_path: Path) -> None:
    loader = ResidentLoader(config(resident_mb=1))
    array = Domain("array", torch.zeros(5, 3, SIDE, SIDE, dtype=torch.uint8))
    assert loader.load_resident(array) is array
    assert isinstance(loader.load_resident(find_folder(save(tmp_path, 1), config())).images, Streamed)


@pytest.mark.parametrize("mb", [0, 1])
def test_both_ways_hold_the_same(tmp_path: Path, mb: int) -> None:
    domain = folder(save(tmp_path, 3), SIDE, resident_mb=mb)
    assert isinstance(domain.images, Tensor if mb else Streamed)
    assert domain.images[:][:, 0, 0, 0].tolist() == [0, 1, 2]


def test_shared_images_are_read_once(tmp_path: Path) -> None:
    whole = find_folder(save(tmp_path, 3), config())
    loader = ResidentLoader(config(resident_mb=1))
    first, second = (
        loader.load_resident(whole),
        loader.load_resident(replace(whole, labels=torch.tensor([0, 1, 0]))),
    )
    assert first.images is second.images
    assert loader.left == 2**20 - 3 * 3 * SIDE * SIDE


@pytest.mark.parametrize("mb", [0, 1])
def test_damaged_files_are_found_before_training(tmp_path: Path, mb: int) -> None:
    save(tmp_path / "cat", 2, broken=7)
    with pytest.raises(DataError) as caught:
        folder(tmp_path, 16, resident_mb=mb)
    lines = str(caught.value).splitlines()
    assert lines[0] == "7 images cannot be read; replace or remove:"
    assert lines[1].startswith(f"  {tmp_path / 'cat' / 'broken0.png'}: cannot identify image file")
    assert lines[6:] == ["  and 2 more", "or leave out with on_bad_image: skip"]


@pytest.mark.parametrize("mb", [0, 1])
def test_damaged_files_can_be_skipped(tmp_path: Path, mb: int) -> None:
    save(tmp_path / "cat", 2, broken=1)
    save(tmp_path / "dog", 3)
    domain = folder(tmp_path, 16, resident_mb=mb, on_bad_image="skip")
    assert domain.images[:][:, 0, 0, 0].tolist() == [0, 1, 0, 1, 2]
    assert domain.labels is not None
    assert domain.labels.tolist() == [0, 0, 1, 1, 1]
    (note,) = domain.notes
    assert note.splitlines()[0] == f"{tmp_path.name}: 1 image of 6 cannot be read and left out:"
    assert "broken0.png: cannot identify" in note


def test_nothing_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no image can be read, of 2:\n  .*broken0\.png"):
        folder(save(tmp_path, 0, broken=2), 16, on_bad_image="skip")


def test_a_class_of_which_nothing_is_left(tmp_path: Path) -> None:
    save(tmp_path / "cat", 2)
    save(tmp_path / "dog", 0, broken=3)
    save(tmp_path / "owl", 1, broken=1)
    with pytest.raises(DataError) as caught:
        folder(tmp_path, 16, on_bad_image="skip")
    message = str(caught.value)
    assert (
        "no image can be read of class 'dog'; replace them, or leave the class out by class_map: {dog: null}" in message
    )
    assert "4 images of 7 cannot be read and left out" in message
    assert "owl" not in message.splitlines()[0]
    kept = folder(tmp_path, 16, on_bad_image="skip", class_map={"dog": None})
    assert kept.classes == ("cat", "owl")


def test_the_pair_says_what_stays_a_file_and_what_was_skipped(tmp_path: Path) -> None:
    for domain in ("photos", "sketches"):
        save(tmp_path / domain / "cat", 3, broken=domain == "sketches")
        save(tmp_path / domain / "dog", 1)
    values: dict[str, Any] = {
        name: {"folder": tmp_path / path} for name, path in (("source", "photos"), ("target", "sketches"))
    }
    pair = build_pair(DataConfig(**values, on_bad_image="skip", image_size=SIDE, resident_mb=1))
    assert memory_note(pair) == (
        "decoded while training: the files of target; data.resident_mb=2 would hold all images in memory, "
        "data.cache=FOLDER decode them once"
    )
    (note,) = pair.notes
    assert note.startswith("sketches: 1 image of 5 cannot be read and left out:\n  ")
    assert memory_note(build_pair(DataConfig(pair="digits"))) is None
    with pytest.raises(DataError, match=r"^data\.target: 1 image cannot be read; replace or remove:\n  .*broken0\.png"):
        build_pair(DataConfig(**values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_size": 4}, "image_size: got 4; input should be greater than or equal to 8"),
        ({"resize": "crp"}, "resize: got 'crp'; input should be 'crop', 'pad' or 'stretch'"),
        ({"on_bad_image": "ignore"}, "on_bad_image: got 'ignore'; input should be 'error' or 'skip'"),
        ({"resident_mb": -1}, "resident_mb: got -1; input should be greater than or equal to 0"),
        ({"workers": 0}, "workers: got 0; input should be greater than or equal to 1"),
    ],
)
def test_values_that_do_not_hold(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        reading_config(**values)
    assert str(caught.value) == message
