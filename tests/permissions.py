"""Root may read everything; tests of folders without permission take that right away for a while."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_READS_ALL = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def without_permission(*folders: Path, mode: int = 0) -> Iterator[None]:
    """Give folders a mode, and be an ordinary user meanwhile."""
    if sys.platform != "linux" and os.geteuid() == 0:
        pytest.skip("root reads everything here")
    before = [folder.stat().st_mode for folder in folders]
    for folder in folders:
        folder.chmod(mode)
    capable = _effective(drop=_READS_ALL) if sys.platform == "linux" else None
    try:
        yield
    finally:
        if capable is not None:
            _effective(restore=capable)
        for folder, was in zip(reversed(folders), reversed(before), strict=True):
            folder.chmod(was)


def _effective(*, drop: int = 0, restore: int | None = None) -> int:
    """Change this thread's effective capabilities; return what they were (capget(2), version 3)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    assert libc.capget(header, sets) == 0
    was = int(sets[0])
    sets[0] = was & ~drop if restore is None else restore
    assert libc.capset(header, sets) == 0
    return was
