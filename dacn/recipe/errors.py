"""A recipe's problems in plain words: key path, value, what was expected, the nearest valid name."""

import json
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dacn.errors import did_you_mean
from dacn.recipe.places import Node, alternatives, paths_to, tag


def explain(error: ValidationError, where: str, schema: Node) -> str:
    """Return all problems as text, one line a key below a line that counts them.

    Args:
        error: what pydantic found.
        where: the file, or whatever else was checked.
        schema: JSON schema of what was checked; it says what each key expects.
    """
    lines: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        path, nodes = _locate(problem["loc"], schema)
        path, text = _describe(problem, path, nodes, schema)
        lines.setdefault(path, f"  {path}: {text}" if path else f"  {text}")  # a union reports each of its members
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    return "\n".join([f"{where}: {count}", *lines.values()])


def _locate(loc: tuple[int | str, ...], schema: Node) -> tuple[str, list[Node]]:
    """Return the key path without pydantic's union tags, and what may stand there.

    For an unknown key, what may stand one level above.
    """
    path, nodes = "", [*alternatives(schema, schema)]
    for item in loc:
        objects = [node for node in nodes if "properties" in node]
        tagged = [node for node in objects if tag(node) == item]
        if len(objects) > 1 and tagged:
            nodes = tagged
        elif isinstance(item, int):
            path += f"[{item}]"
            lists = [node for node in nodes if node.get("type") == "array"]
            items = [node["prefixItems"][item] if "prefixItems" in node else node["items"] for node in lists]
            nodes = [below for node in items for below in alternatives(node, schema)]
        elif objects:
            path += f".{item}" if path else item
            known = [node["properties"][item] for node in objects if item in node["properties"]]
            nodes = [below for node in known for below in alternatives(node, schema)] or objects
    return path, nodes


def _describe(problem: ErrorDetails, path: str, nodes: list[Node], schema: Node) -> tuple[str, str]:
    """Return the key path and the text of one problem."""
    value, expected = problem["input"], f"expected {_expected(nodes)}"
    match problem["type"]:
        case "extra_forbidden":
            key = path.rpartition(".")[2]
            valid = list(dict.fromkeys(name for node in nodes for name in node["properties"]))
            return (
                path,
                f"unknown key{_elsewhere(key, schema) or did_you_mean(key, valid)}; valid keys: {', '.join(valid)}",
            )
        case "union_tag_invalid":
            name = problem["ctx"]["tag"]
            return f"{path}.name", f"got {show(name)}, {expected}{did_you_mean(name, _names(nodes))}"
        case "union_tag_not_found":
            return f"{path}.name", f"missing, {expected}"
        case "missing":
            return path, f"missing, {expected}"
        case "value_error":
            text = problem["msg"].removeprefix("Value error, ")
            return path, text if isinstance(value, dict) else f"got {show(value)}, {text}"
        case _:
            near = did_you_mean(value, _names(nodes)) if isinstance(value, str) else ""
            return path, f"got {show(value)}, {expected}{near}"


def _elsewhere(key: str, schema: Node) -> str:
    """Return a hint at where a key belongs that is unknown where it stands."""
    found = paths_to(key, schema)[:3]
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""


def _names(nodes: list[Node]) -> list[str]:
    """Return the words that may stand here."""
    words = [word for node in nodes for word in [*node.get("enum", []), node.get("const")]]
    words += [tag(node) for node in nodes if "properties" in node]
    return list(dict.fromkeys(word for word in words if isinstance(word, str)))


def _expected(nodes: list[Node]) -> str:
    """Return in words what may stand here."""
    names = _names(nodes)
    kinds = [kind for node in nodes if not ("enum" in node or "const" in node) for kind in _kinds(node)]
    if names and not kinds:
        return f"one of {', '.join(names)}"
    choices = sorted(dict.fromkeys([*names, *kinds]), key="null".__eq__)  # null comes last
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))


def _kinds(node: Node) -> list[str]:
    match node.get("type"):
        case "boolean":
            return ["true", "false"]
        case "integer":
            return [f"a whole number{_range(node)}"]
        case "number":
            return [f"a number{_range(node)}"]
        case "array":
            items = node.get("prefixItems") or [node["items"]]
            least = f"at least {node['minItems']} " if "minItems" in node else ""
            count = f"{len(items)} " if "prefixItems" in node else least
            return [f"a list of {count}values, each {_kinds(items[0])[0]}"]
        case "object" if "properties" not in node:
            texts = {"string", "null"}.issuperset(kind.get("type") for kind in alternatives(_each(node), node))
            return ["a mapping of old names to new ones" if texts else "a mapping of names to values"]
        case "object":
            return [] if tag(node) else [f"a mapping (keys: {', '.join(node['properties'])})"]
        case "string" if node.get("format") == "path":
            return ["a path"]
        case "string":
            return [f"text such as {node['examples'][0]!r}" if "examples" in node else "text"]
        case other:
            return [str(other)]


def _each(node: Node) -> Node:
    """Return what the values of a mapping of any names are."""
    values: Node = node["additionalProperties"]
    return values


def _range(node: Node) -> str:
    if "minimum" in node and "maximum" in node:
        return f" from {_number(node['minimum'])} to {_number(node['maximum'])}"
    words = {
        "minimum": "of at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    bounds = " and ".join(f"{word} {_number(node[key])}" for key, word in words.items() if key in node)
    return f" {bounds}" if bounds else ""


def _number(value: float) -> str:
    return str(int(value) if value == int(value) else value)  # older schemas say 1.0 where the field has 1


def show(value: Any) -> str:
    """Return a value as a recipe would have it, cut where it is long.

    >>> show(None), show(True), show("acn")
    ('null', 'true', "'acn'")
    """
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
