"""One run by several processes, started by torchrun: each has a share of every batch, the first one writes."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from dacn.algorithms.base import Algorithm
from dacn.errors import RecipeError
from dacn.nn import LatentContextNorm, MixtureNorm, processes
from dacn.trainer.config import TrainConfig

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others before it fails."""


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started beside this one, if it did, and yield this one's device.

    Processes talk by gloo on a CPU and by nccl on GPUs, one GPU a process.

    Args:
        device: ``cpu`` or ``cuda``.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not dist.is_available():
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, rank, count = next(rendezvous("env://"))
    # Processes that were started anew would find in the store where the dead ones had listened, and wait for them.
    attempt = PrefixStore(f"attempt{_restarts()}", store)
    dist.init_process_group(backend, store=attempt, rank=rank, world_size=count, timeout=PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


@contextmanager
def rank_folder(out: Path) -> Iterator[Path]:
    """Yield where this process writes: ``out`` for the first one; what the others write is thrown away."""
    if processes.is_first():
        yield out
    else:
        with TemporaryDirectory() as folder:
            yield Path(folder)


def is_first_rank() -> bool:
    """Whether this process is the one that prints, also before and after it has joined the others."""
    return int(os.environ.get("RANK", "0")) == 0


def restarted() -> bool:
    """Whether torchrun has started these processes anew after one of them had died."""
    return _restarts() > 0


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def require_even_shares(config: TrainConfig) -> None:
    """Make sure that a step's images can be shared out evenly to the processes and their micro-batches.

    Raises:
        RecipeError: they cannot.
    """
    parts = processes.count() * config.micro_batches
    if config.source_batch % parts:
        near = max(1, round(config.source_batch / parts)) * parts
        raise RecipeError(
            f"train.source_batch: {config.source_batch} images cannot be shared evenly by {processes.count()} "
            f"process(es) of {config.micro_batches} micro-batch(es); expected a multiple of {parts}, such as {near}"
        )


def require_shared_statistics(algorithm: Algorithm) -> None:
    """Make sure that every layer's statistics can be shared by the processes.

    Raises:
        RecipeError: one is fitted to the rows of a single process.
    """
    apart = {
        type(layer).__name__ for layer in algorithm.modules() if isinstance(layer, MixtureNorm | LatentContextNorm)
    }
    if apart and processes.count() > 1:
        raise RecipeError(
            f"model.norm: {', '.join(sorted(apart))} fits its components to the rows of one process, so that "
            f"{processes.count()} would train different networks; use bn, cn or acn, or one process"
        )


def parallel(algorithm: Algorithm) -> nn.Module:
    """Return what makes the losses: the algorithm, its gradients averaged over the processes."""
    if processes.count() == 1:
        return algorithm
    with warnings.catch_warnings():  # newer versions of torch rename the option, in a way that older ones do not know
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        return DistributedDataParallel(algorithm, broadcast_buffers=False)


def without_averaging(network: nn.Module) -> Any:
    """Return a context in which backward passes leave their gradients to a later one that averages them."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()
