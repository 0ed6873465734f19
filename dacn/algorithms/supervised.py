"""Plain supervised training on whatever is labelled."""

from typing import Literal

import torch
import torch.nn.functional as F

from dacn.algorithms.base import Algorithm, Losses
from dacn.batch import Batch
from dacn.config import Config


class SupervisedConfig(Config):
    """Supervised training on the labelled images; with data.oracle those of the target: the ceiling."""

    name: Literal["supervised"] = "supervised"


class Supervised(Algorithm):
    """Cross-entropy on weak and strong views, as AdaMatch's source part; unlabelled images are not looked at."""

    uses_target = False

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Return the labelled images' loss."""
        images = torch.cat([batch.source.weak, batch.source.strong])  # (2B, 3, H, W)
        logits = self.model(images, batch.source_context.repeat(2))  # (2B, K)
        loss = F.cross_entropy(logits, batch.labels.repeat(2))  # the mean of both views' means
        return Losses(loss, {"loss/source": loss.detach()})
