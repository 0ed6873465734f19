"""Eight steps of training in double precision, by one process or by two that share every batch."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dacn.algorithms import AdaMatch, AdaMatchConfig, Dann, DannConfig
from dacn.algorithms.base import Algorithm
from dacn.batch import SOURCE, TARGET, Batch, Views, micro_batches
from dacn.models.build import ModelConfig, build_model
from dacn.nn import open_renorm, processes
from dacn.nn.shared_batch_norm import share_statistics
from dacn.trainer.distributed import parallel, without_averaging

STEPS, SOURCES, TARGETS, CLASSES = 8, 8, 16, 3
CASES: dict[str, tuple[str, Any, Any]] = {
    "adamatch acn": ("adamatch", "acn", "acn"),
    "adamatch acn by the task": ("adamatch", "acn", {"name": "acn", "fit": "task"}),
    "adamatch acn_base": ("adamatch", "acn_base", "none"),
    "adamatch cn": ("adamatch", "none", "cn"),
    "adamatch bn": ("adamatch", "none", "bn"),
    "dann bn": ("dann", "none", "bn"),
    "dann none": ("dann", "none", "none"),
}


def build(case: str) -> Algorithm:
    method, input_norm, norm = CASES[case]
    torch.manual_seed(0)
    backbone = {"name": "small_cnn", "width": 4}
    model = build_model(ModelConfig(backbone=backbone, input_norm=input_norm, norm=norm), CLASSES, 2)
    share_statistics(model, torch.device("cpu"))
    algorithm = (
        AdaMatch(AdaMatchConfig(), model, CLASSES) if method == "adamatch" else Dann(DannConfig(), model, CLASSES)
    )
    return algorithm.double()


def batches() -> Callable[[], Batch]:
    """Return a function that makes the next batch: of the same images in every process, of which each has its share."""
    generator = torch.Generator().manual_seed(1)

    def images(count: int) -> Tensor:
        return processes.own(torch.randn(count, 3, 16, 16, generator=generator, dtype=torch.float64))

    def batch() -> Batch:
        source, target = Views(images(SOURCES), images(SOURCES)), Views(images(TARGETS), images(TARGETS))
        labels = processes.own(torch.arange(SOURCES) % CLASSES)
        contexts = [torch.full((len(views.weak),), c) for views, c in ((source, SOURCE), (target, TARGET))]
        return Batch(source, labels, contexts[0], target, contexts[1])

    return batch


def train(case: str, parts: int = 1) -> tuple[list[float], dict[str, Tensor]]:
    """Return the loss of each step over the whole batch, and weights and buffers in the end."""
    algorithm, batch, losses = build(case), batches(), []
    network = parallel(algorithm)
    optimizer = torch.optim.SGD(algorithm.parameters(), 0.05, momentum=0.9)
    for step in range(STEPS):
        open_renorm(algorithm, step / STEPS)
        *first, last = micro_batches(batch(), parts)
        with without_averaging(network):
            totals = [backward(network, part, step / STEPS, parts) for part in first]
        totals.append(backward(network, last, step / STEPS, parts))
        losses.append(float(processes.mean(torch.stack(totals).mean())))
        optimizer.step()
        optimizer.zero_grad()
    return losses, {name: tensor.clone() for name, tensor in algorithm.state_dict().items()}


def backward(network: torch.nn.Module, batch: Batch, progress: float, parts: int) -> Tensor:
    total: Tensor = network(batch, progress).total
    (total / parts).backward()
    return total.detach()


def work(rank: int, folder: str) -> None:
    """Train every case beside one other process, and write what came out."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save({case: train(case) for case in CASES}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()
