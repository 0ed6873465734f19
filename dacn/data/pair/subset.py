"""Domains made of others: a few images of every class, or several domains as one."""

from collections.abc import Sequence

import torch

from dacn.data.domain import Domain
from dacn.data.read.images import concatenate
from dacn.errors import DataError


def share_among(total: int, domain: Domain, classes: Sequence[str]) -> list[int]:
    """Return how many of ``total`` images each class gets; where they cannot be equal, the first get one more.

    Raises:
        DataError: fewer images than classes.
    """
    count = len(classes)
    if total < count:
        raise DataError(
            f"data.labels: got {total}, but {domain.name} has {count} classes; expected at least one image of each"
        )
    return [total // count + (index < total % count) for index in range(count)]


def balanced_subset(key: str, domain: Domain, classes: Sequence[str], counts: Sequence[int], seed: int) -> Domain:
    """Draw so many images of every class.

    The draw depends on nothing but the labels and the seed, and a larger one holds every smaller one of the same seed.

    Args:
        key: what asks for it, in a message.
        domain: labelled.
        classes: the class names, K.
        counts: images of each class, K.
        seed: of the draw.

    Raises:
        DataError: a class has too few images; the message names it.
    """
    assert domain.labels is not None
    labels = domain.labels  # (N,)
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for index, (name, count) in enumerate(zip(classes, counts, strict=True)):
        rows = (labels == index).nonzero()[:, 0]  # (N_k,)
        if len(rows) < count:
            raise DataError(
                f"data.{key}: {count} images of class {name!r} are called for, but {domain.name} has {len(rows)}; "
                f"lower data.{key}"
            )
        chosen.append(rows[torch.randperm(len(rows), generator=generator)[:count]])
    return domain.rows(torch.cat(chosen))


def long_tailed_subset(domain: Domain, classes: int, imbalance: float, seed: int) -> Domain:
    """Draw ever fewer images of later classes: class k keeps ``imbalance ** (-k / (K - 1))`` of its images, and one.

    The draw depends on nothing but the labels, the imbalance and the seed; order is kept.

    Args:
        domain: labelled.
        classes: K.
        imbalance: how many times smaller the last class's share is than the first's, which keeps all.
        seed: of the draw.

    Reference: Cui et al. 2019, arXiv 1901.05555, section 5.1, long-tailed CIFAR.
    """
    assert domain.labels is not None
    generator = torch.Generator().manual_seed(seed)
    kept = torch.zeros(len(domain), dtype=torch.bool)
    for label in range(classes):
        rows = (domain.labels == label).nonzero()[:, 0]  # (N_k,)
        share = imbalance ** (-label / max(classes - 1, 1))
        kept[rows[torch.randperm(len(rows), generator=generator)[: max(round(share * len(rows)), 1)]]] = True
    return domain.rows(kept.nonzero()[:, 0])


def join(parts: Sequence[tuple[int, Domain]]) -> Domain:
    """Return labelled domains as one whose images know their context.

    Args:
        parts: context and domain, the labels in one order of classes. A single domain of context 0 is returned as it
            is, for that is what a source has anyway.
    """
    contexts, domains = zip(*parts, strict=True)
    if contexts == (0,):
        return parts[0][1]
    known = [domain.identity for domain in domains if domain.identity is not None]
    return Domain(
        joined_name(domains),
        concatenate([domain.images for domain in domains]),
        torch.cat([domain.labels for domain in domains]),
        domains[0].classes,
        torch.cat([torch.full((len(domain),), context) for context, domain in parts]),
        tuple(note for domain in domains for note in domain.notes),
        identity=torch.cat(known) if len(known) == len(domains) else None,
        passed_over=tuple(part for domain in domains for part in domain.passed_over),
        file_size=domains[0].file_size,
    )


def joined_name(domains: Sequence[Domain]) -> str:
    """Return what to call several domains together."""
    return "+".join(dict.fromkeys(domain.name for domain in domains))
