"""A group of commands that imports each one when it is called for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from dacn.errors import did_you_mean


class LazyGroup(click.Group):
    """Finds its commands by a table, so that asking for help imports none of them.

    Args:
        table: name to the module that holds a click command called ``command``, and one line of help.
    """

    def __init__(self, *arguments: Any, table: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return [*self.table]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import one command."""
        if cmd_name not in self.table:
            near = did_you_mean(cmd_name, self.table) or f"; there are {', '.join(self.table)}"
            ctx.fail(f"No such command {cmd_name!r}{near}")
        command: click.Command = import_module(self.table[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])
