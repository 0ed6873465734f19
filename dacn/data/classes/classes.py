"""Checks that two domains have the same classes, and brings labels into the same order."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from dacn.data.classes.names import alike
from dacn.data.domain import Domain
from dacn.data.read.images import Streamed
from dacn.errors import DataError, did_you_mean

_MOST_CLASSES = 65536
_NO_CLASSES = (
    "; where the sub-folders of data.target are dates, cameras or the like and no classes, say so: "
    "{folder: ..., labels: false}"
)

_TARGETS = ("target", "target_test")
_FEWER = "; where the target does have fewer classes, say so: data.target_classes: fewer"
_OPEN_SET = (
    "; a class that no source image shows cannot be learned, and open-set adaptation, which would have to tell such "
    "images from the known classes, is not built: leave them out, class_map: {NAME: null}"
)


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


def require_two_classes(key: str, domains: Sequence[Domain]) -> None:
    """Make sure that there is something to tell apart.

    Args:
        key: what to name in a message.
        domains: labelled, with the same classes.

    Raises:
        DataError: all images are of one class.
    """
    present = {
        label for domain in domains if domain.labels is not None for label in torch.unique(domain.labels).tolist()
    }
    if len(present) == 1:
        name = class_names(domains[0])[present.pop()]
        raise DataError(f"data.{key} ({domains[0].name}): only one class, {name!r}; expected images of two at least")


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
        DataError: the two have different classes; the message lists what is missing on which side. Or their labels are
            numbers without names, and a test set has others than the source.
    """
    assert domain.labels is not None
    classes, own = class_names(source), class_names(domain)
    extra = [name for name in own if name not in classes]
    missing = [name for name in classes if name not in own]
    if extra or (complete and missing):
        lacks = [f"data.{key} ({domain.name}) lacks {listed(missing)}"] if missing else []
        lacks += [f"data.{of} ({source.name}) lacks {listed(extra)}{did_you_mean(extra[0], missing)}"] if extra else []
        misspelt = alike([*missing, *extra])
        unnamed = "; labels without names count as '0', '1', ...: an array 'classes' in the .npz names them"
        raise DataError(
            f"data.{of} and data.{key} must have the same classes: {'; '.join(lacks)} "
            "(data.class_map renames classes, data.classes takes some alone)"
            + (unnamed if source.classes is None or domain.classes is None else "")
            + "".join(f"; {listed(names)} differ by case or spaces alone" for names in misspelt)
            + (_FEWER if key == "target" and missing and not extra else "")
            + (_OPEN_SET if key in _TARGETS and extra and not (complete and missing) and not misspelt else "")
            + (_NO_CLASSES if key == "target" and {*own} == {*extra} and isinstance(domain.images, Streamed) else "")
        )
    if source.classes is None and domain.classes is None and key.partition("[")[0].endswith("_test"):
        _require_same_numbers(key, domain, source, of)
    order = torch.tensor([classes.index(name) for name in own])  # (own K,)
    return replace(domain, labels=order[domain.labels], classes=classes)


def _require_same_numbers(key: str, domain: Domain, source: Domain, of: str) -> None:
    """Make sure that labels which are mere numbers count alike: one set may begin at 0 and the other at 1.

    Raises:
        DataError: a number stands on one side alone.
    """
    assert source.labels is not None
    assert domain.labels is not None
    there, here = ({*torch.unique(part.labels).tolist()} for part in (source, domain))
    sides = (f"data.{of} ({source.name})", here - there), (f"data.{key} ({domain.name})", there - here)
    lacks = [f"{what} lacks {listed([*map(str, sorted(missing))])}" for what, missing in sides if missing]
    if lacks:
        raise DataError(
            f"labels without names must be the same numbers in data.{of} and data.{key}: {'; '.join(lacks)}; does one "
            "of them count from 1? Name them by an array 'classes' in both .npz, then a test set may lack some"
        )


def listed(names: Sequence[str]) -> str:
    """Return up to ten names in quotes, and how many more there are."""
    shown = ", ".join(map(repr, names[:10]))
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
