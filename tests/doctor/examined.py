"""A healthy recipe and pair for the doctor, and ways to break them."""

from pathlib import Path
from typing import Any

from dacn.data.domain import DomainPair
from dacn.doctor.diagnose import Diagnosis, diagnose
from dacn.recipe.recipe import Recipe, parse_recipe
from tests import made_up

TREE: dict[str, Any] = {
    "name": "examined",
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"steps": 1000, "source_batch": 16, "target_ratio": 2, "ema": 0.99},
    "optimizer": {"name": "adamw", "lr": 2e-3},
}


def recipe(**sections: Any) -> Recipe:
    """The healthy recipe with some sections replaced; a mapping is merged into the healthy one's."""
    tree = TREE | {
        key: TREE[key] | value if isinstance(value, dict) and isinstance(TREE.get(key), dict) else value
        for key, value in sections.items()
    }
    return parse_recipe(tree, "test")


def examine(pair: DomainPair | None = None, steps: int = 5, **sections: Any) -> Diagnosis:
    return diagnose(recipe(**sections), pair or made_up.pair(classes=4, count=40), steps=steps)


def found(diagnosis: Diagnosis) -> dict[str, str]:
    """What was found by check."""
    return {check: finding.what for check, finding in diagnosis.findings}


RECIPES = Path(__file__).parents[2] / "recipes"
FLAWED = RECIPES / "mnist_svhn_published_flaws.yaml"


def shipped() -> list[Path]:
    """Return the recipes in which there is nothing to find."""
    return sorted({*RECIPES.glob("*.yaml")} - {FLAWED})
