"""What a recipe can call by name: pairs of domains, and single data sets. Nothing is read before it is called for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dacn.data.digits import digit_domains
from dacn.data.domain import Domain
from dacn.data.torchvision_set import torchvision_set

Load = Callable[[], Domain]


@dataclass(frozen=True)
class PairParts:
    """A pair whose parts are read only when they are called for, so that one part can be replaced without its files.

    Args:
        source: one or several.
        target: the unlabelled part.
        source_test: as many as there are sources, or none.
        target_test: None where there is none.
        flips: whether a mirrored image is still of its class.
    """

    source: tuple[Load, ...]
    target: Load
    source_test: tuple[Load, ...] = ()
    target_test: Load | None = None
    flips: bool = False


def digits_parts(root: Path, download: bool, image_size: int) -> PairParts:
    """Handwritten digits to digits blended with photographs; embedded, nothing to download."""
    part = partial(partial, digit_domains(image_size).__getitem__)
    return PairParts((part("source"),), part("target"), (part("source_test"),), part("target_test"))


def mnist_usps(root: Path, download: bool, image_size: int) -> PairParts:
    """MNIST to USPS: handwritten digits to scanned postal codes."""
    return _torchvision_parts("MNIST", "USPS", root, download, image_size)


def usps_mnist(root: Path, download: bool, image_size: int) -> PairParts:
    """USPS to MNIST: scanned postal codes to handwritten digits."""
    return _torchvision_parts("USPS", "MNIST", root, download, image_size)


def mnist_svhn(root: Path, download: bool, image_size: int) -> PairParts:
    """MNIST to SVHN: handwritten digits to house numbers in photographs, the hard direction."""
    return _torchvision_parts("MNIST", "SVHN", root, download, image_size)


def svhn_mnist(root: Path, download: bool, image_size: int) -> PairParts:
    """SVHN to MNIST: house numbers in photographs to handwritten digits."""
    return _torchvision_parts("SVHN", "MNIST", root, download, image_size)


PAIRS: dict[str, Callable[[Path, bool, int], PairParts]] = {
    "digits": digits_parts,
    "mnist_usps": mnist_usps,
    "usps_mnist": usps_mnist,
    "mnist_svhn": mnist_svhn,
    "svhn_mnist": svhn_mnist,
}


@dataclass(frozen=True)
class SetParts:
    """A single data set: its training images, its test images if it has any, whether a mirrored one keeps its class."""

    train: Load
    test: Load | None = None
    flips: bool = False


DATASETS: dict[str, Callable[[Path, bool, int], SetParts]] = {
    "mnist": lambda *where: _set_parts("MNIST", False, *where),
    "usps": lambda *where: _set_parts("USPS", False, *where),
    "svhn": lambda *where: _set_parts("SVHN", False, *where),
    "cifar10": lambda *where: _set_parts("CIFAR10", True, *where),
    "cifar100": lambda *where: _set_parts("CIFAR100", True, *where),
}


def _set_parts(kind: str, flips: bool, *where: *tuple[Path, bool, int]) -> SetParts:
    return SetParts(_part(kind, True, *where), _part(kind, False, *where), flips)


def _torchvision_parts(source: str, target: str, *where: *tuple[Path, bool, int]) -> PairParts:
    return PairParts(
        (_part(source, True, *where),),
        _part(target, True, *where),
        (_part(source, False, *where),),
        _part(target, False, *where),
    )


def _part(kind: str, train: bool, root: Path, download: bool, image_size: int) -> Load:
    return partial(torchvision_set, kind, root, image_size, train=train, download=download)
