"""CDAN: features and predictions together, from which no discriminator can tell the domain."""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.both_domains import BothDomainsConfig, pass_both
from dacn.batch import Batch
from dacn.losses.adversarial import discriminator_accuracy, domain_loss
from dacn.losses.progress import reversal_strength
from dacn.losses.target_terms import asks_device, certainty_weights, target_terms
from dacn.models.classifier import Classifier
from dacn.models.discriminator import Discriminator
from dacn.nn import reverse_gradient


class CdanConfig(BothDomainsConfig):
    """Conditional adversarial adaptation (CDAN, CDAN+E), arXiv 1705.10667."""

    name: Literal["cdan"] = "cdan"
    hidden: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        (1024, 1024), description="widths of the discriminator's hidden layers"
    )
    entropy: bool = Field(True, description="weigh sure rows more (CDAN+E)")
    most_products: int = Field(
        4096, ge=1, le=1_000_000, description="features times classes above which a random map stands in"
    )
    random_width: int = Field(1024, ge=1, le=65_536, description="of that map")
    domain_weight: float = Field(1.0, ge=0, le=100, description="of the domain loss, for both sides of the reversal")
    alpha: float = Field(10.0, gt=0, le=1000, description="how fast the reversed gradient rises over training")


class Cdan(Algorithm):
    """Domain-adversarial training on the outer product of features and predictions.

    Departures: predictions are detached, as in the authors' and the Transfer-Learning-Library's code, or the
    discriminator would train the classifier. Each domain's mean weighs one half, whatever the batch sizes, and CDAN+E's
    weights are scaled to mean 1 in each domain. The reversal rises over the whole run as DANN's, where the library's
    rises over 1,000 steps. With context norms each domain has its own statistics; the original shares BatchNorm's.

    The discriminator belongs to the algorithm: trained and saved with it, but no part of the evaluated network.

    Args:
        config: discriminator, map and reversal.
        model: the network.
        num_classes: K.

    Reference: Long et al. 2018, arXiv 1705.10667, sections 3.1 to 3.3.
    """

    between_domains = True
    of_features: Tensor
    of_predictions: Tensor

    def __init__(self, config: CdanConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.uses_strong, self.asks_device = config.strong, asks_device(config.target_terms)
        width = model.head.in_features * num_classes
        self.randomized = width > config.most_products
        if self.randomized:  # section 3.1, equation 6: fixed, drawn once
            width = config.random_width
            self.register_buffer("of_features", torch.randn(model.head.in_features, width))
            self.register_buffer("of_predictions", torch.randn(num_classes, width))
        self.discriminator = Discriminator(width, config.hidden)

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the label loss of the source and the conditional domain loss of both."""
        both = pass_both(self.model, batch, self.config.strong)
        source_loss = F.cross_entropy(both.source.logits, both.labels, label_smoothing=self.label_smoothing)

        # Equation 4: the discriminator sees what the features are and what the classifier makes of them.
        rows = [len(both.source.logits), len(both.target.logits)]
        p = torch.cat([both.source.logits, both.target.logits]).detach().softmax(dim=1)  # (N, K)
        joined = self.join(torch.cat([both.source.features, both.target.features]), p)  # (N, F K), or (N, width)
        strength = reversal_strength(progress, self.config.alpha).to(source_loss)  # ()
        logits: Tensor = self.discriminator(reverse_gradient(joined, strength))  # (N,)
        source, target = logits.split_with_sizes(rows)

        # Equation 8: rows of which the classifier is sure count more.
        weights = [certainty_weights(part) if self.config.entropy else None for part in p.split_with_sizes(rows)]
        adversarial_loss = domain_loss(source, target, both.of_source, weights[0], weights[1])

        terms = target_terms(self.config.target_terms, both.target.logits)
        parts = {
            "loss/source": source_loss.detach(),
            "loss/domain": adversarial_loss.detach(),
            **{f"loss/{name}": term.detach() for name, term in terms.items()},
            "reversal": strength,
            "discriminator/accuracy": discriminator_accuracy(source, target, both.of_source),
            "discriminator/chance": torch.full_like(source_loss, 50.0),
        }
        return Losses(source_loss + self.config.domain_weight * adversarial_loss + sum(terms.values()), parts)

    def join(self, features: Tensor, predictions: Tensor) -> Tensor:
        """Return the outer product of each row's features and predictions, or its random map.

        Shape: features ``(N, F)``, predictions ``(N, K)``; returns ``(N, K F)``, or ``(N, width)``.
        """
        if not self.randomized:
            return (predictions[:, :, None] * features[:, None]).flatten(1)
        mapped: Tensor = (features @ self.of_features) * (predictions @ self.of_predictions)
        return mapped / math.sqrt(self.of_features.shape[1])
