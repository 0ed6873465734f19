"""Decoded images in a file: the same bytes as decoding gives, of these images alone, whole or not there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.data.read import cache
from dacn.data.read.cache import CachedImage
from dacn.data.read.image_file import ImageFile
from dacn.data.read.images import Streamed
from dacn.data.read.resident import memory_note
from dacn.errors import DataError
from dacn.recipe.recipe import parse_recipe
from dacn.run.run import train_recipe


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    random = np.random.default_rng(0)
    for domain in ("photos", "drawings"):
        for index in range(12):
            file = tmp_path / domain / f"class{index % 2}" / f"{index}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 100, (60, 70, 3), np.uint8)
            pixels[:, :, index % 2] += 120
            Image.fromarray(pixels).save(file)
    folders = {"source": {"folder": str(tmp_path / "photos")}, "target": {"folder": str(tmp_path / "drawings")}}
    return {**folders, "image_size": 16, "resize_size": 20, "resident_mb": 0, "cache": str(tmp_path / "cache")}


def build(data: dict[str, Any], **more: Any) -> Any:
    return build_pair(DataConfig.model_validate({**data, **more}))


def cached(data: dict[str, Any]) -> list[Path]:
    return sorted(Path(data["cache"]).iterdir())


def test_what_is_read_is_what_was_decoded(data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    held, decoded = build(data, resident_mb=100, cache=None), build(data, cache=None)
    first = build(data)
    assert [path.name.partition("-")[0] for path in cached(data)] == ["12x20", "12x20"]
    monkeypatch.setattr(ImageFile, "read", lambda self: pytest.fail("decoded again"))
    again = build(data)
    for key, domain in held.domains.items():
        for pair in (first, again):
            other = pair.domains[key]
            assert isinstance(other.images, Streamed)
            assert isinstance(other.images.items[0], CachedImage)
            assert torch.equal(domain.images[:], other.images[:])
            assert torch.equal(domain.training_images[:], other.training_images[:])
            assert torch.equal(domain.identity, other.identity)
    assert "read from" in str(memory_note(again))
    assert "data.cache=FOLDER decode them once" in str(memory_note(decoded))


def test_other_images_and_other_sizes_have_files_of_their_own(data: dict[str, Any], tmp_path: Path) -> None:
    build(data)
    build(data, image_size=18)  # the same as before: only the crop differs
    assert len(cached(data)) == 2
    build(data, resize_size=24)
    build(data, resize="pad")
    assert len(cached(data)) == 6
    Image.new("RGB", (40, 40), "red").save(tmp_path / "photos/class0/0.jpg")
    pair = build(data)
    assert len(cached(data)) == 7
    assert pair.source.training_images[:1][:, :, 0, 0].tolist() == [[254, 0, 0]]


def test_a_file_that_was_cut_short_is_written_anew(data: dict[str, Any]) -> None:
    before = build(data).source.images[:]
    (path, _) = cached(data)
    for file in cached(data):
        file.write_bytes(file.read_bytes()[:-1])
    after = build(data)
    assert torch.equal(after.source.images[:], before)
    assert path.stat().st_size == 12 * 3 * 20 * 20
    path.write_bytes(b"")
    with pytest.raises(DataError, match="was cut short"):
        torch.cat([after.source.images[:], after.target.images[:]])


def test_a_full_disk_is_told_and_images_are_decoded(data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SPARED", 2**60)
    pair = build(data)
    assert isinstance(pair.source.images.items[0], ImageFile)
    assert any("data.cache" in note and "to spare" in note for note in pair.notes)
    monkeypatch.undo()
    monkeypatch.setattr(cache.os, "fsync", lambda file: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    pair = build(data)
    assert any("no space left on device" in note for note in pair.notes)
    assert cached(data) == []


def test_a_folder_that_cannot_be_is_told(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    pair = build(data, cache=tmp_path / "file" / "cache")
    assert any("data.cache" in note for note in pair.notes)


def test_damaged_images_are_refused_or_left_out_as_ever(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "photos/class1/3.jpg").write_bytes(b"\xff\xd8\xff damaged")
    with pytest.raises(DataError, match=r"3\.jpg"):
        build(data)
    assert not any(path.name.endswith("partial") for path in cached(data))
    pair = build(data, on_bad_image="skip")
    assert len(pair.source) == 11
    assert isinstance(pair.source.images.items[0], CachedImage)
    plain = build(data, on_bad_image="skip", cache=None)
    assert torch.equal(pair.source.images[:], plain.source.images[:])
    assert torch.equal(pair.source.labels, plain.source.labels)


def test_a_run_is_the_same_with_a_cache_and_without(tmp_path: Path, data: dict[str, Any]) -> None:
    tree = {
        "augment": {"crop": [0.5, 1.0]},
        "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": "cn"},
        "train": {"steps": 2, "source_batch": 4, "target_ratio": 1},
        "evaluate": {"select": "last"},
    }
    weights, rows = [], []
    for name, more in {"cached": {}, "decoded": {"cache": None}}.items():
        train_recipe(parse_recipe(tree | {"data": data | more}, "test"), out=tmp_path / name, device="cpu")
        weights.append(torch.load(tmp_path / name / "checkpoints/last.pt", weights_only=True)["model"])
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        rows.append([json.loads(line) | {"images_per_second": 0} for line in lines])
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert rows[0] == rows[1]
