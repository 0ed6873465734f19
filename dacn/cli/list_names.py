"""``dacn list``."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

RECIPES = Path("recipes")
Names = Iterable[tuple[str, str]]


def _first_line(owner: Any) -> str:
    return str(owner.__doc__).strip().partition("\n")[0]


def _algorithms() -> Names:
    from dacn.algorithms import ALGORITHMS

    return ((name, _first_line(config)) for name, (_, config) in ALGORITHMS.items())


def _norms() -> Names:
    from dacn.models.norms import NORMS

    return ((name, _first_line(config)) for name, (_, config) in NORMS.items())


def _backbones() -> Names:
    from dacn.models.build import BACKBONES

    return ((name, _first_line(config)) for name, (_, config) in BACKBONES.items())


def _pairs() -> Names:
    from dacn.data.known.names import ABOUT_PAIRS

    return ABOUT_PAIRS.items()


def _recipes() -> Names:
    return ((str(file), _first_comment(file)) for file in sorted(RECIPES.glob("*.yaml")))


def _first_comment(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    comments = (line.lstrip("# ") for line in lines if line.startswith("#") and "$schema=" not in line)
    return next(comments, "")


def _contexts() -> Names:
    from dacn.data.pair.contexts import CONTEXTS

    return ((name, _first_line(config)) for name, (_, config) in CONTEXTS.items())


SECTIONS: dict[str, Callable[[], Names]] = {
    "algorithms": _algorithms,
    "norms": _norms,
    "backbones": _backbones,
    "pairs": _pairs,
    "recipes": _recipes,
    "contexts": _contexts,
}


@click.command()
@click.argument("section", required=False, type=click.Choice([*SECTIONS]))
def command(section: str | None) -> None:
    """List names and what they stand for: all of them, or those of one section.

    \b
    Example:
      dacn list norms
    """
    if section:
        _print(SECTIONS[section]())
        return
    for index, (title, names) in enumerate(SECTIONS.items()):
        click.echo(f"{'' if index == 0 else chr(10)}{title}")
        _print(names(), indent="  ")


def _print(names: Names, indent: str = "") -> None:
    """Print one line a name, never cut: a pipe may read it."""
    rows = list(names)
    width = max((len(name) for name, _ in rows), default=0)
    for name, sentence in rows:
        click.echo(f"{indent}{name:<{width}}  {sentence}".rstrip())
    if not rows:
        click.echo(f"{indent}none in {RECIPES.absolute()}")
