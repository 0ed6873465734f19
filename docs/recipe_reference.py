"""The recipe reference: one table a config, made of the schema that recipes are checked by."""

from collections.abc import Mapping, Sequence
from typing import Any

from dacn.recipe.recipe import schema
from dacn.recipe.yaml import to_yaml

HEAD = """# Recipe reference

Made from the schema that `dacn train` checks recipes by (`dacn schema` prints it for your editor). One file is one run;
a key that is absent takes its default, an unknown one is an error that names the nearest. Any key is set from the
command line too: `--set train.steps=500`. Where a choice is told by its `name`, the bare word will do: `norm: acn` is
`norm: {name: acn}`.
"""
TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "array": "list"}
Node = Mapping[str, Any]


def markdown() -> str:
    """Return the whole page."""
    tree = schema()
    definitions: dict[str, Node] = tree["$defs"]
    places: dict[str, list[str]] = {}  # of each config, in the order in which a recipe leads to them
    for key, node in tree["properties"].items():
        collect(key, node, definitions, places)
    parts = [HEAD, *table("The file", tree, definitions)]
    for name, where in places.items():
        parts += table(title(where, definitions[name]), definitions[name], definitions)
    return "\n".join(parts) + "\n"


def collect(path: str, node: Node, definitions: Mapping[str, Node], places: dict[str, list[str]]) -> None:
    """Add the place of every config below a key, from the top down."""
    for name in references(node):
        if "properties" not in definitions[name] or path in places.setdefault(name, []):
            continue
        places[name].append(path)
        for key, below in definitions[name]["properties"].items():
            collect(f"{path}.{key}", below, definitions, places)


def title(where: Sequence[str], config: Node) -> str:
    """Return a heading: the places of a config, and the word or key that tells it from the others there.

    >>> title(["model.norm", "model.input_norm"], {"properties": {"name": {"const": "cn"}}})
    '`cn` at `model.norm`, `model.input_norm`'
    """
    word = config["properties"].get("name", {}).get("const")
    told = word or next((key for key in config.get("required", [])), None)
    at = ", ".join(f"`{place}`" for place in where)
    return f"`{told}` at {at}" if told else at


def references(node: Any) -> list[str]:
    """Return the names of the definitions that a node leads to without another key in between, each once."""
    if isinstance(node, Mapping):
        if "$ref" in node:
            return [node["$ref"].rpartition("/")[2]]
        found = [
            name
            for key, part in node.items()
            if key not in ("properties", "discriminator")
            for name in references(part)
        ]
    else:
        found = [name for part in node for name in references(part)] if isinstance(node, list) else []
    return list(dict.fromkeys(found))


def table(heading: str, config: Node, definitions: Mapping[str, Node]) -> list[str]:
    """Return a heading, what the config is, and a line for each of its keys."""
    at_the_top = "$defs" in config
    about = "" if at_the_top else str(config.get("description", "")).strip()
    lines = ["", f"## {heading}", "", *([about, ""] if about else [])]
    keys = {key: node for key, node in config["properties"].items() if "const" not in node}
    if not keys:
        return lines
    lines += ["| key | values | default | meaning | example |", "|---|---|---|---|---|"]
    for key, node in keys.items():
        default = "required" if key in config.get("required", []) else code(node.get("default"))
        cells = f"`{key}`", values(node, definitions), default, meaning(node, definitions), code_example(key, node)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def meaning(node: Node, definitions: Mapping[str, Node]) -> str:
    """Return what a key is for; of a key that holds one config, what that says of itself."""
    names = references(node)
    inherited = definitions[names[0]].get("description", "").partition("\n")[0] if len(names) == 1 else ""
    return " ".join(str(node.get("description") or inherited).split())


def values(node: Node, definitions: Mapping[str, Node]) -> str:
    """Return in words what a key takes."""
    if "anyOf" in node or "oneOf" in node:
        choices = [*node.get("anyOf", []), *node.get("oneOf", [])]
        words = [choice for choice in choices if "enum" in choice]  # the words of a choice whose configs follow
        parts = [values(part, definitions) for part in words or choices]
        return ", or ".join(dict.fromkeys(part for part in parts if part))
    if "$ref" in node:
        (name,) = references(node)
        if "properties" not in definitions[name]:
            return values(definitions[name], definitions)
        word = definitions[name]["properties"].get("name", {}).get("const")
        return f"`{word}`" if word else "keys of its own, below"
    if "enum" in node or "const" in node:
        return ", ".join(code(each) for each in node.get("enum", [node.get("const")]))
    kind = node.get("type", "any value")
    if kind == "null":
        return "null"
    if kind == "array":
        inner = node.get("prefixItems") or [node.get("items", {})]
        return f"list of {' and '.join(dict.fromkeys(values(each, definitions) for each in inner))}"
    if kind == "object":
        return "keys and values"
    if node.get("format") == "path":
        return "path"
    return " ".join([TYPES.get(kind, kind), bounds(node)]).strip()


def bounds(node: Node) -> str:
    """Return a number's range in words.

    >>> bounds({"minimum": 0, "exclusiveMaximum": 1}), bounds({"minimum": 1})
    ('from 0 to below 1', 'from 1')
    """
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    high, below = node.get("maximum"), node.get("exclusiveMaximum")
    start = f"from {low:g}" if low is not None else f"above {above:g}" if above is not None else ""
    end = f"to {high:,.10g}" if high is not None else f"to below {below:g}" if below is not None else ""
    return " ".join(filter(None, (start, end)))


def code_example(key: str, node: Node) -> str:
    """Return a line that sets the key: its first example, or its default."""
    if node.get("examples"):
        return f"`{key}: {flow(node['examples'][0])}`"
    example = node.get("default")
    if isinstance(example, Mapping):  # a config: its word will do
        example = example.get("name")
    return "" if example is None else f"`{key}: {flow(example)}`"


def code(value: Any) -> str:
    """Return a value as it stands in a recipe; of a config only the word that names it."""
    if isinstance(value, Mapping) and "name" in value:
        value = value["name"]
    elif isinstance(value, Mapping) and value:
        return "see below"
    return f"`{flow(value)}`"


def flow(value: Any) -> str:
    """Return a value as YAML on one line.

    >>> flow({"folder": "photos"}), flow([0.1, 0.4]), flow(None)
    ('{folder: photos}', '[0.1, 0.4]', 'null')
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(flow(part) for part in value)}]"
    return to_yaml({"x": value}).strip().removeprefix("x: ") if value is not None else "null"
