"""The recipe reference says of every key what it takes, what it is for, and how it is written."""

import sys
from collections.abc import Iterator
from typing import Any

from dacn.recipe.recipe import schema
from tests.docs.pages import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "docs"))

import recipe_reference as reference

SCHEMA = schema()
DEFINITIONS = SCHEMA["$defs"]


def keys() -> Iterator[tuple[str, str, Any]]:
    """Yield every config's name, key and schema."""
    configs = {"Recipe": SCHEMA} | {name: each for name, each in DEFINITIONS.items() if "properties" in each}
    for name, config in configs.items():
        for key, node in config["properties"].items():
            if "const" not in node:
                yield name, key, node


def test_the_page_has_every_key() -> None:
    page = reference.markdown()
    assert {f"| `{key}` |" for _, key, _ in keys()} <= {f"{line.partition(' | ')[0]} |" for line in page.splitlines()}
    assert (
        "| `threshold` | number above 0 to 1 | `0.9` | relative confidence threshold (tau) | `threshold: 0.9` |" in page
    )
