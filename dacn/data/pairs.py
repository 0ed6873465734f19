"""The catalogue of pairs, the `data` part of a recipe, and the pair that it describes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from dacn.config import Config
from dacn.data.classes import class_names, match_classes, require_labels
from dacn.data.digits import digits
from dacn.data.domain import Domain, DomainPair
from dacn.data.paths import UserPath
from dacn.data.spec import DomainSpec
from dacn.data.torchvision_set import torchvision_set
from dacn.errors import DataError, did_you_mean


@dataclass(frozen=True)
class PairParts:
    """A pair whose parts are read only when they are called for, so that one part can be replaced without its files."""

    source: Callable[[], Domain]
    target: Callable[[], Domain]
    source_test: Callable[[], Domain] | None = None
    target_test: Callable[[], Domain] | None = None
    flips: bool = False


def digits_parts(root: Path, download: bool, image_size: int) -> PairParts:
    """Handwritten digits to digits blended with photographs; embedded, nothing to download."""
    part = partial(partial, getattr, digits(image_size))
    return PairParts(part("source"), part("target"), part("source_test"), part("target_test"))


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


class DataConfig(Config):
    """Which images a run adapts from and to: a named pair, or a source and a target of your own.

    A spec beside `pair` replaces that part. A replaced source or target leaves behind the pair's test set of its
    domain, which no longer speaks for it; give `source_test` or `target_test` with it.
    """

    pair: str | None = Field(None, description=f"a named pair: {', '.join(PAIRS)}")
    source: DomainSpec | None = Field(None, description="labelled training images")
    target: DomainSpec | None = Field(None, description="training images; labels that they may carry are never used")
    source_test: DomainSpec | None = Field(None, description="labelled images, only ever used to report")
    target_test: DomainSpec | None = Field(None, description="labelled images, only ever used to report")
    root: UserPath = Field(Path("data"), description="where the files of named and torchvision data sets lie")
    download: bool = Field(False, description="fetch files that are absent")
    image_size: int = Field(32, ge=8, le=512, description="pixels of both sides")
    flips: bool | None = Field(
        None, description="is a mirrored image still its class? unset: as the pair says, else no"
    )

    @field_validator("pair")
    @classmethod
    def _known_pair(cls, pair: str | None) -> str | None:
        if pair is not None and pair not in PAIRS:
            raise ValueError(f"no pair of this name{did_you_mean(pair, PAIRS)}; known: {', '.join(PAIRS)}")
        return pair

    @model_validator(mode="after")
    def _one_pair(self) -> Self:
        if self.pair is None and self.source is None and self.target is None:
            raise ValueError(f"give data.pair ({', '.join(PAIRS)}), or data.source and data.target for your own")
        if self.pair is None and (self.source is None or self.target is None):
            given, missing = ("target", "source") if self.source is None else ("source", "target")
            raise ValueError(f"data.{given} is given but data.{missing} is not; give both, or a data.pair")
        if self.pair is not None and self.source is not None and self.target is not None:
            raise ValueError(
                f"data.source and data.target replace all of data.pair ({self.pair}): drop data.pair, or one of them"
            )
        return self


def build_pair(config: DataConfig) -> DomainPair:
    """Read the images that a config describes.

    >>> build_pair(DataConfig(pair="digits")).classes[:3]
    ('0', '1', '2')

    Raises:
        DataError: files that are absent or damaged, a source or test set without labels, class sets that differ.
    """
    parts = _parts(config)
    source = require_labels("source", parts.source())
    classes = class_names(source)
    target = parts.target()
    if target.labels is not None:
        match_classes("target", target, source, complete=True)
    tests = {}
    for key, part in (("source_test", parts.source_test), ("target_test", parts.target_test)):
        tests[key] = None if part is None else match_classes(key, require_labels(key, part()), source, complete=False)
    replaced = config.source or config.target
    return DomainPair(
        name=f"{source.name}_{target.name}" if config.pair is None or replaced else config.pair,
        classes=classes,
        source=source,
        target=target,
        flips=parts.flips if config.flips is None else config.flips,
        **tests,
    )


def _parts(config: DataConfig) -> PairParts:
    own: dict[str, Callable[[], Domain] | None] = {}
    for key in ("source", "target", "source_test", "target_test"):
        if getattr(config, key) is not None:
            own[key] = partial(_load, config, key)
    if config.pair is None:
        return PairParts(**own)  # type: ignore[arg-type]  # the config holds both a source and a target
    for key in ("source", "target"):
        if key in own:
            own.setdefault(f"{key}_test", None)
    return replace(PAIRS[config.pair](config.root, config.download, config.image_size), **own)  # type: ignore[arg-type]


def _load(config: DataConfig, key: str) -> Domain:
    try:
        domain: Domain = getattr(config, key).load(config.root, config.download, config.image_size)
    except DataError as error:
        raise DataError(f"data.{key}: {error}") from error
    return domain


def _torchvision_parts(source: str, target: str, root: Path, download: bool, image_size: int) -> PairParts:
    def part(name: str, train: bool) -> Callable[[], Domain]:
        return partial(torchvision_set, name, root, image_size, train=train, download=download)

    return PairParts(part(source, True), part(target, True), part(source, False), part(target, False))
