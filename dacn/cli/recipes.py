"""``dacn recipes``."""

import json
import shutil
import sys
from pathlib import Path

import click

from dacn.cli.completion import complete_recipe
from dacn.cli.options import AS_JSON


@click.group(invoke_without_command=True)
@AS_JSON
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the recipes that come with dacn: what each one is, what it reproduces and how long it takes.

    `dacn train`, and every other command that takes a RECIPE, finds them by their bare names.

    \b
    Example:
      dacn recipes
      dacn train digits_acn
      dacn recipes copy digits_acn mine.yaml
    """
    if context.invoked_subcommand is not None:
        return
    from dacn.recipe.shipped import read_header, shipped_recipes

    headers = {name: read_header(file) for name, file in shipped_recipes().items()}
    if as_json:
        click.echo(json.dumps([{"name": name, **vars(header)} for name, header in headers.items()], indent=2))
        return
    for name, header in headers.items():
        click.echo(name)
        for title, text in (("", header.about), ("expect: ", header.expect), ("time:   ", header.time)):
            click.echo(_wrapped(title, text))


def _wrapped(title: str, text: str) -> str:
    """Return a text below its recipe's name; broken into lines where somebody reads it."""
    if not sys.stdout.isatty():
        return f"  {title}{text}"
    width = shutil.get_terminal_size().columns
    return click.wrap_text(title + text, width, "  ", f"  {' ' * len(title)}")


@command.command()
@click.argument("name", shell_complete=complete_recipe)
@click.argument("to", metavar="[DEST]", default=".", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def copy(name: str, to: Path, force: bool) -> None:
    """Copy the recipe NAME that comes with dacn to DEST, a file or a folder, to change it there.

    \b
    Example:
      dacn recipes copy digits_acn
      dacn recipes copy digits_acn recipes/mine.yaml
    """
    from dacn.errors import RecipeError, did_you_mean
    from dacn.machine.whole_file import whole_file
    from dacn.recipe.shipped import shipped_recipe, shipped_recipes

    file = shipped_recipe(name.removesuffix(".yaml"))
    if file is None:
        known = shipped_recipes()
        same = [full for full in known if Path(full).name == name]
        hint = f"; there are {' and '.join(same)}" if same else did_you_mean(name, known)
        raise RecipeError(f"{name}: dacn comes with no such recipe{hint}; `dacn recipes` lists them")
    to = to / file.name if to.is_dir() else to
    if to.exists() and not force:
        raise RecipeError(f"{to}: is there already; choose another DEST, or overwrite it with --force")
    with whole_file(to) as partial:
        shutil.copyfile(file, partial)
    click.echo(f"{to}: a copy of {name}; train it with `dacn train {to}`")
