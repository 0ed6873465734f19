"""Domains and pairs of them: what an algorithm may see, and nothing more."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dacn.errors import DataError


@dataclass(frozen=True)
class Domain:
    """Images of one domain, held as bytes, with their labels if they have any.

    Args:
        name: what reports call it, for example ``"mnist"``.
        images: uint8, 0 to 255.
        labels: int64 class indices, or None for an unlabelled domain.
        classes: what index i stands for, or None where the indices are all there is.

    Shape: images ``(N, 3, H, W)``, labels ``(N,)``.

    Raises:
        DataError: empty, not uint8 RGB, or labels of another length.
    """

    name: str
    images: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            raise DataError(
                f"{self.name}: images must be uint8 of shape (N, 3, H, W), "
                f"got {self.images.dtype} {tuple(self.images.shape)}"
            )
        if len(self.images) == 0:
            raise DataError(f"{self.name}: there are no images")
        if self.labels is not None and self.labels.shape != (len(self.images),):
            raise DataError(f"{self.name}: {len(self.images)} images but labels of shape {tuple(self.labels.shape)}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def grey(self) -> bool:
        """Whether every image has three equal channels."""
        return bool((self.images == self.images[:, :1]).all())

    def unlabelled(self) -> "Domain":
        """Return the same images without labels."""
        return replace(self, labels=None)

    def to(self, device: torch.device) -> "Domain":
        """Return the domain with its tensors on ``device``."""
        return replace(
            self, images=self.images.to(device), labels=None if self.labels is None else self.labels.to(device)
        )


@dataclass(frozen=True, kw_only=True)
class DomainPair:
    """A labelled source, an unlabelled target and, to report on, a labelled test set of each.

    Labels of the target's training images are dropped when the pair is built, so that nothing behind it can reach them.

    Args:
        source: training images with labels.
        target: training images; labels that it may carry are dropped.
        source_test, target_test: labels only ever used to report; None where there are none.
        flips: whether a mirrored image is still of its class (digits: no).
        classes: the class names, shared by both domains; by default the source's own.
        name: what reports call it; by default made of the domains' names.

    Raises:
        DataError: a labelled set without labels, labels outside the classes, classes in another order, or images of
            different sizes.
    """

    source: Domain
    target: Domain
    source_test: Domain | None = None
    target_test: Domain | None = None
    flips: bool = False
    classes: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", self.target.unlabelled())
        object.__setattr__(self, "name", self.name or f"{self.source.name}_{self.target.name}")
        object.__setattr__(self, "classes", self.classes or self.source.classes or ())
        if not self.classes:
            raise DataError(f"{self.name}: {self.source.name} does not name its classes; give classes=(...)")
        size = self.source.images.shape[2:]
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
        for domain in (self.target, self.source_test, self.target_test):
            if domain is not None and domain.images.shape[2:] != size:
                raise DataError(
                    f"{self.name}: {domain.name} has images of {tuple(domain.images.shape[2:])} pixels, "
                    f"{self.source.name} of {tuple(size)}; set data.image_size"
                )

    def to(self, device: torch.device) -> "DomainPair":
        """Return the pair with its tensors on ``device``."""
        names = ("source", "target", "source_test", "target_test")
        domains = {name: getattr(self, name) for name in names}
        return replace(self, **{name: domain.to(device) for name, domain in domains.items() if domain is not None})
