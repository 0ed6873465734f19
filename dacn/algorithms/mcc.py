"""MCC: predictions on the target that confuse no two classes."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.both_domains import BothDomainsConfig, pass_both
from dacn.batch import Batch
from dacn.data.domain import DomainPair
from dacn.losses.class_weights import class_weights
from dacn.losses.progress import warm_up
from dacn.losses.target_terms import asks_device, expect_all_classes, minimum_class_confusion, target_terms
from dacn.models.classifier import Classifier
from dacn.nn import processes


class MccConfig(BothDomainsConfig):
    """Minimum class confusion (MCC), arXiv 1912.03699."""

    name: Literal["mcc"] = "mcc"
    temperature: float = Field(2.5, gt=0, le=100, description="of the predictions; the paper has 3 for VisDA-2017")
    weight: float = Field(1.0, ge=0, le=1000, description="of the confusion")
    target_marginal_decay: float = Field(
        0.99, ge=0, lt=1, description="of the running mean of target predictions, by which classes weigh where the "
        "target has fewer (data.target_classes)",
    )  # fmt: skip


class Mcc(Algorithm):
    """Cross-entropy on the source, and the least confusion between classes on the target.

    Departures: none in the loss. It needs some 32 target rows or more in a batch. Where strong views are passed too,
    weak and strong rows make one confusion matrix. With context norms each domain has its own statistics; the original
    passes both domains through shared BatchNorm.

    Where the target has fewer classes (``data.target_classes: fewer``), a form of dacn's own: classes that the target's
    running predictions lack weigh less in both losses, the more so in the second half of training
    (`dacn.losses.class_weights`, after PADA, arXiv 1808.04205).

    Args:
        config: temperature and weight.
        model: the network.
        num_classes: K.

    Reference: Jin et al. 2020, arXiv 1912.03699, section 3.
    """

    p_target: Tensor

    def __init__(self, config: MccConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.takes_fewer_classes = not expect_all_classes(config.target_terms)
        self.fewer_classes = False  # as far as is known
        self.register_buffer("p_target", torch.full((num_classes,), 1 / num_classes))
        self.uses_strong, self.asks_device = config.strong, asks_device(config.target_terms)

    def prepare(self, pair: DomainPair) -> None:
        """Take from the pair whether the target has fewer classes."""
        self.fewer_classes = pair.fewer_classes

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the label loss of the source and the confusion of the target."""
        both = pass_both(self.model, batch, self.config.strong)
        weights = self.class_weights(both.target.logits, progress) if self.fewer_classes else None  # (K,)
        source_loss = F.cross_entropy(both.source.logits, both.labels, weights, label_smoothing=self.label_smoothing)
        confusion = minimum_class_confusion(both.target.logits, self.config.temperature, weights)  # equations 3 to 8
        terms = target_terms(self.config.target_terms, both.target.logits)
        parts = {
            "loss/source": source_loss.detach(),
            "loss/confusion": confusion.detach(),
            **{f"loss/{name}": term.detach() for name, term in terms.items()},
        }
        return Losses(source_loss + self.config.weight * confusion + sum(terms.values()), parts)

    @torch.no_grad()
    def class_weights(self, target_logits: Tensor, progress: float | Tensor) -> Tensor:
        """Return the weights of the classes ``(K,)``, after the running mean has followed target logits ``(N, K)``."""
        p = processes.mean(target_logits.softmax(dim=1).mean(dim=0).to(self.p_target))  # (K,)
        self.p_target.lerp_(p, 1 - self.config.target_marginal_decay)
        return class_weights(self.p_target, warm_up(progress)).to(target_logits)
