from itertools import permutations

from dacn.data.known.catalogue import DATASETS, PAIRS
from dacn.data.known.names import ABOUT_PAIRS, DOMAINS, NAMED_PAIRS, NINE
from dacn.data.known.sets import CORRUPTIONS, SETS


def test_the_names_that_users_have_stay() -> None:
    assert {"digits", "mnist_usps", "usps_mnist", "mnist_svhn", "svhn_mnist"} <= PAIRS.keys()
    assert {"mnist", "usps", "svhn", "cifar10", "cifar100"} <= DATASETS.keys()


def test_every_ordered_pair_of_a_family_is_there() -> None:
    digits = ("mnist", "usps", "svhn", "mnistm", "syndigits")
    pacs = [f"pacs_{a}_{b}" for a, b in permutations(("photo", "art", "cartoon", "sketch"), 2)]
    office = [f"office31_{a}_{b}" for a, b in permutations(("amazon", "dslr", "webcam"), 2)]
    families = {
        "office_home": ("art", "clipart", "product", "real"),
        "domainnet": ("clipart", "infograph", "painting", "quickdraw", "real", "sketch"),
        "office_caltech10": ("amazon", "caltech", "dslr", "webcam"),
        "image_clef": ("caltech", "imagenet", "pascal"),
    }
    photographs = [f"{of}_{a}_{b}" for of, parts in families.items() for a, b in permutations(parts, 2)]
    corrupted = [f"cifar10_{kind}_{level}" for kind in CORRUPTIONS for level in range(1, 6)]
    variants = [f"cifar10_{variant}" for variant in ("grey", "inverted", "sketched", "hue")]
    expected = {"digits", "mnist_mnistm_grey", "cifar10_stl10", "stl10_cifar10", *pacs, *office, *corrupted, *variants}
    expected |= {"visda2017", *photographs}
    assert PAIRS.keys() == expected | {f"{a}_{b}" for a, b in permutations(digits, 2)}
    assert len(PAIRS) == 1 + 20 + 1 + 2 + 12 + 6 + 75 + 4 + 12 + 1 + 30 + 12 + 6


def test_a_pair_is_named_source_first() -> None:
    pair = NAMED_PAIRS["mnistm_syndigits"]
    assert (pair.source, pair.target) == ("mnist_m", "syn_digits")
    assert (NAMED_PAIRS["pacs_art_sketch"].source, NAMED_PAIRS["pacs_art_sketch"].target) == ("pacs_art", "pacs_sketch")
    assert (NAMED_PAIRS["cifar10_fog_3"].source, NAMED_PAIRS["cifar10_fog_3"].target) == ("cifar10", "cifar10_fog_3")


def test_digits_are_not_mirrored_and_things_are() -> None:
    assert {name for name in PAIRS if name == "digits" or not NAMED_PAIRS[name].flips} == {
        name for name, about in ABOUT_PAIRS.items() if "digit" in about or "postal codes" in about
    }


def test_every_pair_and_every_domain_says_what_it_is() -> None:
    assert ABOUT_PAIRS.keys() == PAIRS.keys()
    assert ABOUT_PAIRS["mnist_usps"] == "MNIST to USPS: handwritten digits to scanned postal codes."
    assert len(set(ABOUT_PAIRS.values())) == len(ABOUT_PAIRS)
    assert all(domain.of in SETS and domain.title and domain.what for domain in DOMAINS.values())
    assert {domain.of for domain in DOMAINS.values()} == SETS.keys() - {"digits"}
    assert len(set(NINE)) == 9
