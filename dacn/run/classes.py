"""Matches the classes of new data to those of a trained run by name, whatever their order."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dacn.data.classes.classes import listed
from dacn.data.domain import Domain, DomainPair
from dacn.errors import DataError


def with_classes_of_run(checkpoint: Path, classes: Sequence[str], pair: DomainPair) -> DomainPair:
    """Return the pair with its labels in the order of the classes that a checkpoint's network knows.

    Args:
        checkpoint: its file, for a message.
        classes: what output i of the network stands for.
        pair: the images that it is to be trained or evaluated on.

    Raises:
        DataError: the data have other classes; the message has both lists.
    """
    known = tuple(classes)
    if pair.classes == known:
        return pair
    extra, missing = (
        [n for n in one if n not in other] for one, other in ((pair.classes, known), (known, pair.classes))
    )
    if extra or missing:
        raise DataError(
            f"{checkpoint}: the classes of the data are not those of the network. The network knows {listed(known)}; "
            f"the data ({pair.name}) have {listed(pair.classes)}. "
            + "".join(f"The network does not know {listed(extra)}. " for _ in extra[:1])
            + "".join(f"The data lack {listed(missing)}. " for _ in missing[:1])
            + "Give the classes their former names, or train anew"
        )
    order = torch.tensor([known.index(name) for name in pair.classes])  # (K,)

    def ordered(domain: Domain) -> Domain:
        if domain.labels is None:
            return domain
        return replace(domain, labels=order.to(domain.labels.device)[domain.labels], classes=known)

    parts: dict[str, Any] = {key: ordered(domain) for key, domain in pair.domains.items()}
    return replace(pair, **parts, classes=known)
