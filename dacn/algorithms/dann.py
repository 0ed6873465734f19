"""DANN: features from which no discriminator can tell the domain."""

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
from dacn.losses.target_terms import asks_device, target_terms
from dacn.models.classifier import Classifier
from dacn.models.discriminator import Discriminator
from dacn.nn import reverse_gradient


class DannConfig(BothDomainsConfig):
    """Domain-adversarial training (DANN), arXiv 1505.07818."""

    name: Literal["dann"] = "dann"
    hidden: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        (100,), description="widths of the discriminator's hidden layers"
    )
    strength: float = Field(1.0, ge=0, le=100, description="of the reversed gradient once it has risen")
    domain_weight: float = Field(1.0, ge=0, le=100, description="of the domain loss, for both sides of the reversal")
    alpha: float = Field(10.0, gt=0, le=1000, description="how fast the reversed gradient rises over training")
    strong: bool = Field(False, description="pass the strong views too, beside the weak ones, as cdan does")


class Dann(Algorithm):
    """Domain-adversarial training with a gradient reversal layer.

    Departures: each domain's mean weighs one half in the domain loss, as in a batch of equal halves, whatever the two
    batch sizes are, where equation 9 adds the two means up (``domain_weight: 2``). The images are weak views, unless
    ``strong`` is set. The learning rate, ``0.01 / (1 + 10 t)^0.75``, is the recipe's choice (``schedule: inverse``).

    The discriminator belongs to the algorithm: trained and saved with it, but no part of the evaluated network.

    Args:
        config: discriminator and reversal.
        model: the network; its head predicts labels, and what the head sees is made alike for both domains.
        num_classes: K.

    Reference: Ganin et al. 2016, arXiv 1505.07818, section 4.2.
    """

    between_domains = True

    def __init__(self, config: DannConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.uses_strong, self.asks_device = config.strong, asks_device(config.target_terms)
        self.discriminator = Discriminator(model.head.in_features, config.hidden)

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the label loss of the source and the domain loss of both."""
        both = pass_both(self.model, batch, self.config.strong)

        # Equation 9, its first term: the label predictor, on the source.
        source_loss = F.cross_entropy(both.source.logits, both.labels, label_smoothing=self.label_smoothing)

        # Its second term: the discriminator descends the domain loss, the features climb it (section 4.2), at a
        # strength that rises over training (section 5.2).
        strength = (self.config.strength * reversal_strength(progress, self.config.alpha)).to(source_loss)  # ()
        features = torch.cat([both.source.features, both.target.features])  # (N, F)
        logits: Tensor = self.discriminator(reverse_gradient(features, strength))  # (N,)
        source, target = logits.split_with_sizes([len(both.source.logits), len(both.target.logits)])
        adversarial_loss = domain_loss(source, target, both.of_source)

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
