"""The context under which the network sees each test image."""

from typing import Any

import torch
from torch import Tensor, nn

from dacn.batch import SOURCE
from dacn.data.domain import Domain, DomainPair
from dacn.data.read.images import Images, batches
from dacn.data.views.augment import to_input

UNKNOWN, INFERRED = "unknown_context", "inferred_context"
MODES = ("known", "inferred", "unknown")
"""How an image's context is come by at test time: it is given, told from the image, or left open."""


def mode_context(data: str, mode: str) -> str:
    """Return the context that a mode means for ``source_data`` or ``target_data``.

    >>> mode_context("target_data", "known"), mode_context("target_data", "inferred")
    ('target_context', 'inferred_context')
    """
    return data.replace("data", "context") if mode == "known" else f"{mode}_context"


def deployed_context(pair: DomainPair, data: str) -> str:
    """Return the context that images are shown under when the network is used: their domain's, or the inferred one."""
    return mode_context(data, "known" if pair.by_domain else "inferred")


def is_meaningful(pair: DomainPair, data: str, context: str) -> bool:
    """Whether images of ``data`` can be shown under ``context``.

    Where the context is not the domain, no domain has one to lend to the other; where it is, none is inferred.
    """
    if pair.by_domain:
        return context != INFERRED
    return context in (UNKNOWN, INFERRED, mode_context(data, "known"))


def context_rows(model: nn.Module, pair: DomainPair, domain: Domain, data: str, context: str) -> Tensor | None:
    """Return the context of each image of a test set, ``(N,)``, or None where it is to be unknown.

    Args:
        model: tells contexts from images by its ``context_net``.
        pair: what the test set belongs to.
        domain: the test set.
        data: ``source_data`` or ``target_data``.
        context: ``source_context``, ``target_context``, or one of the two above. With several sources, source data has
            each image's own context, and target data is shown under the first source's.
    """
    if context == UNKNOWN:
        return None
    if context == INFERRED:
        return infer_contexts(model, domain.images)
    own = domain.context_or(SOURCE)
    if not pair.by_domain:
        return own
    if context == "target_context":
        return torch.full_like(own, pair.target_context)
    return own if data == "source_data" else torch.zeros_like(own)


@torch.no_grad()
def infer_contexts(model: nn.Module, images: Images, batch_size: int = 1000) -> Tensor:
    """Return the context that the ``context_net`` of ``model`` gives each image.

    Shape: images ``(N, 3, H, W)`` uint8; returns ``(N,)`` int64.
    """
    context_net: Any = model.eval().context_net
    return torch.cat([context_net(to_input(part)).argmax(dim=1) for part in batches(images, batch_size)])
