"""Checkpoints: written whole or not at all, read without running code."""

import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from dacn.errors import DataError


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) to a temporary name, flush it to disk, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return what `save_checkpoint` wrote, its tensors on the CPU: whoever takes them moves them.

    Raises:
        DataError: there is no such file, or it is no checkpoint.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such checkpoint; `dacn train` writes last.pt and selected.pt")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path}: damaged, or not a dacn checkpoint ({reason})") from error
    return state
