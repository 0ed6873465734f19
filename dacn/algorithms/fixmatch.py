"""FixMatch: pseudo-labels from weak views, learned on strong ones."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dacn.algorithms.base import Algorithm, Losses
from dacn.batch import Batch
from dacn.config import Config
from dacn.losses.pseudo_labels import confident, pseudo_label_loss
from dacn.losses.target_terms import TargetTerms, asks_device, expect_all_classes, target_terms
from dacn.models.classifier import Classifier


class FixMatchConfig(Config):
    """FixMatch, arXiv 2001.07685."""

    name: Literal["fixmatch"] = "fixmatch"
    threshold: float = Field(0.95, gt=0, le=1, description="least confidence of a pseudo-label (tau)")
    unlabelled_weight: float = Field(1.0, ge=0, le=100, description="of the unlabelled loss (lambda_u)")
    target_terms: TargetTerms = Field(default_factory=dict)


class FixMatch(Algorithm):
    """FixMatch as in the authors' code, google-research/fixmatch, `fixmatch.py`.

    The source is the labelled set and the target the unlabelled one: of the same data set in the paper's setting, of
    another domain where the method adapts.

    Departures, in the paper's order:

    - Equations 3 and 4: none in the losses. The authors interleave the views to share batch statistics evenly between
      GPUs; here one batch holds them all.
    - As an adaptation method (`domain_adaptation/fixmatch_da.py` of google-research/adamatch) theirs is another one,
      which is not built here: it aligns the pseudo-labels' class marginal with that of the labels, and takes the
      unlabelled loss on the source's two views as well. Here adaptation is the paper's method with the source as the
      labelled set.

    What is not of the losses: the average of weights takes in running statistics and rises from the network
    (`train.ema_statistics`), RandAugment and cutout differ (`dacn.data.views.operations`), BatchNorm's numbers too
    (`dacn.models.wide_resnet`). Their optimizer (Nesterov, a cosine to 7/16 pi) is the recipe's choice.

    Args:
        config: threshold and weight.
        model: the network.
        num_classes: K.

    Reference: Sohn et al. 2020, arXiv 2001.07685, section 2.2.
    """

    def __init__(self, config: FixMatchConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.asks_device = asks_device(config.target_terms)
        self.takes_fewer_classes = not expect_all_classes(config.target_terms)

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the labelled and the unlabelled loss."""
        labelled = len(batch.labels)
        images = torch.cat([batch.source.weak, batch.target.weak, batch.target.strong])  # (B + 2T, 3, H, W)
        context = torch.cat([batch.source_context, batch.target_context, batch.target_context])  # (B + 2T,)
        logits = self.model(images, context)  # (B + 2T, K)
        weak, strong = logits[labelled:].chunk(2)  # (T, K) each

        # Equation 3: cross-entropy on the weak views of labelled images.
        source_loss = F.cross_entropy(logits[:labelled], batch.labels, label_smoothing=self.label_smoothing)

        # Equation 4: the class of a weak view, where the network is sure of it, is the label of the strong one.
        pseudo_labels, keep = self.pseudo_labels(weak.detach().softmax(dim=1))  # (T,) each
        target_loss = pseudo_label_loss(strong, pseudo_labels, keep)

        terms = target_terms(self.config.target_terms, logits[labelled:])
        parts = {
            "loss/source": source_loss.detach(),
            "loss/target": target_loss.detach(),
            **{f"loss/{name}": term.detach() for name, term in terms.items()},
            "kept": keep.float().mean(),
            "threshold": torch.full_like(source_loss, self.config.threshold),
        }
        return Losses(source_loss + self.config.unlabelled_weight * target_loss + sum(terms.values()), parts)

    def pseudo_labels(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return the predictions' classes ``(T,)`` and whether each reaches the threshold ``(T,)``."""
        return confident(probabilities, self.config.threshold)
