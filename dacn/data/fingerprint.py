"""Fingerprints of a pair's images, which tell whether they are those that a run was trained on, wherever they lie."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import torch

from dacn.data.domain import Domain, DomainPair
from dacn.data.read.identity import of_arrays
from dacn.data.read.images import batches

CONTEXT = "context"
"""The entry of contexts that come from a file: they are data too."""

_BATCH = 256

Fingerprint = dict[str, Any]
"""``images``, how many there are, and ``digest``, of what they are and which class each is of."""


def fingerprints(pair: DomainPair) -> dict[str, Fingerprint]:
    """Return the fingerprint of each part of a pair, by its name: source, target and their test sets.

    It does not depend on where the images lie, in which order they come, how large training makes them, or whether they
    are held in memory; it does on which images there are, and on the class names of those with labels.
    """
    found = {name: fingerprint(part, pair.classes) for name, part in pair.domains.items()}
    if pair.context_kind == "file":
        found[CONTEXT] = _of_contexts(pair)
    return found


def fingerprint(domain: Domain, classes: tuple[str, ...]) -> Fingerprint:
    """Return the fingerprint of one domain.

    Args:
        domain: its images.
        classes: what its labels stand for; unused without labels.
    """
    identity = _identity(domain)
    digest = blake2b(digest_size=8)
    if domain.labels is None:
        _add(digest, "", identity)
    else:
        labels = domain.labels.cpu().numpy()
        for name, label in sorted((classes[label], label) for label in np.unique(labels).tolist()):
            _add(digest, name, identity[labels == label])
    return {"images": len(identity), "digest": digest.hexdigest()}


def differences(then: Mapping[str, Fingerprint], now: Mapping[str, Fingerprint]) -> list[str]:
    """Return in words which parts are not what they were; empty where all of them are.

    >>> differences({"source": {"images": 8, "digest": "a"}}, {"source": {"images": 9, "digest": "b"}})
    ['source: 8 images then, 9 now']
    """
    return [
        _difference(key, then.get(key), now.get(key))
        for key in dict.fromkeys([*then, *now])
        if then.get(key) != now.get(key)
    ]


def _difference(key: str, then: Fingerprint | None, now: Fingerprint | None) -> str:
    if then is None or now is None:
        return f"{key}: {'none then' if then is None else 'none now'}"
    before, after = then.get("images"), now.get("images")
    if key == CONTEXT:
        return "context: the file gives images other contexts"
    if before != after:
        return f"{key}: {before:,} images then, {after:,} now"
    return f"{key}: {after:,} images as then, but not the same ones, or of other classes"


def _identity(domain: Domain) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the identity of each image, (N,); of its pixels where its reader gave none, as for one made in Python."""
    identity = domain.identity
    if identity is None:
        parts = [of_arrays(rows.cpu().contiguous().numpy()) for rows in batches(domain.images, _BATCH)]
        identity = torch.cat(parts)
    return identity.numpy()


def _of_contexts(pair: DomainPair) -> Fingerprint:
    digest, count = blake2b(digest_size=8), 0
    for name, part in pair.domains.items():
        if part.context is None:
            continue
        context = part.context.cpu().numpy()
        count += len(context)
        for index in np.unique(context).tolist():
            _add(digest, f"{name}/{pair.contexts[index]}", _identity(part)[context == index])
    return {"images": count, "digest": digest.hexdigest()}


def _add(digest: Any, name: str, identity: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    """Take a group of images into a digest, in no order."""
    digest.update(f"{name}\0{len(identity)}\0".encode())
    digest.update(np.sort(identity).astype("<i8").tobytes())
