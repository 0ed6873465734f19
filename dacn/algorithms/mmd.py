"""DAN and JAN: features of both domains with the same kernel mean, alone or together with the predictions."""

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.both_domains import BothDomainsConfig, pass_both
from dacn.batch import Batch
from dacn.losses.moments import BANDWIDTHS, mean_discrepancy
from dacn.losses.target_terms import asks_device, target_terms
from dacn.models.classifier import Classifier


class MmdConfig(BothDomainsConfig):
    """Maximum mean discrepancy of features (DAN, arXiv 1502.02791), or of features and predictions (JAN)."""

    name: Literal["mmd"] = "mmd"
    joint: bool = Field(False, description="kernels of features times kernels of predictions (JAN, arXiv 1605.06636)")
    weight: float = Field(1.0, ge=0, le=1000, description="of the discrepancy")


class Mmd(Algorithm):
    """Cross-entropy on the source, and the distance of the two domains' kernel means.

    The estimator is the unbiased quadratic one (it may fall below 0), as in the Transfer-Learning-Library but for the
    constant that it adds; the paper's linear one is noisier. The kernels are five octaves of Gaussians with fixed equal
    weights around the mean squared distance of the batch, where the paper learns the weights.

    Departures: one layer is aligned, the features before the head, where the paper aligns the last three layers of
    AlexNet; for JAN also the predictions, with the same five octaves around their own mean distance, where the library
    has one fixed width. With context norms each domain has its own statistics; the original shares them.

    Args:
        config: which kernels, and their weight.
        model: the network.
        num_classes: K.

    Reference: Long et al. 2015, arXiv 1502.02791, section 3; Long et al. 2017, arXiv 1605.06636, section 4.
    """

    between_domains = True

    def __init__(self, config: MmdConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.uses_strong, self.asks_device = config.strong, asks_device(config.target_terms)

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the label loss of the source and the discrepancy of both domains."""
        both = pass_both(self.model, batch, self.config.strong)
        source_loss = F.cross_entropy(both.source.logits, both.labels, label_smoothing=self.label_smoothing)
        layers = [(each.features, each.logits.softmax(dim=1)) for each in (both.source, both.target)]
        source, target = (layer if self.config.joint else layer[:1] for layer in layers)
        discrepancy = mean_discrepancy(source, target, both.of_source, [BANDWIDTHS] * len(source))
        terms = target_terms(self.config.target_terms, both.target.logits)
        parts = {
            "loss/source": source_loss.detach(),
            "loss/discrepancy": discrepancy.detach(),
            **{f"loss/{name}": term.detach() for name, term in terms.items()},
        }
        return Losses(source_loss + self.config.weight * discrepancy + sum(terms.values()), parts)
