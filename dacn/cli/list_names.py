"""``dacn list``."""

from collections.abc import Callable, Iterable
from typing import Any

import click

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
    from dacn.recipe.shipped import own_recipes, read_header, shipped_recipes

    yield from ((name, read_header(file).about) for name, file in shipped_recipes().items())
    yield from ((str(file), read_header(file).about) for file in own_recipes())


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
