"""MCC: predictions on the target that confuse no two classes."""

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.both_domains import BothDomainsConfig, pass_both
from dacn.batch import Batch
from dacn.losses.target_terms import asks_device, minimum_class_confusion, target_terms
from dacn.models.classifier import Classifier


class MccConfig(BothDomainsConfig):
    """Minimum class confusion (MCC), arXiv 1912.03699."""

    name: Literal["mcc"] = "mcc"
    temperature: float = Field(2.5, gt=0, le=100, description="of the predictions; the paper has 3 for VisDA-2017")
    weight: float = Field(1.0, ge=0, le=1000, description="of the confusion")


class Mcc(Algorithm):
    """Cross-entropy on the source, and the least confusion between classes on the target.

    Departures: none in the loss. It needs some 32 target rows or more in a batch. Where strong views are passed too,
    weak and strong rows make one confusion matrix. With context norms each domain has its own statistics; the original
    passes both domains through shared BatchNorm.

    Args:
        config: temperature and weight.
        model: the network.
        num_classes: K.

    Reference: Jin et al. 2020, arXiv 1912.03699, section 3.
    """

    def __init__(self, config: MccConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.uses_strong, self.asks_device = config.strong, asks_device(config.target_terms)

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the label loss of the source and the confusion of the target."""
        both = pass_both(self.model, batch, self.config.strong)
        source_loss = F.cross_entropy(both.source.logits, both.labels)
        confusion = minimum_class_confusion(both.target.logits, self.config.temperature)  # equations 3 to 8
        terms = target_terms(self.config.target_terms, both.target.logits)
        parts = {
            "loss/source": source_loss.detach(),
            "loss/confusion": confusion.detach(),
            **{f"loss/{name}": term.detach() for name, term in terms.items()},
        }
        return Losses(source_loss + self.config.weight * confusion + sum(terms.values()), parts)
