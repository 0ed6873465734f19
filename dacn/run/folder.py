"""Checks, locks and clears the folder that a run is written to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dacn.errors import DacnError

PROJECTOR = ("tensors.tsv", "metadata.tsv", "sprite.png")
FILES = (
    *("recipe.yaml", "environment.json", "metrics.jsonl", "summary.json", "tracking.json"),
    *("checkpoints/*.pt", "checkpoints/*.partial", "tensorboard/events.out.tfevents.*", "figures/*.png"),
    *("tensorboard/projector_config.pbtxt", *(f"tensorboard/*/features/{name}" for name in PROJECTOR)),
)
"""Everything that a run writes, as patterns."""


def require_free(out: Path, *, resume: bool, force: bool) -> None:
    """Make sure that a run may be written to ``out``; nothing is changed yet.

    Args:
        out: the run folder, which need not exist.
        resume: the run that is there goes on.
        force: the run that is there may be removed.

    Raises:
        DacnError: a run is there already, or the folder cannot be written.
    """
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        why = "cannot be written to" if existing.is_dir() else "is a file"
        raise DacnError(f"--out {out}: {existing} {why}; choose another folder")
    if resume or force:
        return
    if (out / "summary.json").exists():
        raise DacnError(
            f"{out}: already holds a finished run; choose another --out, --resume to go on with it, "
            "or --force to overwrite it"
        )
    if (out / "checkpoints" / "last.pt").exists():
        raise DacnError(
            f"{out}: holds an unfinished run; --resume goes on with it, --force overwrites it, or choose another --out"
        )


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep ``out``, an existing folder, for this process alone; a process that dies leaves no lock behind.

    Raises:
        DacnError: another process has it.
    """
    lock = FileLock(out / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DacnError(
            f"{out}: another dacn is writing to this folder; wait for it, stop it, or choose another --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


def clear(out: Path) -> None:
    """Remove the run in ``out``; files that no run writes stay."""
    folders = {out / Path(pattern).parent for pattern in FILES if "*/" not in pattern} - {out}
    for file in [file for pattern in FILES for file in out.glob(pattern)]:
        file.unlink()
        folders |= set(file.parents) - set(out.parents) - {out}
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
