"""A test set cut off a domain that has none."""

from dataclasses import replace

import torch
from torch import Tensor

from dacn.data.domain import Domain
from dacn.data.images import select
from dacn.errors import DataError


def split_off_test(domain: Domain, fraction: float, seed: int) -> tuple[Domain, Domain]:
    """Part a labelled domain at random into training and test images, each class by itself.

    A class gives the share of its images rounded, but keeps one for training, and gives one if it has two or more. The
    split depends on nothing but the labels, the fraction and the seed. Order is kept in both parts.

    Args:
        domain: labelled.
        fraction: share of the images that becomes the test set, above 0 and below 1.
        seed: of the draw.

    Raises:
        DataError: no class has two images.
    """
    assert domain.labels is not None
    generator = torch.Generator().manual_seed(seed)
    test = torch.zeros(len(domain), dtype=torch.bool)
    for label in torch.unique(domain.labels).tolist():
        rows = (domain.labels == label).nonzero()[:, 0]  # (N_k,)
        count = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
        test[rows[torch.randperm(len(rows), generator=generator)[:count]]] = True
    if not test.any():
        raise DataError(
            f"{domain.name}: no class has two images, so none can be a test image; leave out data.test_fraction"
        )
    return _rows_of(domain, ~test), _rows_of(domain, test)


def _rows_of(domain: Domain, chosen: Tensor) -> Domain:
    rows = chosen.nonzero()[:, 0]
    labels, context = (None if part is None else part[rows] for part in (domain.labels, domain.context))
    return replace(domain, images=select(domain.images, rows), labels=labels, context=context)
