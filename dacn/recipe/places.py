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
            free = part.get("type") == "string" and "examples" in node  # pydantic puts a union's examples beside it
            yield from alternatives({"examples": node["examples"], **part} if free else part, schema)
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


def paths_to(key: str, schema: Node, depth: int = 4) -> list[str]:
    """Return every key path of at most ``depth`` keys that ends in ``key``, those with the fewest keys first."""
    found: list[str] = []
    level: dict[str, list[Node]] = {"": [*alternatives(schema, schema)]}
    for _ in range(depth):
        deeper: dict[str, list[Node]] = {}
        for path, nodes in level.items():
            for name in {name: None for node in nodes for name in node.get("properties", {})}:
                here = f"{path}.{name}" if path else name
                deeper[here] = below(nodes, name, schema)
                found += [here] * (name == key)
        level = deeper
    return found


def _at(node: Node, key: str | int) -> Node | None:
    if isinstance(key, int):
        fixed: list[Node] = node.get("prefixItems", [])
        each: Any = fixed[key] if key < len(fixed) else node.get("items")
    else:
        each = node.get("properties", {}).get(key, node.get("additionalProperties"))
    return each if isinstance(each, dict) else None
