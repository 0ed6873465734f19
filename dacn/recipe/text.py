"""Decides whether an unquoted YAML scalar is text or a value, by the type that the recipe expects in its place."""

from typing import Any

from dacn.recipe.places import Node, alternatives, below, tag
from dacn.recipe.yaml import Written, plain


def text_as_written(tree: Any, schema: Node) -> Any:
    """Return a tree of plain values: each `Written` scalar as its text, or as the value that YAML takes it for.

    A scalar is the value where its place takes one of that kind: a number, true or false, null. Where text may stand,
    it is text as written otherwise: in a place for text alone ``010``, ``no``, ``1e3`` and ``0x10`` all are. In a place
    for a number ``yes`` is no 1 but a mistake.

    Args:
        tree: as `dacn.recipe.yaml.parse_written` returns it.
        schema: JSON schema of what the tree is to be.
    """
    return _text_as_written(tree, [*alternatives(schema, schema)], schema)


def _text_as_written(tree: Any, nodes: list[Node], schema: Node) -> Any:
    if isinstance(tree, dict):
        name = plain(tree.get("name"))
        nodes = [node for node in nodes if tag(node) == name] or nodes  # the config that is meant, of several
        return {key: _text_as_written(value, below(nodes, key, schema), schema) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_text_as_written(value, below(nodes, index, schema), schema) for index, value in enumerate(tree)]
    if not isinstance(tree, Written):
        return tree
    return tree.text if _is_text(tree, nodes) else tree.value


def _is_text(scalar: Written, nodes: list[Node]) -> bool:
    """Whether a scalar is text in a place where these may stand."""
    kinds = {node.get("type") for node in nodes}
    numbers = bool(kinds & {"number", "integer"})
    if scalar.value is None:  # an empty place is never text, and a choice of words is better told that it got none
        free = any(node.get("type") == "string" and not node.keys() & {"enum", "const"} for node in nodes)
        return free and "null" not in kinds and scalar.text != ""
    if isinstance(scalar.value, bool):
        return "boolean" not in kinds and ("string" in kinds or numbers)
    return "string" in kinds and not numbers
