"""What a process keeps of the memory that it frees, counted in the pages that it asks the system for."""

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
import torch
from dacn.machine.memory import keep_freed_memory

kept = keep_freed_memory()
faults = []
for grown in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    # 4 MiB each, all of them freed at once, and a page more every time: glibc keeps by itself what is no larger.
    [torch.ones(2**20 + 1024 * grown) for _ in range(16)]
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(kept, min(faults[4:]))
"""


def counted(**variables: str) -> tuple[str, int]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    kept, faults = subprocess.run(
        [sys.executable, "-c", COUNT],
        env=mine | variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_kept_unless_its_user_has_decided() -> None:
    """Kept, a round asks for the pages that it has grown by; else for all of its 64 MiB anew."""
    kept, faults = counted()
    assert kept == "True"
    left_alone, fetched = counted(MALLOC_ARENA_MAX="4")
    assert left_alone == "False"
    assert 4 * faults < fetched
