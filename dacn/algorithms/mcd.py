"""MCD: two heads that disagree on the target, and features that leave them nothing to disagree on."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.both_domains import BothDomainsConfig, pass_both
from dacn.batch import Batch
from dacn.losses.adversarial import classifier_discrepancy
from dacn.losses.target_terms import asks_device, target_terms
from dacn.models.classifier import Classifier
from dacn.nn import reverse_gradient


class McdConfig(BothDomainsConfig):
    """Maximum classifier discrepancy (MCD), arXiv 1712.02560."""

    name: Literal["mcd"] = "mcd"
    weight: float = Field(1.0, ge=0, le=1000, description="of the discrepancy")


class Mcd(Algorithm):
    """Two heads that learn the source; on the target they climb the distance of their predictions, features descend it.

    Departures: the paper takes three steps for a batch (source; heads; features, four times). Here all is one backward
    pass with a gradient reversal between features and heads, which the paper's appendix compares with. The heads are
    linear, started apart by their initialization. The evaluated network has the first head.

    With context norms each domain has its own statistics; the original shares BatchNorm's.

    Args:
        config: the weight.
        model: the network.
        num_classes: K.

    Reference: Saito et al. 2018, arXiv 1712.02560, sections 3.2 and 3.3.
    """

    def __init__(self, config: McdConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.uses_strong, self.asks_device = config.strong, asks_device(config.target_terms)
        self.second_head = nn.Linear(model.head.in_features, num_classes)
        nn.init.xavier_normal_(self.second_head.weight)
        nn.init.zeros_(self.second_head.bias)

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the label loss of both heads, and minus their discrepancy on the target."""
        both = pass_both(self.model, batch, self.config.strong)
        heads = self.model.head, self.second_head

        # Step A: both heads learn the source.
        first = F.cross_entropy(both.source.logits, both.labels, label_smoothing=self.label_smoothing)
        second = self.second_head(both.source.features)
        source_loss = first + F.cross_entropy(second, both.labels, label_smoothing=self.label_smoothing)

        # Steps B and C: heads climb the discrepancy (equation 5); behind the reversal features descend it (equation 6).
        features = reverse_gradient(both.target.features, 1.0)
        one, other = (head(features).softmax(dim=1) for head in heads)
        discrepancy = classifier_discrepancy(one, other)

        terms = target_terms(self.config.target_terms, both.target.logits)
        parts = {
            "loss/source": source_loss.detach(),
            "loss/discrepancy": discrepancy.detach(),
            **{f"loss/{name}": term.detach() for name, term in terms.items()},
            "heads/agree": 100 * (one.argmax(dim=1) == other.argmax(dim=1)).to(torch.float32).mean(),
        }
        return Losses(source_loss - self.config.weight * discrepancy + sum(terms.values()), parts)
