"""The features of a few hundred images of both domains, as the network's head gets them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dacn.data.domain import Domain, DomainPair
from dacn.data.read.images import Images, fetch
from dacn.evaluation.inference import outputs
from dacn.evaluation.matrix import deployed_images, evenly_spaced
from dacn.models.classifier import Classifier


@dataclass(frozen=True)
class FeatureSample:
    """Images of both domains, the source's first, and what a network makes of them. All tensors are on the CPU.

    Args:
        images: ``(N, 3, H, W)`` uint8.
        features: ``(N, F)`` float32.
        predictions: ``(N,)`` int64.
        confidences: probability of the predicted class, ``(N,)``.
        labels: true classes, -1 where unknown, ``(N,)`` int64.
        of_target: which domain an image is of, ``(N,)`` bool.
    """

    images: Tensor
    features: Tensor
    predictions: Tensor
    confidences: Tensor
    labels: Tensor
    of_target: Tensor

    @property
    def classes(self) -> Tensor:
        """The true class of each image, the predicted one where it is unknown: ``(N,)``."""
        return torch.where(self.labels >= 0, self.labels, self.predictions)


@torch.no_grad()
def features_of(
    model: Classifier, images: Images, context: Tensor | None, batch_size: int, *, bf16: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the feature vectors and the class probabilities of images.

    Args:
        model: the network; it is put in evaluation mode.
        images: bytes, on the model's device.
        context: of each image, or None where it is unknown.
        batch_size: images at a time.
        bf16: whether under autocast in bfloat16.

    Shape: images ``(N, 3, H, W)`` uint8, context ``(N,)``; returns ``(N, F)`` and ``(N, K)``, float32, on the CPU.
    """
    model.eval()
    # Not compiled: a few hundred images take less time than compiling the features by themselves.
    parts = outputs(model.features, images, context, batch_size, bf16=bf16, compiled=False)
    features = torch.cat([*parts])  # (N, F)
    return features.cpu(), model.head(features).softmax(dim=1).cpu()


def sample_features(
    model: Classifier,
    source: Domain,
    target: Domain,
    pair: DomainPair,
    count: int,
    *,
    uses_target: bool,
    batch_size: int,
    bf16: bool = False,
) -> FeatureSample:
    """Return the features of up to ``count`` images of each of two domains of ``pair``, at even distances.

    Args:
        model: the network.
        source, target: domains of the pair; each image is seen under its domain's own context, or an unknown one where
            that was not trained.
        pair: what was trained on.
        count: images of each.
        uses_target: whether the method looked at target images.
        batch_size: images at a time.
        bf16: whether under autocast in bfloat16.
    """
    parts = []
    for of_target, domain in enumerate((source, target)):
        chosen = evenly_spaced(domain, count)
        some, rows = deployed_images(model, pair, domain, chosen, uses_target=uses_target)
        images = fetch(some, torch.arange(len(chosen)))
        features, probabilities = features_of(model, images, rows, batch_size, bf16=bf16)
        confidences, predictions = probabilities.max(dim=1)
        labels = torch.full((len(chosen),), -1) if domain.labels is None else domain.labels.cpu()[chosen]
        side = torch.full((len(chosen),), bool(of_target))
        parts.append((images.cpu(), features, predictions, confidences, labels, side))
    return FeatureSample(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
