"""The recipe reference says of every key what it takes, what it is for, and how it is written."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

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


@pytest.mark.parametrize(("config", "key", "node"), [pytest.param(*each, id=".".join(each[:2])) for each in keys()])
def test_every_key_is_described(config: str, key: str, node: Any) -> None:
    assert reference.meaning(node, DEFINITIONS), "no description"
    assert reference.values(node, DEFINITIONS), "no values"
    holds_configs = any("properties" in DEFINITIONS[name] for name in reference.references(node))
    assert reference.code_example(key, node) or holds_configs, "no example: Field(examples=[...])"


def test_the_page_has_every_key() -> None:
    page = reference.markdown()
    assert {f"| `{key}` |" for _, key, _ in keys()} <= {f"{line.partition(' | ')[0]} |" for line in page.splitlines()}
    assert (
        "| `threshold` | number above 0 to 1 | `0.9` | relative confidence threshold (tau) | `threshold: 0.9` |" in page
    )
