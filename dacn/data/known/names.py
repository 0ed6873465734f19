"""The names of single domains and of the pairs between them, generated from the table of data sets. Reads no image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations, product

from dacn.data.known.photograph_sets import (
    DOMAINNET_DOMAINS,
    IMAGE_CLEF_DOMAINS,
    OFFICE_CALTECH_DOMAINS,
    OFFICE_HOME_DOMAINS,
    VISDA_DOMAINS,
)
from dacn.data.known.sets import CORRUPTIONS, OFFICE31_DOMAINS, PACS_DOMAINS, SETS, SEVERITIES

DIGITS = tuple("0123456789")
"""Class names of every digit data set, so that any two of them agree."""

DIGIT_DOMAINS = ("mnist", "usps", "svhn", "mnist_m", "syn_digits")
VARIANTS = {
    "grey": "in shades of grey",
    "inverted": "as negatives",
    "sketched": "as pencil sketches",
    "hue": "with their colours turned by a third of the wheel",
}
"""What CIFAR-10's images can be made into while they are read, and how that looks."""

_LOOKS = {
    **{"photo": "photographs", "art": "paintings", "cartoon": "cartoons", "sketch": "sketches"},
    **{"amazon": "product pictures", "dslr": "sharp photographs", "webcam": "webcam pictures"},
    **{"clipart": "clip art", "product": "product pictures", "real": "photographs", "synthetic": "renderings"},
    **{"infograph": "infographics", "painting": "paintings", "quickdraw": "quick drawings"},
    **{
        "caltech": "photographs of Caltech-256",
        "imagenet": "photographs of ImageNet",
        "pascal": "Pascal's photographs",
    },
}
"""What the images of a domain look like, by its name in any data set."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "pacs": tuple(PACS_DOMAINS),
    "office31": OFFICE31_DOMAINS,
    "office_home": tuple(OFFICE_HOME_DOMAINS),
    "visda2017": tuple(VISDA_DOMAINS),
    "domainnet": DOMAINNET_DOMAINS,
    "office_caltech10": OFFICE_CALTECH_DOMAINS,
    "image_clef": tuple(IMAGE_CLEF_DOMAINS),
}
"""The data sets of several domains of photographs, with the names of these."""

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NINE = tuple(name for name in CIFAR10_CLASSES if name != "frog")
"""The classes that CIFAR-10 and STL-10 share, by CIFAR-10's names; STL-10's tenth is a monkey."""


@dataclass(frozen=True)
class NamedDomain:
    """One domain that a recipe can call by name.

    Args:
        of: the data set, a key of `SETS`.
        title: what a sentence calls it.
        what: what its images show.
        part: which of the data set's domains it is, where there are several.
    """

    of: str
    title: str
    what: str
    part: str = ""

    @property
    def flips(self) -> bool:
        """Whether a mirrored image is still of its class."""
        return SETS[self.of].flips


@dataclass(frozen=True)
class NamedPair:
    """Two domains that a recipe can call by one name; both keys of `DOMAINS`.

    Args:
        source: the labelled one.
        target: the unlabelled one.
        classes: those that both have, where each also has others; their images are left out.
        rename: classes of either that go by another name in ``classes``.
    """

    source: str
    target: str
    classes: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)

    @property
    def about(self) -> str:
        """One sentence that says what adapts to what."""
        source, target = DOMAINS[self.source], DOMAINS[self.target]
        return f"{source.title} to {target.title}: {source.what} to {target.what}."

    @property
    def flips(self) -> bool:
        """Whether a mirrored image is still of its class, in both."""
        return DOMAINS[self.source].flips and DOMAINS[self.target].flips

    @property
    def class_mean(self) -> bool:
        """Whether accuracy is the mean over classes, as the target's protocol has it."""
        return SETS[DOMAINS[self.target].of].class_mean


def _domains() -> Iterator[tuple[str, NamedDomain]]:
    for name in (*DIGIT_DOMAINS, "svhn_crops", "cifar10", "cifar100", "stl10"):
        yield name, NamedDomain(name, SETS[name].title, SETS[name].what)
    yield "mnist_m_grey", NamedDomain("mnist_m", "MNIST-M in grey", "digits blended in shades of grey", "grey")
    cifar100 = SETS["cifar100"]
    yield "cifar100_coarse", NamedDomain("cifar100", "CIFAR-100's superclasses", cifar100.what, "coarse")
    for variant, looks in VARIANTS.items():
        yield f"cifar10_{variant}", NamedDomain("cifar10", "CIFAR-10", f"the same {looks}", variant)
    for kind, level in product(CORRUPTIONS, SEVERITIES):
        plain = kind.replace("_", " ").replace("jpeg", "JPEG")
        title = f"CIFAR-10-C ({plain}, {level} of 5)"
        yield f"cifar10_{kind}_{level}", NamedDomain("cifar10_c", title, "the same corrupted", f"{kind}_{level}")
    for of, parts in FAMILIES.items():
        for part in parts:
            yield f"{of}_{part}", NamedDomain(of, f"{SETS[of].title} {part}", _LOOKS[part], part)


DOMAINS: dict[str, NamedDomain] = dict(_domains())
"""Every domain by its name in recipes."""


def _pairs() -> Iterator[tuple[str, NamedPair]]:
    for pair in permutations(DIGIT_DOMAINS, 2):
        yield "_".join(name.replace("_", "") for name in pair), NamedPair(*pair)
    yield "mnist_mnistm_grey", NamedPair("mnist", "mnist_m_grey")
    for pair in permutations(("cifar10", "stl10"), 2):
        yield "_".join(pair), NamedPair(*pair, classes=NINE, rename={"car": "automobile"})
    for variant in VARIANTS:
        yield f"cifar10_{variant}", NamedPair("cifar10", f"cifar10_{variant}")
    for of, parts in FAMILIES.items():
        if of == "visda2017":  # from renderings to photographs alone
            yield of, NamedPair("visda2017_synthetic", "visda2017_real")
            continue
        for source, target in permutations(parts, 2):
            yield f"{of}_{source}_{target}", NamedPair(f"{of}_{source}", f"{of}_{target}")
    for kind, level in product(CORRUPTIONS, SEVERITIES):
        yield f"cifar10_{kind}_{level}", NamedPair("cifar10", f"cifar10_{kind}_{level}")


NAMED_PAIRS: dict[str, NamedPair] = dict(_pairs())
"""Every pair by its name in recipes, but for the embedded one."""

ABOUT_PAIRS = {
    "digits": "Handwritten digits to digits blended with photographs; embedded, nothing to download.",
    **{name: pair.about for name, pair in NAMED_PAIRS.items()},
}
"""One sentence a pair, the embedded one among them."""
