"""What a shell completes: the recipes that come with dacn, and the keys and values of ``--set`` and ``--vary``."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, split_arg_string

from dacn.errors import DacnError
from dacn.recipe.places import Node, alternatives, below, tag


class BashWithEquals(BashComplete):
    """Completes ``key=value`` in bash, which takes the equals sign for a word of its own."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)",
        "COMPREPLY+=($value)\n            [[ $value == *[=.] ]] && compopt -o nospace  # a key goes on",
    )
    parted = ""  # what bash has parted from the word that it will replace

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the incomplete one, and that, both with their equals signs."""
        typed, index = split_arg_string(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
        words: list[str] = []
        parted = glue = False
        for word in [*typed, ""][1 : index + 1]:  # the last is missing where nothing was typed of it yet
            if words and (word == "=" or glue):
                words[-1] += word
                parted, glue = True, word == "="
            else:
                words.append(word)
                parted = glue = False
        *before, last = words or [""]
        value = last.partition("=")[2] if last.startswith("--") else last
        self.parted = value[: value.rfind("=") + 1] if parted else ""
        return before, last

    def format_completion(self, item: CompletionItem) -> str:
        """Return what replaces the part of the word that bash sees."""
        return f"{item.type},{str(item.value).removeprefix(self.parted)}"


def complete_recipe(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the recipes that come with dacn, and leave files to the shell."""
    from dacn.recipe.shipped import shipped_recipes

    names = [CompletionItem(name) for name in shipped_recipes() if name.startswith(incomplete)]
    return names if incomplete and names else [*names, CompletionItem(incomplete, type="file")]


def complete_override(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return how a ``key.path=value`` may go on: the next keys, or the values that the key takes."""
    schema = _schema()
    key_path, equals, value = incomplete.partition("=")
    *above, key = key_path.split(".")
    nodes = [*alternatives(schema, schema)]
    for name in above:
        nodes = below(nodes, name, schema)
    if not equals:
        lead = "".join(f"{name}." for name in above)
        names = {name: None for node in nodes for name in node.get("properties", {}) if name.startswith(key)}
        return [CompletionItem(lead + name + end) for name in names for end in _ends(below(nodes, name, schema))]
    places = below(nodes, key, schema)
    if any(node.get("format") == "path" for node in places):
        return [CompletionItem(incomplete, type="file")]
    several, comma, last = value.rpartition(",") if parameter.name == "vary" else ("", "", value)
    lead = f"{key_path}={several}{comma}"
    return [CompletionItem(lead + word) for word in _values(places) if word.startswith(last)]


def _ends(nodes: list[Node]) -> list[str]:
    """Return what may follow a key: a point where keys lie below it, an equals sign where a value may stand."""
    inner = any("properties" in node for node in nodes)
    alone = any("properties" not in node and node.get("type") != "null" for node in nodes)
    return ["="] * (alone or not inner) + ["."] * inner


def _values(nodes: list[Node]) -> list[str]:
    """Return the words and truth values that may stand in a place, and the examples of what else may."""
    words: list[Any] = [word for node in nodes for word in (*node.get("enum", ()), node.get("const"), tag(node))]
    words += [word for node in nodes for word in node.get("examples", ())]
    kinds = {node.get("type") for node in nodes}
    words += ["true", "false"] if "boolean" in kinds else []
    words += ["null"] if "null" in kinds else []
    return list(dict.fromkeys(word for word in words if isinstance(word, str)))


def _schema() -> Node:
    """Return the JSON Schema of recipes; kept from one call to the next, for to make it takes seconds."""
    code = sorted(Path(__file__).parents[1].rglob("*.py"))
    stamp = hashlib.sha256("".join(f"{file}{file.stat().st_mtime_ns}" for file in code).encode()).hexdigest()
    kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dacn" / "completion.json"
    try:
        tree = json.loads(kept.read_bytes())
        if tree["stamp"] == stamp:
            schema: Node = tree["schema"]
            return schema
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or what somebody else left there
    from dacn.machine.whole_file import whole_file
    from dacn.recipe.recipe import schema as recipe_schema

    schema = recipe_schema()
    # A home that cannot be written to only makes this slow.
    with suppress(DacnError), whole_file(kept) as partial:
        partial.write_text(json.dumps({"stamp": stamp, "schema": schema}), encoding="utf-8")
    return schema
