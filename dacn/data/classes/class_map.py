"""Renames, merges and leaves out classes, for two domains that name the same things differently."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, Field

from dacn.data.classes.classes import class_names, listed
from dacn.data.classes.names import composed
from dacn.data.domain import Domain
from dacn.errors import DataError, did_you_mean


def _as_names(value: Any) -> Any:
    """Take ``{0: cat}`` for ``{"0": cat}``: classes without names go by their numbers. Names are composed (NFC)."""
    if isinstance(value, dict):
        return {_as_name(key): _as_name(name) for key, name in value.items()}
    return [_as_name(name) for name in value] if isinstance(value, list | tuple) else value


def _as_name(value: Any) -> Any:
    if isinstance(value, str):
        return composed(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ClassMap = Annotated[dict[str, str | None], BeforeValidator(_as_names)]
ClassNames = Annotated[tuple[str, ...], Field(min_length=2), BeforeValidator(_as_names)]

CLASS_MAP: Any = Field(
    None,
    description="other names for classes of this domain; one name for several joins them, null leaves one out",
    examples=[{"automobile": "car", "frog": None}],
)


def rename_classes(domain: Domain, class_map: Mapping[str, str | None]) -> Domain:
    """Return a domain with its classes under other names, in the order in which those first appear.

    Args:
        domain: an unlabelled one is returned as it is.
        class_map: old name to new name. Several may get the same name; None leaves out a class with its images. Names
            that are not in it stay, and so do those that the domain does not have.

    Raises:
        DataError: no class or no image is left.
    """
    if domain.labels is None:
        return domain
    own, class_map = class_names(domain), {composed(old): new for old, new in class_map.items()}
    renamed = [class_map.get(name, name) for name in own]
    names = tuple(dict.fromkeys(name for name in renamed if name is not None))
    return _relabelled(domain, names, [None if name is None else names.index(name) for name in renamed])


def keep_classes(domain: Domain, classes: Sequence[str]) -> Domain:
    """Return a domain with the images of these classes alone, in this order; an unlabelled one as it is.

    Raises:
        DataError: no image is left.
    """
    if domain.labels is None:
        return domain
    names = tuple(name for name in classes if name in class_names(domain))
    return _relabelled(domain, names, [names.index(n) if n in names else None for n in class_names(domain)])


def require_known(key: str, names: Sequence[str], known: Sequence[str], where: str) -> None:
    """Make sure that each of ``names``, which the recipe's ``data.<key>`` has, is one of the ``known`` in ``where``.

    Raises:
        DataError: one is not; the message has the nearest known one.
    """
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise DataError(f"data.{key}: no class {name!r} in {where}{near}; classes: {listed(known)}")


def _relabelled(domain: Domain, names: tuple[str, ...], index: Sequence[int | None]) -> Domain:
    """Return the domain under new class names; ``index`` has the new index of each old class, None to leave it out."""
    assert domain.labels is not None
    new = torch.tensor([-1 if i is None else i for i in index])[domain.labels]  # (N,)
    rows = (new >= 0).nonzero()[:, 0]
    if len(rows) == 0:
        raise DataError(f"{domain.name}: no image is left of the classes that are asked for")
    if len(rows) == len(new):
        return replace(domain, labels=new, classes=names)
    return replace(domain.rows(rows), labels=new[rows], classes=names)
