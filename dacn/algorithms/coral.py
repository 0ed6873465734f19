"""Deep CORAL: features of both domains with the same covariance."""

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.both_domains import BothDomainsConfig, pass_both
from dacn.batch import Batch
from dacn.losses.moments import covariance_distance
from dacn.losses.target_terms import asks_device, target_terms
from dacn.models.classifier import Classifier


class CoralConfig(BothDomainsConfig):
    """Correlation alignment (Deep CORAL), arXiv 1607.01719."""

    name: Literal["coral"] = "coral"
    weight: float = Field(1.0, ge=0, le=1e6, description="of the covariances' distance")


class Coral(Algorithm):
    """Cross-entropy on the source, and the distance of the two domains' covariances of features.

    Departures: the features before the head are aligned, where the paper aligns the last layer's scores. With context
    norms each domain has its own statistics, which brings means and variances together before the loss sees them; the
    original shares BatchNorm's.

    Args:
        config: the weight.
        model: the network.
        num_classes: K.

    Reference: Sun and Saenko 2016, arXiv 1607.01719, section 3.
    """

    between_domains = True

    def __init__(self, config: CoralConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.uses_strong, self.asks_device = config.strong, asks_device(config.target_terms)

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the label loss of the source and the covariances' distance."""
        both = pass_both(self.model, batch, self.config.strong)
        source_loss = F.cross_entropy(both.source.logits, both.labels, label_smoothing=self.label_smoothing)
        distance = covariance_distance(both.source.features, both.target.features, both.of_source)  # equation 1
        terms = target_terms(self.config.target_terms, both.target.logits)
        parts = {
            "loss/source": source_loss.detach(),
            "loss/covariance": distance.detach(),
            **{f"loss/{name}": term.detach() for name, term in terms.items()},
        }
        return Losses(source_loss + self.config.weight * distance + sum(terms.values()), parts)
