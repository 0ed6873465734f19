"""BNM: predictions on the target that are sure and many."""

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.both_domains import BothDomainsConfig, pass_both
from dacn.batch import Batch
from dacn.losses.target_terms import negative_nuclear_norm, target_terms
from dacn.models.classifier import Classifier


class BnmConfig(BothDomainsConfig):
    """Batch nuclear-norm maximization (BNM), arXiv 2003.12237."""

    name: Literal["bnm"] = "bnm"
    weight: float = Field(1.0, ge=0, le=1000, description="of the nuclear norm")


class Bnm(Algorithm):
    """Cross-entropy on the source, and the greatest nuclear norm of the target's predictions.

    Departures: none in the loss. Where strong views are passed too, all rows make one matrix. With context norms each
    domain has its own statistics; the original passes both through shared BatchNorm.

    Args:
        config: the weight.
        model: the network.
        num_classes: K.

    Reference: Cui et al. 2020, arXiv 2003.12237, section 3.3.
    """

    asks_device = True  # for the singular values

    def __init__(self, config: BnmConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.uses_strong = config.strong

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the label loss of the source and minus the nuclear norm of the target's predictions."""
        both = pass_both(self.model, batch, self.config.strong)
        source_loss = F.cross_entropy(both.source.logits, both.labels, label_smoothing=self.label_smoothing)
        nuclear = negative_nuclear_norm(both.target.logits.softmax(dim=1))  # equation 9
        terms = target_terms(self.config.target_terms, both.target.logits)
        parts = {
            "loss/source": source_loss.detach(),
            "loss/nuclear": nuclear.detach(),
            **{f"loss/{name}": term.detach() for name, term in terms.items()},
        }
        return Losses(source_loss + self.config.weight * nuclear + sum(terms.values()), parts)
