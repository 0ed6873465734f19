"""What a process keeps of the memory that it frees, counted in the pages that it asks the system for."""

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import torch
from dacn.memory import keep_freed_memory

kept = keep_freed_memory() if "keep" in sys.argv else None
faults = []
for _ in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [torch.ones(2**22) for _ in range(8)]  # 16 MiB each, all of them freed at once
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(kept, min(faults[4:]))
"""


def counted(*arguments: str, **variables: str) -> tuple[str, int]:
    kept, faults = subprocess.run(
        [sys.executable, "-c", COUNT, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_kept() -> None:
    """Pages of 4 KiB would be 4,096 a tensor, huge ones 8."""
    assert counted()[1] >= 32
    kept, faults = counted("keep")
    assert kept == "True"
    assert faults < 8


def test_whoever_has_decided_is_left_alone() -> None:
    assert counted("keep", MALLOC_ARENA_MAX="4")[0] == "False"
