"""What is measured: a recipe, and images for it that need no download."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from dacn.data.domain import Domain, DomainPair
from dacn.data.known.digits import digits
from dacn.data.known.names import DOMAINS, NAMED_PAIRS
from dacn.data.known.photograph_sets import DOMAINNET_IMAGES
from dacn.data.known.sets import SETS
from dacn.data.pair.spec import as_tuple
from dacn.data.read.images import crop_images
from dacn.recipe.recipe import Recipe, parse_recipe

DIGITS: dict[str, Any] = {
    "name": "digits_acn",
    "data": {"pair": "digits"},
    "augment": {"appearance": True, "magnitude": 0.5},
    "algorithm": {"name": "adamatch", "threshold": 0.9},
    "model": {
        "backbone": {"name": "small_cnn", "width": 24},
        "input_norm": "acn",
        "norm": {"name": "acn", "opening": [0.5, 0.9]},
    },
    "train": {"steps": 1800, "source_batch": 32, "target_ratio": 2, "ema": 0.99},
    "optimizer": {"name": "adamw", "lr": 2e-3, "weight_decay": 1e-2},
}
"""What is measured where no recipe is named: the setting of ``recipes/digits_acn.yaml``."""
MADE_UP_IMAGES, MADE_UP_TEST_IMAGES, MADE_UP_CLASSES = 2048, 500, 10
MADE_UP_BYTES = 2**28
"""Of a domain's made-up images at most, unless these would be too few for a step."""


@dataclass(frozen=True)
class Setting:
    """A recipe and its images, with a word on where these come from."""

    recipe: Recipe
    pair: DomainPair
    images_are: str


def digits_recipe() -> Recipe:
    """Return the recipe that is measured where none is named."""
    return parse_recipe(DIGITS, "dacn bench")


def setting_of(recipe: Recipe) -> Setting:
    """Return the recipe with the embedded digits where it is about them, else with made-up images of its size."""
    data = recipe.data
    size, crop = (32, None) if data is None else (data.read_size, data.crop)
    if data is not None and data.pair == "digits" and data.source is data.target is None:
        pair, images_are = digits(size), "the embedded digits"
    else:
        pair = _made_up(recipe, size)
        images_are = f"made up: random bytes of {size} x {size} pixels, {MADE_UP_CLASSES} classes"
    if crop is not None:
        parts: dict[str, Any] = {
            key: replace(domain, images=crop_images(domain.images, crop), uncropped=domain.images)
            for key, domain in pair.domains.items()
        }
        pair = replace(pair, **parts)
    return Setting(recipe, pair, images_are)


def images_tested(setting: Setting) -> int | None:
    """Return how many test images the recipe's own data have, source and target; None where only reading them tells."""
    data = setting.recipe.data
    if data is None or data.source is not None or data.target is not None or data.target_test is not None:
        return None
    if data.pair == "digits":
        tests = (setting.pair.source_test, setting.pair.target_test)
        return sum(len(test) for test in tests if test is not None)
    if data.pair not in NAMED_PAIRS:
        return None
    source, target = (DOMAINS[name] for name in (NAMED_PAIRS[data.pair].source, NAMED_PAIRS[data.pair].target))
    if target.of == "domainnet":  # both have test lists
        return sum(DOMAINNET_IMAGES[domain.part][1] for domain in (source, target))
    of_source, of_target = SETS[source.of].images, SETS[target.of].images
    # A domain of class folders has no test part: a source is not tested then, a target on its own images.
    return of_source.get("test", 0) + of_target.get("test", of_target.get(target.part, 0))


def _made_up(recipe: Recipe, size: int) -> DomainPair:
    generator = torch.Generator().manual_seed(0)

    count = min(MADE_UP_IMAGES, max(256, MADE_UP_BYTES // (3 * size * size)))  # of each domain

    def images(count: int = count) -> torch.Tensor:
        shape = (count, 3, size, size)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    sources = 1 if recipe.data is None else max(1, len(as_tuple(recipe.data.source)))
    rows = torch.arange(count)
    tested = min(MADE_UP_TEST_IMAGES, count)
    tests = [Domain(name, images(tested), rows[:tested] % MADE_UP_CLASSES) for name in ("source", "target")]
    one_set = recipe.data is not None and recipe.data.dataset is not None
    return DomainPair(
        name="made_up",
        classes=tuple(str(k) for k in range(MADE_UP_CLASSES)),
        source=Domain("source", images(), rows % MADE_UP_CLASSES, context=rows % sources),
        target=Domain("target", images()),
        source_test=tests[0],
        target_test=tests[1],
        flips=True,
        contexts=("one",) if one_set else (*(f"source{k}" for k in range(sources)), "target"),
    )
