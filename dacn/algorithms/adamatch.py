"""AdaMatch: unified semi-supervised learning and domain adaptation."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.statistics import call_keeping_statistics
from dacn.batch import Batch
from dacn.config import Config
from dacn.losses import (
    align_distribution,
    confident,
    interpolate_logits,
    pseudo_label_loss,
    relative_threshold,
    warm_up,
)
from dacn.models.classifier import Classifier, shares_batch_statistics
from dacn.nn import processes


class AdaMatchConfig(Config):
    """AdaMatch, arXiv 2106.04732."""

    name: Literal["adamatch"] = "adamatch"
    threshold: float = Field(0.9, gt=0, le=1, description="relative confidence threshold (tau)")
    source_marginal_decay: float = Field(0.999, ge=0, lt=1, description="of the running mean of source predictions")
    target_marginal_batches: int = Field(128, ge=1, le=100_000, description="batches in the mean of target predictions")
    target_weight: float = Field(1.0, ge=0, le=100, description="of the target loss once warmed up")


class AdaMatch(Algorithm):
    """AdaMatch as in the authors' code, google-research/adamatch.

    Departures: the second forward is skipped when no layer mixes the domains' statistics, where it would return the
    same logits; and the target marginal is the mean of the batches seen so far until there are enough of them.

    Args:
        config: thresholds and running means.
        model: the network.
        num_classes: K.

    Reference: Berthelot et al. 2022, arXiv 2106.04732, sections 3.1 to 3.4.
    """

    p_source: Tensor
    p_target_window: Tensor
    batches: Tensor
    threshold: Tensor

    def __init__(self, config: AdaMatchConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.two_forwards = shares_batch_statistics(model)
        self.register_buffer("p_source", torch.full((num_classes,), 1 / num_classes))
        window = torch.zeros(config.target_marginal_batches, num_classes)
        window[0] = 1 / num_classes  # until the first batch takes its place
        self.register_buffer("p_target_window", window)
        self.register_buffer("batches", torch.tensor(0))
        self.register_buffer("threshold", torch.tensor(config.threshold))

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Return the source and the target loss."""
        images = torch.cat([*batch.source, *batch.target])  # (2B + 2T, 3, H, W)
        context = torch.cat([*[batch.source_context] * 2, *[batch.target_context] * 2])  # (2B + 2T,)
        sources, targets = 2 * len(batch.labels), len(batch.target_context)  # 2B, T

        # Section 3.1: source logits between those with and those without the target in the batch statistics.
        alone = None
        if self.two_forwards:
            alone = self.source_alone(images[:sources], context[:sources])  # (2B, K)
        joint = self.model(images, context)
        z, target_weak, target_strong = joint.split_with_sizes([sources, targets, targets])  # (2B, K), (T, K) each
        if alone is not None:
            z = interpolate_logits(z, alone, self._uniform(z))

        # Sections 3.2 and 3.3: align the target's class marginal with the source's, keep what is as sure as the source.
        p_weak, q = z.detach()[: sources // 2].softmax(dim=1), target_weak.detach().softmax(dim=1)  # (B, K), (T, K)
        self._follow(p_weak, q)
        target_loss, keep = self.target_loss(target_strong, q)  # (), (T,)

        # Section 3.4: the losses, the source's being the mean of both views.
        source_loss = F.cross_entropy(z, torch.cat([batch.labels] * 2))
        weight = self.config.target_weight * self.warm_up(progress)
        parts = {
            "loss/source": source_loss.detach(),
            "loss/target": target_loss.detach(),
            "target_weight": torch.tensor(weight),
            "kept": keep.float().mean(),
            "threshold": self.threshold.clone(),
            "p_source": self.p_source.clone(),
            "p_target": self.p_target,
        }
        return Losses(source_loss + weight * target_loss, parts)

    def source_alone(self, images: Tensor, context: Tensor) -> Tensor:
        """Return the logits of source images by statistics of their own, ``(2B, K)``, which leave no trace."""
        logits: Tensor = call_keeping_statistics(self.model, images, context)
        return logits

    def target_loss(self, strong: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of strong logits by weak predictions, ``(T, K)`` each, and which rows are kept, ``(T,)``."""
        labels, keep = self.pseudo_labels(probabilities)
        return pseudo_label_loss(strong, labels, keep), keep

    def warm_up(self, progress: float) -> float:
        """Return the weight of the target loss, 0 to 1."""
        return warm_up(progress)

    def pseudo_labels(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return the aligned predictions' classes ``(T,)`` and whether each reaches the current threshold ``(T,)``."""
        return confident(align_distribution(probabilities, self.p_source, self.p_target), self.threshold)

    @property
    def p_target(self) -> Tensor:
        """The mean of the target's predictions over the last batches, ``(K,)``; before the first, uniform."""
        return self.p_target_window.sum(dim=0) / self.batches.clamp(1, len(self.p_target_window))

    @torch.no_grad()
    def _follow(self, source: Tensor, target: Tensor) -> None:
        """Update both marginals and the threshold with the weak views' predictions, ``(B, K)`` and ``(T, K)``."""
        p_source, p_target = (processes.mean(p.mean(dim=0).to(self.p_source)) for p in (source, target))  # (K,) each
        self.p_source.lerp_(p_source, 1 - self.config.source_marginal_decay)
        slot = (self.batches % len(self.p_target_window))[None]
        self.p_target_window.index_copy_(0, slot, p_target[None])
        self.batches.add_(1)
        self.threshold.copy_(processes.mean(relative_threshold(source, self.config.threshold)))

    @staticmethod
    def _uniform(z: Tensor) -> Tensor:
        """Return draws from U(0, 1) for z ``(2B, K)``, whose two views are each this process's share of the batch."""
        return processes.uniform(2, len(z) // 2, z.shape[1], dim=1, like=z).flatten(0, 1)
