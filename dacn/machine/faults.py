"""Turns a full disk or exhausted memory into a one-line error that says how to go on."""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from dacn.errors import RunError

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "files may not grow that large here",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "it may not be written",
    errno.EPERM: "it may not be written",
    errno.EIO: "the disk reports an error",
}


@contextmanager
def explained(out: Path) -> Iterator[None]:
    """Turn running out of disk or memory into a RunError; every other error passes.

    The thread that writes TensorBoard's files meets a full disk too, and has nothing to add.

    Args:
        out: the run folder.

    Raises:
        RunError: what ran out, what is kept and how to go on.
    """
    former = threading.excepthook
    threading.excepthook = lambda args: None if _cannot_write(args.exc_value) else former(args)
    try:
        yield
    except OSError as error:
        if not _cannot_write(error):
            raise
        file = f"{error.filename}: " if error.filename else ""
        raise RunError(f"{file}cannot write the run, {_reason(error)} ({out}); {_kept(out)}") from error
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise RunError(
            "out of memory; raise train.micro_batches, which passes a step through the network in parts, or lower "
            "train.source_batch or train.target_ratio (evaluate.batch_size if it happened in an evaluation, "
            f"data.resident_mb or data.image_size if the images do not fit); {_kept(out)}"
        ) from error
    finally:
        threading.excepthook = former


def _cannot_write(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and _reason(error) is not None


def _reason(error: OSError) -> str | None:
    return None if error.errno is None else _REASONS.get(error.errno)


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that there is too little memory, of the machine or of a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "DefaultCPUAllocator" in str(error)  # torch has no class of its own for this on a CPU


def _kept(out: Path) -> str:
    last = out / "checkpoints" / "last.pt"
    return f"{last} is whole, go on with --resume" if last.exists() else "no checkpoint had been written yet"
