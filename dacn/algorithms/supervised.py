"""Plain supervised training on whatever is labelled."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dacn.algorithms.base import Algorithm, Losses
from dacn.batch import Batch
from dacn.config import Config
from dacn.models.classifier import Classifier


class LabelledViews(Config):
    """Which views of the labelled images are learned."""

    strong: bool = Field(True, description="learn the strong views beside the weak ones, as AdaMatch's source part")


class SupervisedConfig(LabelledViews):
    """Supervised training on the labelled images; with data.oracle those of the target: the ceiling."""

    name: Literal["supervised"] = "supervised"


class Supervised(Algorithm):
    """Cross-entropy on weak and strong views, as AdaMatch's source part; unlabelled images are not looked at.

    Args:
        config: which views.
        model: the network.
        num_classes: K.
    """

    uses_target = False

    def __init__(self, config: LabelledViews, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.uses_strong = config.strong

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the labelled images' loss."""
        views = batch.source if self.uses_strong else batch.source[:1]
        logits = self.model(torch.cat(views), batch.source_context.repeat(len(views)))  # (2B, K), or (B, K)
        labels = batch.labels.repeat(len(views))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)  # the mean of the views' means
        return Losses(loss, {"loss/source": loss.detach()})
