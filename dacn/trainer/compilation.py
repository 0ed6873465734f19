"""torch.compile of the network, and what stands against replaying the whole step as a CUDA graph."""

import torch
from torch import nn

from dacn.algorithms.base import Algorithm
from dacn.errors import RecipeError
from dacn.models.classifier import Classifier
from dacn.nn import LatentContextNorm, MixtureNorm, processes
from dacn.trainer.config import TrainConfig


def compile_network(model: Classifier, config: TrainConfig, device: torch.device) -> None:
    """Have the parts that nearly all of the time goes into compiled when they are first called, if the recipe says so.

    They stay where they are in ``model``: its weights and its copies are those of a network that is not compiled. Each
    size of batch is compiled by itself, for a run has few of them: the whole step's, and the source's alone.
    """
    if not config.compiles_on(device):
        return
    for part in (model.input_scale, model.input_norm, model.backbone):
        if part is not None and not isinstance(part, nn.Identity):
            part.compile(dynamic=False)


def require_graphs(config: TrainConfig, algorithm: Algorithm, device: torch.device) -> None:
    """Make sure that a CUDA graph, if the recipe asks for one on this device, can replay a whole step.

    Raises:
        RecipeError: the step is shared by several processes or made in several parts, or something in it works on the
            host now and then, which no graph does.
    """
    if not config.graphs_on(device):
        return
    if config.micro_batches > 1 or processes.count() > 1:
        raise RecipeError(
            "train.compile: graphs replays a whole step by one GPU, so it needs train.micro_batches 1 and one process, "
            f"got {config.micro_batches} and {processes.count()}; use auto"
        )
    if config.checkpoint_gradients:
        raise RecipeError(
            "train.compile: graphs cannot replay train.checkpoint_gradients, which keeps the state of random numbers "
            "in each step; use auto"
        )
    on_host = [layer for layer in algorithm.modules() if isinstance(layer, MixtureNorm | LatentContextNorm)]
    if on_host:
        name = type(on_host[0]).__name__
        raise RecipeError(f"train.compile: graphs cannot replay {name}, which works on the host; use auto")
    if algorithm.asks_device:
        raise RecipeError(
            "train.compile: graphs cannot replay this algorithm as it is set up, for its step asks the GPU for a value "
            "(asks_device); use auto"
        )
