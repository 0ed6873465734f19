"""Writes a file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dacn.errors import DacnError, RunError


@contextmanager
def whole_file(out: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``out``; what was written there takes the name ``out`` when all went well.

    What stood at ``out`` before stays until then, and stays for good where something went wrong.

    Args:
        out: the file; folders above it are made.

    Raises:
        DacnError: there cannot be such a file.
        RunError: writing failed.
    """
    require_writable(out)
    partial = out.with_name(f"{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(out)
    except OSError as error:
        raise RunError(f"{error.filename or out}: cannot be written ({error.strerror})") from error
    finally:
        partial.unlink(missing_ok=True)


def require_writable(out: Path) -> None:
    """Make sure, before any work is done, that a file may be written to ``out``.

    Raises:
        DacnError: it is a folder, or the folder that it would lie in cannot be written.
    """
    if out.is_dir():
        raise DacnError(f"--out {out}: is a folder; name a file in it")
    existing = next(folder for folder in out.absolute().parents if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        why = "cannot be written to" if existing.is_dir() else "is a file"
        raise DacnError(f"--out {out}: {existing} {why}; choose another place")
