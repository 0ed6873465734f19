"""One forward pass over both domains, for the methods that compare features or predict on the target."""

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from dacn.batch import Batch
from dacn.config import Config
from dacn.losses.target_terms import TargetTerms
from dacn.models.classifier import Classifier


class BothDomainsConfig(Config):
    """What the methods that pass both domains have in common."""

    strong: bool = Field(
        True, description="pass the strong views too, beside the weak ones, as source_only and AdaMatch do"
    )
    target_terms: TargetTerms = Field(default_factory=dict)


class Scores(NamedTuple):
    """What the network says of one domain's rows."""

    features: Tensor  # (N, F)
    logits: Tensor  # (N, K)


class BothDomains(NamedTuple):
    """Both domains' rows; with strong views twice as many, the weak ones first."""

    source: Scores  # B rows, or 2B
    target: Scores  # T rows, or 2T
    labels: Tensor  # of the source's rows, int64
    of_source: Tensor  # bool: not labelled target images, which are learned but belong to the other domain


def pass_both(model: Classifier, batch: Batch, strong: bool) -> BothDomains:
    """Pass the weak views of both domains, and the strong ones if asked to, through the network in one batch."""
    sources, targets = (views if strong else views[:1] for views in (batch.source, batch.target))
    count = len(sources)
    images = torch.cat([*sources, *targets])  # (V * (B + T), 3, H, W)
    context = torch.cat([batch.source_context.repeat(count), batch.target_context.repeat(count)])
    features = model.features(images, context)  # (V * (B + T), F)
    logits: Tensor = model.head(features)
    rows = [count * len(batch.labels), count * len(batch.target_context)]
    (ours, theirs), (our_logits, their_logits) = features.split_with_sizes(rows), logits.split_with_sizes(rows)
    of_source = batch.source_context != batch.target_context[0]
    return BothDomains(
        Scores(ours, our_logits), Scores(theirs, their_logits), batch.labels.repeat(count), of_source.repeat(count)
    )
