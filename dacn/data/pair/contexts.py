"""The kinds of context: the domain, a group of classes, a cluster of images, an entry in a file, or a random draw.

A context that is derived from the label tells the network part of the answer. Such contexts are marked as leaking, and
the accuracy that counts is the one under contexts inferred from the images.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from dacn.config import Config, Word
from dacn.data.classes.names import composed
from dacn.data.domain import Domain, DomainPair
from dacn.data.known.superclasses import CIFAR100_SUPERCLASSES
from dacn.data.read.images import Images, batches, concatenate, fetch
from dacn.data.read.paths import UserPath
from dacn.data.views.augment import to_input
from dacn.errors import DataError, did_you_mean
from dacn.models.context_net import ClusterAssigner, fit_clusters

PARTS = ("source", "target", "source_test", "target_test")


class DomainContext(Config):
    """Each source and the target are a context of their own; a single data set is one context."""

    name: Literal["domain"] = "domain"


class SuperclassContext(Config):
    """Groups of classes: CIFAR-100's twenty, or your own by `groups`. Derived from the label: leaks."""

    name: Literal["superclass"] = "superclass"
    groups: dict[str, tuple[str, ...]] | None = Field(
        None,
        description="name of each context and its classes, every class once; null: CIFAR-100's 20 superclasses",
        examples=[{"animal": ["cat", "dog"], "vehicle": ["car", "ship"]}],
    )


class ClusterContext(Config):
    """Clusters of images by k-means or a Gaussian mixture; an image's own cluster is known at test time too."""

    name: Literal["cluster"] = "cluster"
    count: int = Field(3, ge=1, le=1000, description="clusters")
    method: Literal["kmeans", "gmm"] = Field("gmm", description="k-means, or a Gaussian mixture")
    on: Literal["images", "features"] = Field(
        "images", description="pooled pixels; or colour moments and gradient orientations"
    )
    components: int = Field(32, ge=1, le=1000, description="principal components that are clustered")
    samples: int = Field(10_000, ge=10, description="training images, at most, that the clusters are fitted to")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="draws the contexts, whatever the run's seed")


class FileContext(Config):
    """Contexts from a file: of classes, or of single images."""

    name: Literal["file"] = "file"
    path: UserPath = Field(
        description="lines `class,context`; or .npz with int arrays named source, target, source_test, "
        "target_test (those that the pair has, in the order of their images)",
        examples=["contexts.csv"],
    )


class RandomContext(Config):
    """Contexts drawn at random for each image, for ablation."""

    name: Literal["random"] = "random"
    count: int = Field(2, ge=1, le=1000, description="contexts")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="draws the contexts, whatever the run's seed")


AnyContextConfig = Annotated[
    DomainContext | SuperclassContext | ClusterContext | FileContext | RandomContext,
    Field(discriminator="name"),
    Word(),
]


def with_contexts(config: Any, pair: DomainPair) -> DomainPair:
    """Return ``pair`` with the contexts that ``config`` (one of the configs above) describes.

    Args:
        config: what a context is.
        pair: its images, and the labels of its labelled parts.

    Raises:
        DataError: groups that do not hold every class once, a file that is absent or does not fit, too few images.
    """
    assign = CONTEXTS[config.name][0]
    return pair if assign is None else assign(config, pair)


def _by_superclass(config: SuperclassContext, pair: DomainPair) -> DomainPair:
    groups = CIFAR100_SUPERCLASSES if config.groups is None else config.groups
    groups = {group: tuple(map(composed, names)) for group, names in groups.items()}
    hint = "" if config.groups else "; these are CIFAR-100's superclasses, name your own by data.context.groups"
    of_class = {name: group for group, names in groups.items() for name in names}
    if len(of_class) < sum(map(len, groups.values())):
        raise DataError(
            f"data.context.groups: {_first_twice(groups)!r} stands in two groups; expected every class once"
        )
    return _by_class("data.context.groups", of_class, tuple(groups), pair, hint)


def _by_cluster(config: ClusterContext, pair: DomainPair) -> DomainPair:
    training = concatenate([part.images for part in {id(p.images): p for p in (pair.source, pair.target)}.values()])
    chosen = torch.linspace(0, len(training) - 1, min(len(training), config.samples)).long()
    options = config.model_dump(exclude={"name", "samples"})
    try:
        assigner = fit_clusters(to_input(fetch(training, chosen)), **options)
    except ValueError as error:
        raise DataError(f"data.context.count: {error}; lower it") from error
    contexts = {name: _assign(assigner, part.images) for name, part in _parts(pair).items()}
    names = tuple(f"cluster{k}" for k in range(config.count))
    return _replaced(pair, "cluster", names, contexts, context_net=assigner)


@torch.no_grad()
def _assign(assigner: ClusterAssigner, images: Images) -> Tensor:
    return torch.cat([assigner(to_input(part)).argmax(dim=1) for part in batches(images, 1000)])


def require_context_file(config: Any) -> None:
    """Make sure that the file that a context config names, if it is one that does, is there.

    Raises:
        DataError: it is not.
    """
    if isinstance(config, FileContext) and not config.path.is_file():
        raise DataError(f"data.context.path: {config.path}: {'is no file' if config.path.exists() else 'no such file'}")


def _by_file(config: FileContext, pair: DomainPair) -> DomainPair:
    require_context_file(config)
    where = f"data.context.path: {config.path}"
    if config.path.suffix == ".npz":
        return _by_image_file(where, config.path, pair)
    try:
        rows = [row for row in csv.reader(config.path.read_text(encoding="utf-8").splitlines()) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where}: not a text file of comma-separated values ({error})") from error
    of_class = {composed(row[0].strip()): row[-1].strip() for row in rows}
    if any(len(row) != 2 for row in rows) or len(of_class) < len(rows) or not all(of_class.values()):
        raise DataError(f"{where}: expected lines `class,context`, one for each class")
    return _by_class(where, of_class, tuple(dict.fromkeys(of_class.values())), pair, "", kind="file")


def _by_image_file(where: str, path: Path, pair: DomainPair) -> DomainPair:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{where}: not an .npz of plain arrays ({error})") from error
    contexts = {}
    for name, part in _parts(pair).items():
        values = arrays.get(name)
        if values is None or values.shape != (len(part),) or values.dtype.kind not in "iu" or values.min() < 0:
            got = "none" if values is None else f"{values.dtype} of shape {values.shape}"
            raise DataError(f"{where}: expected an array {name!r} of {len(part)} indices from 0, got {got}")
        contexts[name] = torch.from_numpy(values.astype(np.int64))
    count = 1 + max(int(values.max()) for values in contexts.values())
    if count > 1000:
        raise DataError(f"{where}: a context is {count - 1}; expected at most 1000 contexts, counted from 0")
    return _replaced(pair, "file", tuple(f"context{k}" for k in range(count)), contexts)


def _at_random(config: RandomContext, pair: DomainPair) -> DomainPair:
    generator = torch.Generator().manual_seed(config.seed)
    contexts = {
        name: torch.randint(config.count, (len(part),), generator=generator) for name, part in _parts(pair).items()
    }
    return _replaced(pair, "random", tuple(f"random{k}" for k in range(config.count)), contexts)


def _by_class(
    where: str, of_class: Mapping[str, str], names: Sequence[str], pair: DomainPair, hint: str, kind: str = "superclass"
) -> DomainPair:
    """Give each labelled image the context of its class; the target's training images have no label and get none."""
    for name in of_class:
        if name not in pair.classes:
            raise DataError(f"{where}: {pair.name} has no class {name!r}{did_you_mean(name, pair.classes)}{hint}")
    missing = [name for name in pair.classes if name not in of_class]
    if missing:
        raise DataError(f"{where}: no context for {', '.join(map(repr, missing[:10]))}; expected one for each class")
    table = torch.tensor([names.index(of_class[name]) for name in pair.classes])  # (classes,)
    contexts = {name: table[part.labels] for name, part in _parts(pair).items() if part.labels is not None}
    return _replaced(pair, kind, tuple(names), contexts, leaks=True)


def _parts(pair: DomainPair) -> dict[str, Domain]:
    return {name: part for name in PARTS if (part := getattr(pair, name)) is not None}


def _replaced(
    pair: DomainPair, kind: str, names: tuple[str, ...], contexts: Mapping[str, Tensor], **options: Any
) -> DomainPair:
    parts: dict[str, Any] = {name: replace(part, context=contexts.get(name)) for name, part in _parts(pair).items()}
    return replace(pair, **parts, contexts=names, context_kind=kind, **options)


def _first_twice(groups: Mapping[str, Sequence[str]]) -> str:
    names = [name for group in groups.values() for name in group]
    return next(name for name in names if names.count(name) > 1)


CONTEXTS: dict[str, tuple[Callable[[Any, DomainPair], DomainPair] | None, type[Config]]] = {
    "domain": (None, DomainContext),
    "superclass": (_by_superclass, SuperclassContext),
    "cluster": (_by_cluster, ClusterContext),
    "file": (_by_file, FileContext),
    "random": (_at_random, RandomContext),
}
