"""What the trainer knows of an algorithm."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dacn.batch import Batch
from dacn.data.domain import DomainPair
from dacn.data.read.images import Images
from dacn.models.classifier import Classifier


class Losses(NamedTuple):
    """One step's result."""

    total: Tensor  # (), what is minimized
    parts: dict[str, Tensor]  # scalars () or vectors (K,) to log, on the total's device: loss terms, kept share, ...


def mean_losses(losses: Sequence[Losses]) -> Losses:
    """Return the means of what the parts of a batch gave."""
    if len(losses) == 1:
        return losses[0]
    totals = torch.stack([each.total.detach() for each in losses])
    names = losses[0].parts
    return Losses(totals.mean(), {name: torch.stack([each.parts[name] for each in losses]).mean(0) for name in names})


class Algorithm(nn.Module):
    """A method: networks and state as parameters and buffers, one forward that makes the losses.

    It holds no optimizer, no device and no logger, so that one object is compiled, wrapped, saved and moved.

    Args:
        config: the method's own.
        model: the network that is trained, averaged and evaluated.
        num_classes: K.

    Attributes:
        uses_target: whether target images are looked at, in training or before evaluation. Where they are not, the
            target's context stays untrained and the network is evaluated on target images with the context unknown.
        uses_strong: whether strong views are looked at; where not, they are not made and the weak ones stand in.
        between_domains: whether the method makes sense only where source and target are different domains.
        asks_device: whether a step asks for the value of a tensor. On a GPU the host waits for it then, and the step
            cannot be replayed as a graph (``train.compile: graphs``).
        label_smoothing: of the labelled images' cross-entropy, 0 to 1; whoever builds the method sets it.
        takes_fewer_classes: whether it reckons with a target that lacks classes of the source, or takes no notice of
            how frequent classes are.
        config_class: what makes the config of a method outside dacn from a recipe's ``algorithm.options``.
    """

    uses_target = True
    uses_strong = True
    between_domains = False
    asks_device = False
    label_smoothing = 0.0
    takes_fewer_classes = False
    config_class: Callable[..., Any] | None = None

    def __init__(self, config: Any, model: Classifier, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.model = model

    def prepare(self, pair: DomainPair) -> None:
        """Take from the pair what the method must know of it before the first step; most need nothing.

        Raises:
            RecipeError: the method's options do not go with this pair.
        """

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the losses of a batch.

        Args:
            batch: views of both domains.
            progress: share of the actual number of steps that is done, 0 to 1. The trainer gives a float64 scalar on
                the device of the batch, so that what follows from it is computed there, by functions of torch.
        """
        raise NotImplementedError

    def before_evaluation(self, model: nn.Module, target: Images, context: int) -> None:
        """Do what the method still does between training and use; most do nothing.

        Args:
            model: the averaged network that will be evaluated; may be changed in place.
            target: the target's training images; `dacn.data.read.images.batches` reads them.
            context: the target's context.

        Shape: target ``(N, 3, H, W)`` uint8.
        """

    def pseudo_labels(self, probabilities: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the labels that the method would give to target predictions and which it would keep, if it gives any.

        Shape: probabilities ``(T, K)``; returns int64 ``(T,)`` and bool ``(T,)``.
        """
        return None
