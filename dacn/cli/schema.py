"""``dacn schema``."""

import json

import click


@click.command()
def command() -> None:
    """Print the JSON Schema of recipes; an editor that knows it completes and checks them.

    \b
    Example:
      dacn schema > recipe.schema.json
      then, as the first line of a recipe:
      # yaml-language-server: $schema=recipe.schema.json
    """
    from dacn.recipe.recipe import schema

    click.echo(json.dumps(schema(), indent=2))
