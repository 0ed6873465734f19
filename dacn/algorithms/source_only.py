"""No adaptation: the floor that every method is measured from."""

from typing import Literal

import torch
import torch.nn.functional as F

from dacn.algorithms.base import Algorithm, Losses
from dacn.batch import Batch
from dacn.config import Config


class SourceOnlyConfig(Config):
    """Supervised training on the source."""

    name: Literal["source_only"] = "source_only"


class SourceOnly(Algorithm):
    """Cross-entropy on weak and strong source views, as AdaMatch's source part; target images are not looked at."""

    uses_target = False

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Return the source's loss."""
        images = torch.cat([batch.source.weak, batch.source.strong])  # (2B, 3, H, W)
        logits = self.model(images, batch.source_context.repeat(2))  # (2B, K)
        loss = F.cross_entropy(logits, batch.labels.repeat(2))  # the mean of both views' means
        return Losses(loss, {"loss/source": loss.detach()})
