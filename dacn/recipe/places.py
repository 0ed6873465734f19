"""What may stand in a place of a recipe, as its JSON schema says."""

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]
"""A part of a JSON schema."""


def alternatives(node: Node, schema: Node) -> Iterator[Node]:
    """Yield the node with its references followed and its unions taken apart."""
    if "$ref" in node:
        yield from alternatives(schema["$defs"][node["$ref"].rpartition("/")[2]], schema)
    elif parts := node.get("anyOf", node.get("oneOf")):
        for part in parts:
            yield from alternatives(part, schema)
    else:
        yield node


def tag(node: Node) -> Any:
    """Return the name by which a config is told apart from others in its place."""
    return node.get("properties", {}).get("name", {}).get("const")


def below(nodes: list[Node], key: str | int, schema: Node) -> list[Node]:
    """Return what may stand at a key of a mapping, or at an index of a list; nothing where neither is known.

    Args:
        nodes: what may stand in the place of the mapping or the list.
        key: the key or the index.
        schema: the whole, to follow references.
    """
    found = [node for own in nodes if (node := _at(own, key)) is not None]
    return [one for node in found for one in alternatives(node, schema)]


def _at(node: Node, key: str | int) -> Node | None:
    if isinstance(key, int):
        fixed: list[Node] = node.get("prefixItems", [])
        each: Any = fixed[key] if key < len(fixed) else node.get("items")
    else:
        each = node.get("properties", {}).get(key, node.get("additionalProperties"))
    return each if isinstance(each, dict) else None
