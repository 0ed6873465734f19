"""No adaptation: the floor that every method is measured from, and AdaBN on top of it."""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from dacn.algorithms.supervised import LabelledViews, Supervised
from dacn.data.read.images import Images, batches
from dacn.data.views.augment import to_input
from dacn.errors import RecipeError
from dacn.models.classifier import Classifier
from dacn.nn import ContextBatchNorm


class SourceOnlyConfig(LabelledViews):
    """Supervised training on the source; with adabn the target's statistics are estimated afterwards."""

    name: Literal["source_only"] = "source_only"
    adabn: bool = Field(False, description="estimate the target's batch statistics before each evaluation; norm: cn")


class SourceOnly(Supervised):
    """Supervised training on the source; target images are not looked at.

    With ``adabn`` the target's running statistics are estimated from its training images before each evaluation, and
    nothing else is adapted. The layers keep both domains' statistics side by side (`ContextBatchNorm`), so the context
    matrix shows the network with and without: target data under the target's and under the source's context.

    Departures: the statistics are means over those of batches of 500 images, in a single pass with the layers below in
    training mode. The paper's are over all target images, so that its variance has that of the batches' means in it.

    Args:
        config: see `SourceOnlyConfig`.
        model: the network.
        num_classes: K.

    Raises:
        RecipeError: ``adabn`` without a layer that keeps batch statistics for each context.

    Reference: AdaBN, arXiv 1603.04779.
    """

    def __init__(self, config: SourceOnlyConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.uses_target = self.between_domains = config.adabn
        if config.adabn and not any(isinstance(layer, ContextBatchNorm) for layer in model.modules()):
            raise RecipeError(
                "algorithm.adabn: true needs layers with batch statistics for each context: model.norm: cn"
            )

    def before_evaluation(self, model: nn.Module, target: Images, context: int) -> None:
        """Estimate the target's statistics, if asked to."""
        if self.config.adabn:
            estimate_statistics(model, target, context)


@torch.no_grad()
def estimate_statistics(model: nn.Module, images: Images, context: int, batch_size: int = 500) -> None:
    """Set the running statistics of one context to the mean of the batch statistics of ``images``.

    Args:
        model: called as ``model(x, context)``; nothing but its `ContextBatchNorm` layers' buffers changes.
        images: of that context.
        context: its index.
        batch_size: images at a time.

    Shape: images ``(N, 3, H, W)`` uint8.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, ContextBatchNorm)]
    momenta = [layer.momentum for layer in layers]
    model.train()
    for done, rows in enumerate(batches(images, batch_size)):
        for layer in layers:
            layer.momentum = 1 / (done + 1)  # the running mean over batches, from the first one on
        model(to_input(rows), torch.full((len(rows),), context, device=rows.device))
    model.eval()
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
