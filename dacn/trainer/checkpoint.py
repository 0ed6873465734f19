"""Checkpoints: written whole or not at all, checked when they are read, and read without running code."""

import os
import shutil
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from dacn.errors import DataError


def save_checkpoint(path: Path, state: dict[str, Any], *, keep_previous: bool = False) -> None:
    """Write ``state`` (tensors and plain values) to a temporary name, flush it to disk, then rename it.

    Args:
        path: the file; what stood there stays until the new one is complete.
        state: tensors and plain values.
        keep_previous: what stood there stays afterwards too, as `previous_of` names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = BytesIO()  # torch writing to a full disk itself would raise something that does not say so
    torch.save(state, content)
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    if keep_previous and path.exists():
        _second_name(path, previous_of(path))
    partial.replace(path)
    _flush_folder(path.parent)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return what `save_checkpoint` wrote, its tensors on the CPU: whoever takes them moves them.

    Raises:
        DataError: there is no such file, it is no checkpoint, or a checksum does not hold.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such checkpoint; `dacn train` writes last.pt and selected.pt")
    try:
        with ZipFile(path) as records:  # torch's format is a zip file, with a checksum of each record
            damaged = records.testzip()
        if damaged is not None:
            raise DataError(f"{path}: damaged, the checksum of {damaged} does not hold")
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, UnpicklingError, BadZipFile, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path}: damaged, or not a dacn checkpoint ({reason})") from error
    if not isinstance(state, dict):
        raise DataError(f"{path}: damaged, or not a dacn checkpoint (holds {type(state).__name__}, expected a mapping)")
    return state


def load_latest(path: Path) -> tuple[dict[str, Any], str | None]:
    """Return the checkpoint at ``path``, or the one before where that is damaged, and what to warn of.

    Raises:
        DataError: neither can be read; the message is about the first.
    """
    try:
        return load_checkpoint(path), None
    except DataError as error:
        previous = previous_of(path)
        if not previous.is_file():
            raise
        return load_checkpoint(previous), f"{error}; going on from the one before, {previous.name}"


def has_checkpoint(path: Path) -> bool:
    """Whether there is something for `load_latest` to load."""
    return path.exists() or previous_of(path).exists()


def previous_of(path: Path) -> Path:
    """Return where the checkpoint before the one at ``path`` is kept.

    >>> previous_of(Path("checkpoints/last.pt")).name
    'last.previous.pt'
    """
    return path.with_suffix(f".previous{path.suffix}")


def _second_name(path: Path, other: Path) -> None:
    """Make ``other`` the file at ``path`` as it is now; at no moment is either of the names without a whole file."""
    partial = other.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(path, partial)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, partial)
    partial.replace(other)


def _flush_folder(folder: Path) -> None:
    """Have the new name on disk, not only the content. Windows has no such call and does not need it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
