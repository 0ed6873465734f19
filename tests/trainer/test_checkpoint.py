import os
from pathlib import Path

import pytest
import torch

from dacn.errors import DataError
from dacn.trainer.checkpoint import load_checkpoint, save_checkpoint


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
