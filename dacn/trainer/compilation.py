"""torch.compile of the network, and its replay as CUDA graphs."""

import torch
from torch import nn

from dacn.algorithms.base import Algorithm
from dacn.errors import RecipeError
from dacn.models.classifier import Classifier
from dacn.nn import LatentContextNorm, MixtureNorm, processes
from dacn.trainer.config import TrainConfig


def compile_network(model: Classifier, config: TrainConfig, device: torch.device) -> None:
    """Have the parts that nearly all of the time goes into compiled when they are first called, if the recipe says so.

    They stay where they are in ``model``: its weights and its copies are those of a network that is not compiled.
    """
    if not config.compiles_on(device):
        return
    for part in (model.input_norm, model.backbone):
        if not isinstance(part, nn.Identity):
            part.compile(mode="reduce-overhead" if config.graphs_on(device) else "default")


def begin_step(config: TrainConfig, device: torch.device) -> None:
    """Tell CUDA graphs that the last step's tensors are no longer needed."""
    if config.graphs_on(device):
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]


def require_graphs(config: TrainConfig, algorithm: Algorithm, device: torch.device) -> None:
    """Make sure that CUDA graphs, if the recipe asks for them on this device, can replay the network.

    Raises:
        RecipeError: gradients would add up over several replays, of which each writes over the last one's; or a layer
            works on the host now and then, which no graph does.
    """
    if not config.graphs_on(device):
        return
    if config.micro_batches > 1 or processes.count() > 1:
        raise RecipeError(
            "train.compile: graphs needs train.micro_batches 1 and one process, for each replay writes over the last "
            "one's gradients; use auto"
        )
    on_host = [layer for layer in algorithm.modules() if isinstance(layer, MixtureNorm | LatentContextNorm)]
    if on_host:
        name = type(on_host[0]).__name__
        raise RecipeError(f"train.compile: graphs cannot replay {name}, which works on the host; use auto")
