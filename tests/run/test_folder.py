"""What may be done to the folder that a run is written to."""

import os
from pathlib import Path

import pytest

from dacn.errors import DacnError
from dacn.run.folder import clear, locked, require_free


def a_run(out: Path, *names: str) -> Path:
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).touch()
    return out


def test_a_new_folder_may_be_claimed_and_is_not_made(tmp_path: Path) -> None:
    require_free(tmp_path / "a" / "b", resume=False, force=False)
    assert not (tmp_path / "a").exists()


def test_a_finished_run_is_not_overwritten(tmp_path: Path) -> None:
    out = a_run(tmp_path, "summary.json", "checkpoints/last.pt")
    with pytest.raises(DacnError) as error:
        require_free(out, resume=False, force=False)
    assert str(error.value) == (
        f"{out}: already holds a finished run; choose another --out, --resume to go on with it, "
        "or --force to overwrite it"
    )
    require_free(out, resume=True, force=False)
    require_free(out, resume=False, force=True)
    assert (out / "summary.json").exists()


def test_nor_is_an_unfinished_one(tmp_path: Path) -> None:
    with pytest.raises(DacnError, match="holds an unfinished run; --resume goes on with it"):
        require_free(a_run(tmp_path, "checkpoints/last.pt"), resume=False, force=False)


def test_clear_removes_what_a_run_writes_and_nothing_else(tmp_path: Path) -> None:
    written = ["recipe.yaml", "environment.json", "metrics.jsonl", "summary.json", "checkpoints/last.pt"]
    written += ["checkpoints/selected.pt", "checkpoints/last.partial", "figures/curves.png"]
    written += ["tensorboard/events.out.tfevents.1.host.2.0", "tensorboard/projector_config.pbtxt"]
    written += [f"tensorboard/00900/features/{name}" for name in ("tensors.tsv", "metadata.tsv", "sprite.png")]
    own = ["notes.txt", "figures/mine.svg", "checkpoints2/last.pt"]
    clear(a_run(tmp_path, *written, *own))
    left = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*"))
    assert left == sorted([*own, "figures", "checkpoints2"])


def test_an_out_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for out in (file, file / "below" / "it"):
        with pytest.raises(DacnError, match=f"--out {out}: {file} is a file; choose another folder"):
            require_free(out, resume=False, force=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_out_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DacnError, match="cannot be written to; choose another folder"):
        require_free(tmp_path / "out", resume=False, force=False)


def test_a_folder_is_one_process_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(DacnError) as error, locked(tmp_path):
            pass
        assert str(error.value) == (
            f"{tmp_path}: another dacn is writing to this folder; wait for it, stop it, or choose another --out"
        )
    with locked(tmp_path):
        pass
