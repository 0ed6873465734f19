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
from dacn.data.domain import DomainPair
from dacn.errors import RecipeError
from dacn.losses.class_weights import class_weights
from dacn.losses.progress import warm_up
from dacn.losses.pseudo_labels import (
    align_distribution,
    confident,
    interpolate_logits,
    pseudo_label_loss,
    relative_threshold,
)
from dacn.losses.target_terms import TargetTerms, asks_device, expect_all_classes, target_terms
from dacn.models.classifier import Classifier, has_context_statistics, shares_batch_statistics
from dacn.nn import processes


class AdaMatchConfig(Config):
    """AdaMatch, arXiv 2106.04732."""

    name: Literal["adamatch"] = "adamatch"
    threshold: float = Field(0.9, gt=0, le=1, description="relative confidence threshold (tau)")
    source_marginal_decay: float = Field(0.999, ge=0, lt=1, description="of the running mean of source predictions")
    target_marginal_batches: int = Field(128, ge=1, le=100_000, description="batches in the mean of target predictions")
    target_weight: float = Field(1.0, ge=0, le=100, description="of the target loss once warmed up")
    weight_schedule: Literal["scaled", "two_phases"] = Field(
        "scaled",
        description="how a target_weight other than 1 is reached: scaled, all along, from 0 to it in the first half; "
        "two_phases, as in the authors' code, from 0 to 1 in the first half and from 1 to it in the second",
    )
    labelled: Literal["pooled", "apart"] = Field(
        "pooled",
        description="where target images are labelled too: pooled, they count as further source images; apart, as in "
        "the authors' code, their loss is added to the source's, and p_source and threshold are the source's alone",
    )
    target_terms: TargetTerms = Field(default_factory=dict)


class AdaMatch(Algorithm):
    """AdaMatch as in the authors' code, google-research/adamatch, `domain_adaptation/adamatch.py`.

    Departures, in the paper's order:

    - 3.1: the second forward is left out where it would return the same logits, dropout aside: where no layer takes
      statistics of all rows, and either none takes a context's batch statistics or no context holds labelled and
      unlabelled rows (`dacn.models.classifier`, `prepare`). Unless `prepare` has said that contexts are apart, it is
      made.
    - 3.2: the target's marginal is the mean of the batches seen so far until there are enough of them; theirs starts
      with as many uniform ones.
    - 3.4: with a ``target_weight`` other than 1 the weight is that times the rise from 0 to 1. Theirs rises from 0 to 1
      and then goes from 1 to it: ``weight_schedule: two_phases``.
    - Section 4, semi-supervised adaptation (`semi_supervised_domain_adaptation/adamatch.py`): labelled target images
      share the labelled batch evenly with the source's and count as these do, the loss being the mean of both. Theirs
      has as many of them as of the source's, adds the two losses up, and takes p_source and the threshold from the
      source's rows: ``labelled: apart``.

    Where the target has fewer classes (``data.target_classes: fewer``), a form of dacn's own: classes that the target's
    running predictions lack weigh less in the source's loss and in the marginal that predictions are aligned with, as
    far as the target's loss has risen (`dacn.losses.class_weights`, after PADA, arXiv 1808.04205). The authors' form
    would raise those classes until they are as frequent as in the source.

    What is not of the losses: the averaged weights start at the network and not at zero (`train.ema_start`),
    RandAugment stands in for CTAugment (`dacn.data.views.operations`), and the network differs in BatchNorm's numbers
    and the padding of strides (`dacn.models.wide_resnet`). Optimizer and schedule are the recipe's choice.

    Args:
        config: thresholds and running means.
        model: the network.
        num_classes: K.

    Reference: Berthelot et al. 2022, arXiv 2106.04732, sections 3.1 to 3.4.
    """

    class_weights: Tensor
    p_source: Tensor
    p_target_window: Tensor
    batches: Tensor
    threshold: Tensor

    def __init__(self, config: AdaMatchConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.asks_device = asks_device(config.target_terms)
        self.shares_statistics, self.context_statistics = shares_batch_statistics(model), has_context_statistics(model)
        self.contexts_apart = self.fewer_classes = False  # as far as is known
        self.takes_fewer_classes = not expect_all_classes(config.target_terms)
        self.register_buffer("class_weights", torch.ones(num_classes), persistent=False)  # made anew at each step
        self.register_buffer("p_source", torch.full((num_classes,), 1 / num_classes))
        window = torch.zeros(config.target_marginal_batches, num_classes)
        window[0] = 1 / num_classes  # until the first batch takes its place
        self.register_buffer("p_target_window", window)
        self.register_buffer("batches", torch.tensor(0))
        self.register_buffer("threshold", torch.tensor(config.threshold))

    def prepare(self, pair: DomainPair) -> None:
        """Take from the pair whether a context can hold labelled and unlabelled rows, and the target fewer classes.

        Raises:
            RecipeError: labelled rows are to be told apart by their domain, and contexts are something else.
        """
        self.contexts_apart, self.fewer_classes = pair.contexts_apart, pair.fewer_classes
        if self.config.labelled == "apart" and not pair.by_domain:
            raise RecipeError(
                f"algorithm.labelled: apart tells labelled rows apart by their domain, and data.context is "
                f"{pair.context_kind}; use data.context: domain, or labelled: pooled"
            )

    @property
    def two_forwards(self) -> bool:
        """Whether the source's logits depend on the target's rows in the batch."""
        return self.shares_statistics or (self.context_statistics and not self.contexts_apart)

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the source and the target loss."""
        views = self.labelled_views(batch)  # V of them
        images = torch.cat([*views, *batch.target])  # (V * B + 2T, 3, H, W)
        context = torch.cat([*[batch.source_context] * len(views), *[batch.target_context] * 2])  # (V * B + 2T,)
        rows, sources, targets = len(batch.labels), len(views) * len(batch.labels), len(batch.target_context)

        # Section 3.1: source logits between those with and those without the target in the batch statistics.
        joint, alone = self.logits(images, context, sources)
        z, target_weak, target_strong = joint.split_with_sizes([sources, targets, targets])  # (V * B, K), (T, K) each
        if alone is not None:
            z = interpolate_logits(z, alone, self._uniform(z, len(views)))

        # Sections 3.2 and 3.3: align the target's class marginal with the source's, keep what is as sure as the source.
        p_weak, q = z.detach()[:rows].softmax(dim=1), target_weak.detach().softmax(dim=1)  # (B, K), (T, K)
        of_source = None  # (B,), which labelled rows are the source's; None: all
        if self.config.labelled == "apart":
            of_source = batch.source_context != batch.target_context[0]
            p_weak = p_weak * _weights(of_source, p_weak)[:, None]  # a mean over all rows is then one over those
        self._follow(p_weak, q)
        if self.fewer_classes:
            self.class_weights.copy_(class_weights(self.p_target, warm_up(progress)))
        target_loss, keep = self.target_loss(target_strong, q)  # (), (T,)

        # Section 3.4: the losses, the source's being the mean of both views.
        source_loss = self.source_loss(z, batch.labels, of_source)
        weight = self.warm_up(progress).to(source_loss)  # ()
        terms = target_terms(self.config.target_terms, joint[sources:])
        parts = {
            "loss/source": source_loss.detach(),
            "loss/target": target_loss.detach(),
            **{f"loss/{name}": term.detach() for name, term in terms.items()},
            "target_weight": weight,
            "kept": keep.float().mean(),
            "threshold": self.threshold.clone(),
            "p_source": self.p_source.clone(),
            "p_target": self.p_target,
        }
        return Losses(source_loss + weight * target_loss + sum(terms.values()), parts)

    def labelled_views(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the views of labelled images that are learned, the weak one first, ``(B, 3, H, W)`` each."""
        return batch.source

    def logits(self, images: Tensor, context: Tensor, sources: int) -> tuple[Tensor, Tensor | None]:
        """Return the logits of all images and, where they differ, those of the first ``sources`` by themselves."""
        alone = self.source_alone(images[:sources], context[:sources]) if self.two_forwards else None
        return self.model(images, context), alone

    def source_alone(self, images: Tensor, context: Tensor) -> Tensor:
        """Return the logits of source images by statistics of their own, ``(V * B, K)``, which leave no trace."""
        logits: Tensor = call_keeping_statistics(self.model, images, context)
        return logits

    def source_loss(self, z: Tensor, labels: Tensor, of_source: Tensor | None) -> Tensor:
        """Return the loss of labelled logits ``(V * B, K)``; source and target rows apart if it is told which."""
        views = len(z) // len(labels)
        labels, smoothing = labels.repeat(views), self.label_smoothing
        if of_source is None:
            weights = self.class_weights.to(z) if self.fewer_classes else None
            return F.cross_entropy(z, labels, weights, label_smoothing=smoothing)  # the mean of the views' means
        losses = F.cross_entropy(z, labels, reduction="none", label_smoothing=smoothing)
        losses = losses.view(views, -1).mean(dim=0)  # (B,)
        return (_weights(of_source, losses) * losses).mean() + (_weights(~of_source, losses) * losses).mean()

    def target_loss(self, strong: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of strong logits by weak predictions, ``(T, K)`` each, and which rows are kept, ``(T,)``."""
        labels, keep = self.pseudo_labels(probabilities)
        return pseudo_label_loss(strong, labels, keep), keep

    def warm_up(self, progress: float | Tensor) -> Tensor:
        """Return the weight of the target loss, a scalar ``()``."""
        if self.config.weight_schedule == "two_phases":
            return warm_up(progress, self.config.target_weight)
        weight: Tensor = self.config.target_weight * warm_up(progress)
        return weight

    def pseudo_labels(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return the aligned predictions' classes ``(T,)`` and whether each reaches the current threshold ``(T,)``."""
        p_source = self.p_source * self.class_weights if self.fewer_classes else self.p_source
        return confident(align_distribution(probabilities, p_source, self.p_target), self.threshold)

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
    def _uniform(z: Tensor, views: int) -> Tensor:
        """Return draws from U(0, 1) for z ``(V * B, K)``, whose views are each this process's share of the batch."""
        return processes.uniform(views, len(z) // views, z.shape[1], dim=1, like=z).flatten(0, 1)


def _weights(rows: Tensor, like: Tensor) -> Tensor:
    """Return how much each row counts, ``(B,)``, so that a mean over all is one over those picked; none: 0 in all.

    Of several processes, it is what makes the mean over processes that over the whole batch's picked rows. Weights,
    because to pick the rows themselves would make the host wait for a GPU.
    """
    picked = rows.to(like.dtype)
    return picked * len(rows) / processes.mean(picked.sum()).clamp_min(1e-6)
