"""Records what a run depends on besides its recipe: versions, commit, device, command."""

import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dacn.nn.passes.native import made_by

LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn", "pydantic")
OPTIONAL = {"timm"}
"""Libraries that a run depends on where it has imported them."""


def describe_environment(device: torch.device, seed: int, command: Sequence[str]) -> dict[str, Any]:
    """Return the versions, the commit, the device, what norm layers run on, the command and where it was given,
    the seed and the time."""
    return {
        "dacn": version("dacn"),
        "commit": commit(Path(__file__).parents[1]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: version(name) for name in (*LIBRARIES, *(OPTIONAL & sys.modules.keys()))},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "norm_passes": made_by(),
        "command": list(command),
        "working_directory": str(Path.cwd()),
        "seed": seed,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def commit(package: Path) -> str | None:
    """Return the commit that ``package`` is at, with ``+`` where its files differ from it.

    None where it is no part of a checkout, or only lies in the checkout of another project, or git is not there.
    """
    package = package.resolve()
    try:
        top, head = _git(package, "rev-parse", "--show-toplevel", "--short=7", "HEAD").splitlines()
        if Path(top).resolve() != package.parent:
            return None
        changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", str(package))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return f"{head}{'+' if changed.strip() else ''}"


def processor() -> str:
    """Return what this machine's processor is called."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{(names or [platform.processor() or platform.machine()])[0]} CPU"


def _git(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10)
    return ran.stdout
