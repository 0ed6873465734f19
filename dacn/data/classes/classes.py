"""Whether two domains speak of the same classes, and in which order."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from dacn.data.domain import Domain
from dacn.errors import DataError, did_you_mean

_MOST_CLASSES = 65536


def require_labels(key: str, domain: Domain, why: str = "which only data.target may lack") -> Domain:
    """Return ``domain``, which the recipe's ``data.<key>`` needs with its labels.

    Args:
        key: what to name in a message.
        domain: labelled or not.
        why: the clause that says what is amiss without them.

    Raises:
        DataError: it has no labels.
    """
    if domain.labels is None:
        raise DataError(
            f"data.{key}: {domain.name} has no labels, {why}; give class sub-folders, or an archive with 'labels'"
        )
    return domain


def class_names(domain: Domain) -> tuple[str, ...]:
    """Return a labelled domain's class names; numbers where it names none.

    Raises:
        DataError: a label beyond the names, or a name that stands for two classes.
    """
    assert domain.labels is not None
    highest, names = int(domain.labels.max()), domain.classes
    limit = _MOST_CLASSES if names is None else len(names)
    if highest >= limit:
        raise DataError(f"{domain.name}: a label is {highest}; expected class indices from 0 to {limit - 1}")
    if names is None:
        return tuple(str(index) for index in range(highest + 1))
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"{domain.name}: class names must differ, but several classes are called {listed(twice)}")
    return names


def match_classes(key: str, domain: Domain, source: Domain, complete: bool, of: str = "source") -> Domain:
    """Return ``domain`` with its labels in the order of the source's classes.

    Args:
        key: what to call it in a message.
        domain: labelled.
        source: whose classes count.
        complete: whether every class of the source must be there; a test set may lack some.
        of: what to call the source in a message.

    Raises:
        DataError: the two have different classes; the message lists what is missing on which side.
    """
    assert domain.labels is not None
    classes, own = class_names(source), class_names(domain)
    extra = [name for name in own if name not in classes]
    missing = [name for name in classes if name not in own]
    if extra or (complete and missing):
        lacks = [f"data.{key} ({domain.name}) lacks {listed(missing)}"] if missing else []
        lacks += [f"data.{of} ({source.name}) lacks {listed(extra)}{did_you_mean(extra[0], missing)}"] if extra else []
        unnamed = "; labels without names count as '0', '1', ...: an array 'classes' in the .npz names them"
        raise DataError(
            f"data.{of} and data.{key} must have the same classes: {'; '.join(lacks)} "
            "(data.class_map renames classes, data.classes takes some alone)"
            + (unnamed if source.classes is None or domain.classes is None else "")
        )
    order = torch.tensor([classes.index(name) for name in own])  # (own K,)
    return replace(domain, labels=order[domain.labels], classes=classes)


def listed(names: Sequence[str]) -> str:
    """Return up to ten names in quotes, and how many more there are."""
    shown = ", ".join(map(repr, names[:10]))
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
