"""Domains and pairs of domains: all that an algorithm may see of the data."""

from dataclasses import InitVar, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dacn.data.classes.names import composed
from dacn.data.fit import Fit
from dacn.data.read.images import Images, crop_images, select
from dacn.data.read.passed_over import PassedOver
from dacn.data.values import ValueRange
from dacn.errors import DataError


@dataclass(frozen=True)
class Domain:
    """Images of one domain, as bytes, with their labels if they have any.

    Args:
        name: what reports call it, for example ``"mnist"``.
        images: uint8, 0 to 255: a tensor, or files that are decoded when they are asked for (`dacn.data.read.images`).
        labels: int64 class indices, or None for an unlabelled domain.
        classes: what index i stands for, or None where the indices are all there is; kept in Unicode's composed form.
        context: int64, the context of each image; None where the whole domain has the one that its pair gives it.
        notes: what a user should be told of how it was read.
        fit: how the images were brought to their size, and new ones of this domain are to be.
        group: int64, what an image shares with others, such as its photograph; no group is parted by a split.
        identity: int64, what tells each image from others (`dacn.data.read.identity`); None: its pixels.
        value_range: what became black and white in images of more than 8 bits; None where there were none.
        passed_over: files beside the images that were not read, by cause, suffix and folder.
        uncropped: images of which ``images`` are the centre squares, for training views to be cut from; None where
            there is nothing around these.
        file_size: width and height of its files in the median, as they lie there; None for images that are no files.

    Shape: images ``(N, 3, H, W)``, labels, context, group and identity ``(N,)``.

    Raises:
        DataError: empty, not uint8 RGB, labels, contexts or groups of another length, or a class whose name cannot
            be printed.
    """

    name: str
    images: Images
    labels: Tensor | None = None
    classes: tuple[str, ...] | None = None
    context: Tensor | None = None
    notes: tuple[str, ...] = ()
    fit: Fit = "crop"
    group: Tensor | None = None
    identity: Tensor | None = None
    value_range: ValueRange | None = None
    passed_over: tuple[PassedOver, ...] = ()
    uncropped: Images | None = None
    file_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            raise DataError(
                f"{self.name}: images must be uint8 of shape (N, 3, H, W), "
                f"got {self.images.dtype} {tuple(self.images.shape)}"
            )
        if len(self.images) == 0:
            raise DataError(f"{self.name}: there are no images")
        of_each = {"labels": self.labels, "contexts": self.context, "groups": self.group, "identities": self.identity}
        for what, values in of_each.items():
            if values is not None and values.shape != (len(self.images),):
                raise DataError(f"{self.name}: {len(self.images)} images but {what} of shape {tuple(values.shape)}")

        if self.uncropped is not None:
            whole, shown = self.uncropped.shape, self.images.shape
            if whole[:2] != shown[:2] or shown[2] != shown[3] or shown[2] > min(whole[2:]):
                raise DataError(
                    f"{self.name}: images of shape {tuple(shown)} are not the centre squares of uncropped ones of "
                    f"shape {tuple(whole)}"
                )

        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(map(composed, self.classes)))
        for name in self.classes or ():
            if not name.strip() or not name.isprintable() or len(name) > 200:
                raise DataError(
                    f"{self.name!a}: a class is called {name[:50]!a}; expected up to 200 printable characters"
                )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.images.shape[2:]
        classes = "" if self.classes is None else f", {_listed(self.classes)}"
        return f"<Domain {self.name}: {_counted(self)} images of {height}x{width}{classes}>"

    def rows(self, chosen: Tensor) -> "Domain":
        """Return the images of these rows, (n,) int64, with all that is known of each."""
        known = {key: getattr(self, key) for key in ("labels", "context", "group", "identity")}
        own: dict[str, Any] = {key: None if values is None else values[chosen] for key, values in known.items()}
        if self.uncropped is not None:
            own["uncropped"] = select(self.uncropped, chosen)
        return replace(self, images=select(self.images, chosen), **own)

    @property
    def training_images(self) -> Images:
        """The images that training views are cut from."""
        return self.images if self.uncropped is None else self.uncropped

    def unlabelled(self) -> "Domain":
        """Return the same images without labels."""
        return replace(self, labels=None)

    def context_or(self, default: int) -> Tensor:
        """Return the context of each image, ``default`` where the domain gives none: (N,) int64."""
        if self.context is not None:
            return self.context
        return torch.full((len(self.images),), default, device=self.images.device)

    def to(self, device: torch.device) -> "Domain":
        """Return the domain with its tensors on ``device``."""
        whole = self.training_images.to(device)
        if self.uncropped is not None and whole is not self.uncropped:  # moved once, with what lies around
            return self._moved(crop_images(whole, self.images.shape[-1]), whole, device)
        return self._moved(self.images.to(device), self.uncropped, device)

    def _moved(self, images: Images, uncropped: Images | None, device: torch.device) -> "Domain":
        return replace(
            self,
            images=images,
            uncropped=uncropped,
            labels=None if self.labels is None else self.labels.to(device),
            context=None if self.context is None else self.context.to(device),
        )


@dataclass(frozen=True, kw_only=True)
class DomainPair:
    """A labelled source, an unlabelled target and, to report on, a labelled test set of each.

    Labels of the target's training images are dropped when the pair is built, so that nothing behind it can reach them.

    Args:
        source: training images with labels. Each of these four may be a path instead: a folder of images, with class
            sub-folders or flat, or an ``.npz`` archive (`dacn.data.pair.from_paths`).
        target: training images; labels that it may carry are dropped.
        source_test, target_test: labels only ever used to report; None where there are none.
        flips: whether a mirrored image is still of its class (digits: no).
        classes: the class names, shared by both domains; by default the source's own.
        name: what reports call it; by default made of the domains' names.
        contexts: names of the contexts, the target's last. A domain that does not say has the first if it is the
            source or its test set, and the last if it is the target or its.
        oracle: whether ``source`` holds the target's own labels, all of them: an upper bound and no adaptation.
        context_kind: what a context is; ``"domain"``, or a name in `dacn.data.pair.contexts.CONTEXTS`.
        leaks: whether contexts are derived from labels, so that knowing one tells part of the answer.
        context_net: gives images scores of the contexts, where contexts are computed from the image.
        fewer_classes: whether the target may lack classes of the source (partial adaptation).
        fits: how new images of each context are to be fitted; by default as the domains say.
        class_mean: whether accuracies are means over classes, and not over images.
        image_size: pixels of both sides of images that are read from paths; by default chosen from the files.

    Raises:
        DataError: a path that cannot be read, fewer than two classes, a labelled set without labels, labels outside the
            classes, classes in another order, images of different sizes, contexts outside those named, or names that
            stand for two of them.
    """

    source: Domain
    target: Domain
    source_test: Domain | None = None
    target_test: Domain | None = None
    flips: bool = False
    classes: tuple[str, ...] = ()
    name: str = ""
    contexts: tuple[str, ...] = ("source", "target")
    oracle: bool = False
    context_kind: str = "domain"
    leaks: bool = False
    context_net: nn.Module | None = None
    fits: tuple[Fit, ...] = ()
    fewer_classes: bool = False
    class_mean: bool = False
    image_size: InitVar[int | None] = None

    def __post_init__(self, image_size: int | None) -> None:
        if any(isinstance(part, str | Path) for part in self.domains.values()):
            from dacn.data.pair.from_paths import read_parts  # it builds pairs itself

            for name, value in read_parts(self.domains, image_size).items():
                if name in self.domains or not getattr(self, name):
                    object.__setattr__(self, name, value)
        object.__setattr__(self, "target", self.target.unlabelled())
        fits = (*[self.source.fit] * (len(self.contexts) - 1), self.target.fit)
        given = len(self.fits) == len(self.contexts)  # those of other contexts came along with a replaced pair
        object.__setattr__(self, "fits", self.fits if given else fits)
        object.__setattr__(self, "name", self.name or f"{self.source.name}_{self.target.name}")
        object.__setattr__(self, "classes", tuple(map(composed, self.classes or self.source.classes or ())))
        self._check_labels()
        self._check_sizes()
        self._check_ranges()
        self._check_contexts()

    def __repr__(self) -> str:
        height, width = self.source.images.shape[2:]
        parts = "; ".join(f"{part}: {_counted(domain)} ({domain.name})" for part, domain in self.domains.items())
        contexts = "" if self.by_domain and len(self.contexts) == 2 else f"; contexts: {', '.join(self.contexts[:5])}"
        more = f" and {len(self.contexts) - 5} more" if contexts and len(self.contexts) > 5 else ""
        return f"<DomainPair {self.name}: {_listed(self.classes)}; images of {height}x{width}; {parts}{contexts}{more}>"

    def _check_labels(self) -> None:
        if not self.classes:
            raise DataError(f"{self.name}: {self.source.name} does not name its classes; give classes=(...)")
        if len(self.classes) < 2:
            raise DataError(f"{self.name}: only one class, {self.classes[0]!r}; expected at least two to tell apart")
        for domain in (self.source, self.source_test, self.target_test):
            if domain is None:
                continue
            if domain.labels is None:
                raise DataError(
                    f"{self.name}: {domain.name} has no labels, and only the target's training set may lack them"
                )
            if domain.classes not in (None, self.classes):
                raise DataError(
                    f"{self.name}: the classes of {domain.name} are {', '.join(domain.classes or ())}; expected "
                    f"{', '.join(self.classes)}, in this order (dacn.build_pair puts them in order by name)"
                )
            if not 0 <= int(domain.labels.min()) <= int(domain.labels.max()) < len(self.classes):
                raise DataError(
                    f"{self.name}: labels of {domain.name} run from {int(domain.labels.min())} to "
                    f"{int(domain.labels.max())}, but there are {len(self.classes)} classes"
                )

    def _check_sizes(self) -> None:
        size = self.source.images.shape[2:]
        for domain in (self.target, self.source_test, self.target_test):
            if domain is not None and domain.images.shape[2:] != size:
                raise DataError(
                    f"{self.name}: {domain.name} has images of {tuple(domain.images.shape[2:])} pixels, "
                    f"{self.source.name} of {tuple(size)}; set data.image_size"
                )

    def _check_ranges(self) -> None:
        ranges = {key: domain.value_range for key, domain in self.domains.items() if domain.value_range is not None}
        if len({each[:2] for each in ranges.values()}) > 1:
            told = ", ".join(f"{key} as {each}" for key, each in ranges.items())
            high = max(each.high for each in ranges.values())
            raise DataError(
                f"{self.name}: images of more than 8 bits are read by different ranges ({told}); give all the "
                f"same, for example range=(0, {high:g}) in dacn.folder"
            )

    def _check_contexts(self) -> None:
        if not self.contexts or len(set(self.contexts)) < len(self.contexts):
            raise DataError(f"{self.name}: contexts must be different names, at least one, got {self.contexts}")
        for domain in self.domains.values():
            if domain.context is None:
                continue
            lowest, highest = int(domain.context.min()), int(domain.context.max())
            if not 0 <= lowest <= highest < self.num_contexts:
                raise DataError(
                    f"{self.name}: contexts of {domain.name} run from {lowest} to {highest}, but there are "
                    f"{self.num_contexts}: {', '.join(self.contexts)}"
                )

    @property
    def by_domain(self) -> bool:
        """Whether the context is the domain."""
        return self.context_kind == "domain"

    @property
    def contexts_apart(self) -> bool:
        """Whether no context holds both labelled and unlabelled training images."""
        labelled, unlabelled = self.source.context_or(0), self.target.context_or(self.target_context)
        return not set(labelled.tolist()) & set(unlabelled.tolist())

    @property
    def value_range(self) -> ValueRange | None:
        """What becomes black and white in images of more than 8 bits; None where there were none."""
        return next((domain.value_range for domain in self.domains.values() if domain.value_range is not None), None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should be told of how the images were read, each thing once."""
        return tuple(dict.fromkeys(note for domain in self.domains.values() for note in domain.notes))

    @property
    def domains(self) -> dict[str, Domain]:
        """The parts that are there, by name: source, target and their test sets."""
        names = ("source", "target", "source_test", "target_test")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def num_contexts(self) -> int:
        """How many contexts there are, K."""
        return len(self.contexts)

    @property
    def target_context(self) -> int:
        """Index of the target's context, K - 1."""
        return len(self.contexts) - 1

    def to(self, device: torch.device) -> "DomainPair":
        """Return the pair with its tensors on ``device``."""
        moved: dict[str, Any] = {name: domain.to(device) for name, domain in self.domains.items()}
        net = None if self.context_net is None else self.context_net.to(device)
        return replace(self, **moved, context_net=net)


def _counted(domain: Domain) -> str:
    return f"{len(domain):,} {'unlabelled' if domain.labels is None else 'labelled'}"


def _listed(classes: tuple[str, ...]) -> str:
    """Return how many classes there are and the first ones."""
    return f"{len(classes)} classes ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''})"
