"""The pairs and single data sets that a recipe can name. Nothing is read before it is asked for."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from torch import Tensor

from dacn.config import Config
from dacn.data.classes.class_map import CLASS_MAP, ClassMap
from dacn.data.classes.shared_classes import keep_classes
from dacn.data.domain import Domain
from dacn.data.known.cifar100 import with_superclasses
from dacn.data.known.digits import digit_domains
from dacn.data.known.names import DOMAINS, NAMED_PAIRS, NamedDomain
from dacn.data.known.photograph_sets import (
    IMAGE_CLEF_DOMAINS,
    OFFICE_CALTECH_DOMAINS,
    OFFICE_HOME_DOMAINS,
    VISDA_DOMAINS,
)
from dacn.data.known.sets import OFFICE31_DOMAINS, PACS_DOMAINS, SETS
from dacn.data.known.variants import apply_variant
from dacn.data.read.folder import find_folder, folder
from dacn.data.read.listed import find_listed
from dacn.data.read.npz import find_npz
from dacn.data.read.ranges import read_by_one_range
from dacn.data.read.reading import ReadingConfig, reading_config
from dacn.data.read.resident import ResidentLoader
from dacn.data.read.torchvision_set import torchvision_set
from dacn.errors import DataError, did_you_mean

Load = Callable[[], Domain]

_KINDS = {
    **{"mnist": "MNIST", "usps": "USPS", "svhn": "SVHN"},
    **{"cifar10": "CIFAR10", "cifar100": "CIFAR100", "stl10": "STL10"},
}
"""The data sets that torchvision reads, by the class that does."""

_ALL = 1_000_000  # MiB: as torchvision's arrays, its images are held in memory

_FOLDERS = {
    **{f"pacs_{part}": (f"pacs/{name}", f"PACS/{name}", f"PACS/kfold/{name}") for part, name in PACS_DOMAINS.items()},
    **{f"office31_{name}": (f"office31/{name}/images", f"office31/{name}") for name in OFFICE31_DOMAINS},
    **{
        f"office_home_{part}": tuple(f"{place}/{name}" for place in ("office_home", "OfficeHomeDataset_10072016"))
        for part, name in OFFICE_HOME_DOMAINS.items()
    },
    **{f"visda2017_{part}": (f"visda2017/{name}", f"visda-2017/{name}") for part, name in VISDA_DOMAINS.items()},
    **{f"office_caltech10_{name}": (f"office_caltech10/{name}",) for name in OFFICE_CALTECH_DOMAINS},
    **{f"image_clef_{part}": (f"image_clef/{name}",) for part, name in IMAGE_CLEF_DOMAINS.items()},
}
"""The domains that are class folders, by where these may lie under the root, the official layout among them."""


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


@dataclass(frozen=True)
class SetParts:
    """A single data set: its training images, its test images if it has any, whether a mirrored one keeps its class."""

    train: Load
    test: Load | None = None
    flips: bool = False


class NamedSpec(Config):
    """A single domain of those that dacn knows by name."""

    named: str = Field(description="a domain that `dacn data list` names", examples=["mnist_m", "pacs_photo"])
    train: bool = Field(True, description="its training images; false: its test images")
    class_map: ClassMap | None = CLASS_MAP

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.named not in DOMAINS:
            near = did_you_mean(self.named, DOMAINS)
            raise ValueError(f"no domain is named {self.named!r}{near}; `dacn data list` names all")
        if self.named in _FOLDERS and not self.train:
            raise ValueError(f"{self.named} has no test part: leave `train: false` out")
        return self

    def load(self, config: ReadingConfig) -> Domain:
        """Return the domain, from ``data.root``."""
        return find_domain(self.named, config, self.train)


def load_domain(name: str, root: Path, image_size: int, *, train: bool = True, download: bool = False) -> Domain:
    """Read one domain by its name.

    Args:
        name: a key of `DOMAINS`, for example ``"mnist_m"`` or ``"pacs_photo"``.
        root: where its files lie.
        image_size: pixels of both sides.
        train: the training or the test part. PACS and Office-31 have no parts: either is the whole domain.
        download: fetch the files where they are absent and torchvision can.

    Raises:
        DataError: files that are absent or damaged; the message says how to come by them.
    """
    config = reading_config(root=root, image_size=image_size, download=download)
    domains = read_by_one_range({name: find_domain(name, config, train)}, config.range)
    return ResidentLoader(config).load_resident(domains[name])


def find_domain(name: str, config: ReadingConfig, train: bool) -> Domain:
    """Return one domain by its name, as `load_domain` does; image files are found and not read yet."""
    domain, root = DOMAINS[name], config.root
    if domain.of in _KINDS:
        read = _downloaded(domain.of, config, train)
        if domain.part:
            pixels = read.images
            assert isinstance(pixels, Tensor)  # torchvision's arrays are held in memory
            if domain.part == "coarse":
                read = with_superclasses(read)
            else:  # varied pixels are other images
                read = replace(read, images=apply_variant(pixels, domain.part), identity=None)
    elif domain.of == "domainnet":
        read = find_listed(_list_of(domain, root, "train" if train else "test"), root / "domainnet", config)
    elif name in _FOLDERS:
        read = find_folder(_folder_of(name, domain, root), config)
    else:
        read = find_npz(_prepared(domain, root, "train" if train else "test"), config)
    return replace(read, name=name)


def _downloaded(of: str, config: ReadingConfig, train: bool) -> Domain:
    """Read what torchvision downloads; where its CIFAR-10 is absent, class folders serve, as many keep it."""
    folders = config.root / "cifar10" / ("train" if train else "test")
    if of == "cifar10" and folders.is_dir() and not (config.root / "cifar-10-batches-py").is_dir():
        return folder(
            folders,
            config.read_size,
            resize=config.resize,
            on_bad_image=config.on_bad_image,
            resident_mb=_ALL,
            workers=config.workers,
        )
    return torchvision_set(
        _KINDS[of], config.root, config.read_size, train=train, download=config.download, resize=config.resize
    )


def digits_parts(config: ReadingConfig) -> PairParts:
    """Return the embedded pair: handwritten digits to digits blended with photographs, nothing to download."""
    part = partial(partial, digit_domains(config.read_size).__getitem__)
    return PairParts((part("source"),), part("target"), (part("source_test"),), part("target_test"))


def _pair_parts(name: str, config: ReadingConfig) -> PairParts:
    """Return a pair's parts.

    A domain of class folders has no test part. As the field does with these (transductive adaptation), a target is
    tested on the images that it lent without their labels, and a source is not tested.
    """
    pair = NAMED_PAIRS[name]

    def load(domain: str, train: bool) -> Load:
        def read() -> Domain:
            whole = find_domain(domain, config, train)
            return keep_classes(whole, pair.classes, pair.rename) if pair.classes else whole

        return cache(read)

    target = load(pair.target, True)
    return PairParts(
        (load(pair.source, True),),
        target,
        () if pair.source in _FOLDERS else (load(pair.source, False),),
        target if pair.target in _FOLDERS else load(pair.target, False),
        pair.flips,
    )


def _set_parts(name: str, config: ReadingConfig) -> SetParts:
    train, test = (partial(find_domain, name, config, train) for train in (True, False))
    return SetParts(train, None if name in _FOLDERS else test, DOMAINS[name].flips)


PAIRS: dict[str, Callable[[ReadingConfig], PairParts]] = {
    "digits": digits_parts,
    **{name: partial(_pair_parts, name) for name in NAMED_PAIRS},
}
DATASETS: dict[str, Callable[[ReadingConfig], SetParts]] = {name: partial(_set_parts, name) for name in DOMAINS}


def _folder_of(name: str, domain: NamedDomain, root: Path) -> Path:
    places = [root / place for place in _FOLDERS[name]]
    for place in places:
        if place.is_dir():
            return place
    searched = ", ".join(map(str, places))
    raise DataError(
        f"{domain.title}: no folder {searched}; fetch the data set ({SETS[domain.of].source}), "
        f"then run `dacn data prepare {domain.of} --from FILE --root {root}`, or point data.root at it"
    )


def _list_of(domain: NamedDomain, root: Path, part: str) -> Path:
    path = root / domain.of / f"{domain.part}_{part}.txt"
    if path.is_file():
        return path
    raise DataError(
        f"{domain.title} ({part}): no file {path}; fetch the data set ({SETS[domain.of].source}), then run `dacn data "
        f"prepare {domain.of} --from FILE --root {root}` with all its files, or point data.root at it"
    )


def _prepared(domain: NamedDomain, root: Path, part: str) -> Path:
    path = root / domain.of / (f"{domain.part}_{part}.npz" if domain.part else f"{part}.npz")
    if path.is_file():
        if domain.of == "mnist_m" and not domain.part:
            _require_published_form(path)
        return path
    option = "blend" if domain.of == "mnist_m" else "only"
    only = f" --{option} {domain.part}" if domain.part else ""
    raise DataError(
        f"{domain.title} ({part}): no file {path}; make it with `dacn data prepare {domain.of}{only} --root {root}` "
        "(--help says from what), or point data.root at it"
    )


def _require_published_form(path: Path) -> None:
    """Refuse an MNIST-M that an earlier version built here, in shades of grey and under the same name."""
    try:
        made = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))
        grey = "photographs" in made["settings"] and "blend" not in made["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # not built here
    if grey:
        raise DataError(
            f"{path}: an earlier version of dacn built it by abs(patch - digit), in shades of grey; in the published "
            f"MNIST-M every pixel of a digit is at full strength. Make it anew: dacn data prepare mnist_m --root "
            f"{path.parents[1]} --force; or keep it as the domain mnist_m_grey: rename train.npz, test.npz and "
            f"manifest.json in {path.parent} to grey_train.npz, grey_test.npz and grey_manifest.json"
        )
