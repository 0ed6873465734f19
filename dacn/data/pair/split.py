"""A test set cut off a domain that has none."""

import torch
from torch import Tensor

from dacn.data.domain import Domain
from dacn.errors import DataError


def split_off_test(domain: Domain, fraction: float, seed: int) -> tuple[Domain, Domain]:
    """Part a labelled domain at random into training and test images, and keep their order in both.

    Each class gives the share of its images rounded, but keeps one for training, and gives one if it has two or more.
    Where images belong to groups, whole groups are drawn instead, of any class, until the share of all images is
    reached or passed. The split depends on nothing but the labels or the groups, the fraction and the seed.

    Args:
        domain: labelled.
        fraction: share of the images that becomes the test set, above 0 and below 1.
        seed: of the draw.

    Raises:
        DataError: no class has two images, or there is one group only.
    """
    assert domain.labels is not None
    generator = torch.Generator().manual_seed(seed)
    if domain.group is None:
        test = _of_each_class(domain.labels, fraction, generator)
        lack = "no class has two images"
    else:
        test = _whole_groups(domain.group, fraction, generator)
        lack = "all images are of one group"
    if not test.any():
        raise DataError(f"{domain.name}: {lack}, so none can be a test image; leave out data.test_fraction")
    return domain.rows((~test).nonzero()[:, 0]), domain.rows(test.nonzero()[:, 0])


def _of_each_class(labels: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Return which images are for testing: (N,) bool."""
    test = torch.zeros(len(labels), dtype=torch.bool)
    for label in torch.unique(labels).tolist():
        rows = (labels == label).nonzero()[:, 0]  # (N_k,)
        count = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
        test[rows[torch.randperm(len(rows), generator=generator)[:count]]] = True
    return test


def _whole_groups(group: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Return which images are for testing, those of the first groups in random order: (N,) bool."""
    _, member, sizes = torch.unique(group, return_inverse=True, return_counts=True)  # (N,) of 0 to G - 1; (G,)
    order = torch.randperm(len(sizes), generator=generator)[:-1]  # one group stays for training
    before = sizes[order].cumsum(0) - sizes[order]  # images of the groups that were drawn earlier
    return torch.isin(member, order[before < max(round(fraction * len(group)), 1)])
