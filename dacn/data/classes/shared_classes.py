"""A domain cut down to the classes that it shares with another."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from dacn.data.domain import Domain
from dacn.errors import DataError


def keep_classes(domain: Domain, classes: Sequence[str], rename: Mapping[str, str]) -> Domain:
    """Return the images of some classes, their labels in the order of ``classes``.

    Args:
        domain: labelled, its classes named.
        classes: what to keep, by the new names.
        rename: new names of the domain's own classes where they differ.

    Raises:
        DataError: the domain lacks one of them.
    """
    names = [rename.get(name, name) for name in domain.classes or ()]
    missing = [name for name in classes if name not in names]
    if domain.labels is None or missing:
        raise DataError(f"{domain.name}: has no class {', '.join(missing)}, only {', '.join(names) or 'unnamed ones'}")
    order = torch.tensor([classes.index(name) if name in classes else -1 for name in names])  # (own K,)
    labels = order[domain.labels]  # (N,)
    kept = labels >= 0
    return replace(domain.rows(kept.nonzero()[:, 0]), labels=labels[kept], classes=tuple(classes))
