"""YAML as recipes use it: safe, without surprises, and every problem with its place in the file."""

import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode

from dacn.errors import RecipeError

_FLOAT = "tag:yaml.org,2002:float"
_EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z")  # PyYAML alone reads 1e-3 and 1.0e5 as text
_SIGNS_AND_DIGITS = [*"-+.0123456789"]


class _Loader(yaml.SafeLoader):
    """Plain values only: a key stands once, no aliases, no tags; `1e-3` is a number."""

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, AliasEvent):  # a few lines of nested aliases can stand for billions of values
            raise _problem(event, f"aliases (*{event.anchor}) are not allowed in a recipe; write the value out")
        if getattr(event, "tag", None) is not None:
            raise _problem(event, f"tags ({_short(event.tag)}) are not allowed in a recipe; write plain values")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                raise _problem(key, "a key must be one word")
            line = key.start_mark.line + 1
            if key.value in first:
                raise _problem(key, f"the key {key.value!r} is given twice, first on line {first[key.value]}")
            first[key.value] = line
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


class _Dumper(yaml.SafeDumper):
    """Quotes the text that `_Loader` would read as a number."""


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _problem(at: Any, text: str) -> ConstructorError:
    return ConstructorError(None, None, text, at.start_mark)


_Loader.add_implicit_resolver(_FLOAT, _EXPONENT, _SIGNS_AND_DIGITS)
_Dumper.add_implicit_resolver(_FLOAT, _EXPONENT, _SIGNS_AND_DIGITS)
_Loader.yaml_implicit_resolvers = {  # a date is text
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str | bytes, where: str) -> Any:
    """Return the value that ``text`` holds.

    Args:
        text: one YAML document.
        where: what messages call it: a file, or an option.

    Raises:
        RecipeError: it is not YAML, a key stands twice, or it has tags or aliases; with line and column.

    >>> parse_yaml("{lr: 1e-3, steps: 1e5}", "example")
    {'lr': 0.001, 'steps': 100000.0}
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RecipeError(f"{where}{place}: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        raise RecipeError(f"{where}: not a text file ({error.reason})") from error
    except (ValueError, RecursionError) as error:  # a number that Python refuses, or brackets thousands deep
        raise RecipeError(f"{where}: cannot be read as YAML ({error})") from error


def to_yaml(tree: dict[str, Any]) -> str:
    """Return plain values as YAML that `parse_yaml` reads back; ASCII, keys in their order."""
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=120)
    return text
