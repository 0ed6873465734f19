"""Fingerprints hold on to what the images are, and to nothing else."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dacn.data.domain import DomainPair
from dacn.data.fingerprint import differences, fingerprint, fingerprints
from dacn.data.pair.pairs import DataConfig, build_pair
from tests import made_up


def draw(folder: Path, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for index in range(count):
        Image.fromarray(random.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{index:03}.bmp")


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    for seed, (part, classes) in enumerate({"src": ["a", "b"], "tgt": [""], "tst": ["a", "b"]}.items()):
        for number, name in enumerate(classes):
            draw(tmp_path / "one" / part / name, 4, 10 * seed + number)
    return tmp_path / "one"


def config(home: Path, **more: Any) -> DataConfig:
    parts = {"source": {"folder": home / "src"}, "target": {"folder": home / "tgt"}}
    return DataConfig(**{**parts, "target_test": {"folder": home / "tst"}, "image_size": 16, **more})


def of(home: Path, **more: Any) -> dict[str, Any]:
    return fingerprints(build_pair(config(home, **more)))


def test_the_same_images_elsewhere_under_other_names_and_sizes(drawn: Path, tmp_path: Path) -> None:
    before = of(drawn)
    assert {key: value["images"] for key, value in before.items()} == {"source": 8, "target": 8 // 2, "target_test": 8}
    two = tmp_path / "two"
    shutil.copytree(drawn, two)
    (two / "tgt" / "000.bmp").rename(two / "tgt" / "zzz.bmp")
    assert of(two) == before
    assert of(drawn, image_size=8, resize="stretch") == before
    assert of(drawn, resident_mb=0) == before


@pytest.mark.parametrize("change", ["one pixel", "one less", "one more", "another class"])
def test_other_images(drawn: Path, change: str) -> None:
    before, file = of(drawn), drawn / "src" / "a" / "002.bmp"
    match change:
        case "one pixel":
            content = bytearray(file.read_bytes())
            content[-1] ^= 1
            file.write_bytes(content)
        case "one less":
            file.unlink()
        case "one more":
            shutil.copy(file, file.with_name("more.bmp"))
        case "another class":
            file.rename(drawn / "src" / "b" / "moved.bmp")
    (told,) = differences(before, of(drawn))
    counts = {"one less": "8 images then, 7 now", "one more": "8 images then, 9 now"}
    assert told == f"source: {counts.get(change, '8 images as then, but not the same ones, or of other classes')}"


def test_a_part_that_comes_or_goes(drawn: Path) -> None:
    without = of(drawn, target_test=None)
    assert differences(of(drawn), without) == ["target_test: none now"]
    assert differences(without, of(drawn)) == ["target_test: none then"]


def test_an_archive_its_copy_and_another(drawn: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    images, labels = random.integers(0, 256, (6, 9, 9, 3), dtype=np.uint8), np.arange(6) % 2

    def made(name: str, images: Any) -> Any:
        np.savez(tmp_path / name, images=images, labels=labels, classes=np.array(["a", "b"]))
        return of(drawn, source={"npz": tmp_path / name})["source"]

    first = made("a.npz", images)
    assert made("b.npz", images) == first
    assert made("c.npz", images[::-1]) != first  # other images of each class
    other = images.copy()
    other[3, 0, 0, 0] ^= 1
    assert made("d.npz", other)["digest"] != first["digest"]


def test_several_sources_and_a_python_function(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_images.py").write_text(
        "import torch\nTINT = 0\n"
        "class Set(list):\n    classes = ['a', 'b']\n"
        "def images():\n"
        "    return Set((torch.full((3, 16, 16), 9 * i + TINT, dtype=torch.uint8), i % 2) for i in range(4))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sources = [{"folder": drawn / "src"}, {"python": "own_images:images"}]
    first = of(drawn, source=sources)
    assert first["source"]["images"] == 12
    assert of(drawn, source=sources, resident_mb=0) == first
    import own_images  # type: ignore[import-not-found]

    monkeypatch.setattr(own_images, "TINT", 1)
    assert [*differences(first, of(drawn, source=sources))] == [
        "source: 12 images as then, but not the same ones, or of other classes"
    ]


def test_subsets_are_of_the_images_that_are_in_them(drawn: Path) -> None:
    split = of(drawn, target_test=None, test_fraction=0.5)
    assert (split["source"]["images"], split["source_test"]["images"]) == (4, 4)
    assert of(drawn, target_test=None, test_fraction=0.5) == split
    assert differences(split, of(drawn, target_test=None, test_fraction=0.5, test_seed=3))


def test_contexts_of_a_file_are_data_too(drawn: Path, tmp_path: Path) -> None:
    file = tmp_path / "contexts.npz"

    def drawn_with_turn(turn: int) -> Any:
        source, test = (np.arange(8) + turn) % 2, np.arange(8) % 2
        np.savez(file, source=source, target=test[:4], target_test=test)
        return of(drawn, context={"name": "file", "path": file})

    first = drawn_with_turn(0)
    assert drawn_with_turn(0) == first
    assert differences(first, drawn_with_turn(1)) == ["context: the file gives images other contexts"]


def test_a_pair_made_in_python_goes_by_its_pixels() -> None:
    pair = made_up.pair()
    assert fingerprints(pair) == fingerprints(made_up.pair())
    images = pair.target.images.clone()  # type: ignore[union-attr]
    images[3, 0, 0, 0] += 1
    changed: DomainPair = replace(pair, target=replace(pair.target, images=images))
    assert [line.partition(":")[0] for line in differences(fingerprints(pair), fingerprints(changed))] == ["target"]


def test_other_class_names_are_other_labels() -> None:
    source = made_up.domain("reds", 6, seed=0, tint=0)
    assert fingerprint(source, ("a", "b")) != fingerprint(source, ("a", "c"))
    assert fingerprint(source, ("a", "b", "never seen")) == fingerprint(source, ("a", "b"))
    assert source.labels is not None
    turned = replace(source, labels=1 - source.labels)
    assert fingerprint(turned, ("b", "a")) == fingerprint(source, ("a", "b"))
    assert torch.equal(turned.images[:], source.images[:])
