"""YAML as recipes use it: safe, without surprises, and every problem with its place in the file.

What stands in a recipe unquoted may be text or a value: ``010`` is the class of that name in one place and ten in
another. So a scalar keeps how it is written, `Written`, until it is known what is expected in its place
(`dacn.recipe.text`).
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.tokens import ScalarToken

from dacn.errors import RecipeError

_TEXT = "tag:yaml.org,2002:str"
_FLOAT = "tag:yaml.org,2002:float"
_INT = "tag:yaml.org,2002:int"
_EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z")  # PyYAML alone reads 1e-3 and 1.0e5 as text
_DECIMAL = re.compile(r"[-+]?\d[\d_]*\Z")  # 010 is ten, not eight as in YAML 1.1
_BASED = re.compile(r"[-+]?0(?:x[\da-fA-F_]+|b[01_]+)\Z")
_POINT = re.compile(r"[-+]?(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_SIGNS_AND_DIGITS = [*"-+.0123456789"]
_BRACED = re.compile(r"\{\w+\}")


@dataclass(frozen=True)
class Written:
    """An unquoted scalar that YAML takes for more than text.

    Args:
        text: as it is written.
        value: what YAML takes it for: a number, true, false or null.
    """

    text: str
    value: Any


class _Loader(yaml.SafeLoader):
    """Plain values only: a key stands once, no aliases, no tags; `1e-3` is a number, `${DATA}` text in any place."""

    def scan_plain(self) -> Any:
        """Let ``${NAME}`` stand in text within braces, where YAML alone would begin a mapping at the brace."""
        token: Any = super().scan_plain()
        while self.flow_level and token.value.endswith("$") and (name := _BRACED.match(self.prefix(256))):
            self.forward(len(name[0]))
            rest: Any = super().scan_plain()
            token = ScalarToken(f"{token.value}{name[0]}{rest.value}", True, token.start_mark, rest.end_mark)
        return token

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, AliasEvent):  # a few lines of nested aliases can stand for billions of values
            raise _problem(event, f"aliases (*{event.anchor}) are not allowed in a recipe; write the value out")
        if getattr(event, "tag", None) is not None:
            raise _problem(event, f"tags ({_short(event.tag)}) are not allowed in a recipe; write plain values")
        return super().compose_node(parent, index)

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        value: Any = super().construct_object(node, deep)
        return Written(node.value, value) if isinstance(node, ScalarNode) and node.tag != _TEXT else value

    def construct_yaml_int(self, node: ScalarNode) -> int:
        digits = node.value.replace("_", "")
        return int(digits, 0 if _BASED.match(node.value) else 10)

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
    """Quotes the text that `_Loader`, or any other reader of YAML, would take for a number or a date."""


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _problem(at: Any, text: str) -> ConstructorError:
    return ConstructorError(None, None, text, at.start_mark)


_Loader.yaml_implicit_resolvers = {  # of YAML 1.1's: 2024-01-01 and 1:30 are text, and so are = and <<
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":bool", ":null"))]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_NUMBERS = ((_INT, _DECIMAL), (_INT, _BASED), (_FLOAT, _EXPONENT), (_FLOAT, _POINT), (_FLOAT, _NOT_FINITE))
for _tag, _pattern in _NUMBERS:
    _Loader.add_implicit_resolver(_tag, _pattern, _SIGNS_AND_DIGITS)
    _Dumper.add_implicit_resolver(_tag, _pattern, _SIGNS_AND_DIGITS)  # besides YAML 1.1's own
_Loader.add_constructor(_INT, _Loader.construct_yaml_int)


def parse_written(text: str | bytes, where: str) -> Any:
    """Return the value that ``text`` holds, its unquoted numbers, truth values and nulls as `Written`.

    Args:
        text: one YAML document.
        where: what messages call it: a file, or an option.

    Raises:
        RecipeError: it is not YAML, a key stands twice, or it has tags or aliases; with line and column.

    >>> parse_written("{name: 010, lr: 1e-3}", "example")
    {'name': Written(text='010', value=10), 'lr': Written(text='1e-3', value=0.001)}
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RecipeError(f"{where}{place}: {error.problem or error.context}{_hint(error)}") from error
    except yaml.reader.ReaderError as error:
        raise RecipeError(f"{where}: not a text file ({error.reason})") from error
    except (ValueError, RecursionError) as error:  # a number that Python refuses, or brackets thousands deep
        raise RecipeError(f"{where}: cannot be read as YAML ({error})") from error


def parse_yaml(text: str | bytes, where: str) -> Any:
    """Return the plain value that ``text`` holds, as `parse_written` does; every unquoted number is a number.

    >>> parse_yaml("{lr: 1e-3, steps: 1e5}", "example")
    {'lr': 0.001, 'steps': 100000.0}
    """
    return plain(parse_written(text, where))


def plain(tree: Any) -> Any:
    """Return a tree with what YAML takes each `Written` scalar for."""
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain(value) for value in tree]
    return tree.value if isinstance(tree, Written) else tree


def to_yaml(tree: dict[str, Any]) -> str:
    """Return plain values as YAML that `parse_yaml` reads back; ASCII, keys in their order."""
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=120)
    return text


def _hint(error: yaml.MarkedYAMLError) -> str:
    """Return what to do where YAML stumbles over a character that would be plain text within quotes."""
    stumbled = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
    return "; text with special characters is to stand in quotes" if stumbled else ""
