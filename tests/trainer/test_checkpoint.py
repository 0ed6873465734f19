import os
from pathlib import Path

import pytest
import torch

from dacn.errors import DataError
from dacn.trainer.checkpoint import load_checkpoint, load_latest, previous_of, save_checkpoint


def test_round_trip(tmp_path: Path) -> None:
    state = {"step": 3, "model": {"w": torch.arange(4.0)}, "note": None, "list": [1, 2.5, "x"]}
    save_checkpoint(tmp_path / "new" / "last.pt", state)
    loaded = load_checkpoint(tmp_path / "new" / "last.pt")
    assert torch.equal(loaded["model"]["w"], state["model"]["w"])
    assert (loaded["step"], loaded["note"], loaded["list"]) == (3, None, [1, 2.5, "x"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["last.pt"]


def test_what_cannot_be_written_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(path, {"step": lambda: 2})
    assert load_checkpoint(path) == {"step": 1}


def test_absent_and_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with pytest.raises(DataError, match=r"last\.pt: there is no such checkpoint"):
        load_checkpoint(path)
    save_checkpoint(path, {"w": torch.zeros(1000)})
    whole = path.read_bytes()
    for damaged in (b"", b"not a checkpoint", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"last\.pt: damaged, or not a dacn checkpoint"):
            load_checkpoint(path)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_a_checkpoint_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Hostile()}, tmp_path / "last.pt")
    with pytest.raises(DataError, match="damaged, or not a dacn checkpoint"):
        load_checkpoint(tmp_path / "last.pt")
    assert not (tmp_path / "harmed").exists()


def flip_a_bit_of_the_weights(path: Path) -> None:
    """As a bad disk does: the file is whole, and one number in it is another."""
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((1000,), 7.0).numpy().tobytes()) + 3] ^= 1
    path.write_bytes(content)


def test_one_wrong_bit_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"w": torch.full((1000,), 7.0)})
    flip_a_bit_of_the_weights(path)
    with pytest.raises(DataError, match=r"last\.pt: damaged, the checksum of \S+ does not hold"):
        load_checkpoint(path)


def test_the_one_before_is_used_where_the_last_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    for step in (1, 2, 3):
        save_checkpoint(path, {"step": step, "w": torch.full((1000,), 7.0)}, keep_previous=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.previous.pt", "last.pt"]
    state, warning = load_latest(path)
    assert (state["step"], warning) == (3, None)
    for damage in (flip_a_bit_of_the_weights, lambda file: file.write_bytes(file.read_bytes()[:900]), Path.unlink):
        save_checkpoint(path, {"step": 3, "w": torch.full((1000,), 7.0)})
        damage(path)
        state, warning = load_latest(path)
        assert state["step"] == 2
        assert warning is not None
        assert "going on from the one before, last.previous.pt" in warning
    previous_of(path).write_bytes(b"")
    with pytest.raises(DataError, match=r"previous\.pt: damaged"):
        load_latest(path)


def test_without_hard_links_the_previous_one_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError("not supported here")

    monkeypatch.setattr(os, "link", no_links)
    for step in (1, 2):
        save_checkpoint(tmp_path / "last.pt", {"step": step}, keep_previous=True)
    assert load_checkpoint(tmp_path / "last.previous.pt") == {"step": 1}


def test_a_list_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "last.pt")
    with pytest.raises(DataError, match="holds list, expected a mapping"):
        load_checkpoint(tmp_path / "last.pt")
