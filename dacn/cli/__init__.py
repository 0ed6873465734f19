"""The command line: one file a command, imported when it is called for, so that ``dacn --help`` answers at once."""

import signal
from importlib import import_module
from typing import Any

import click

from dacn import __version__
from dacn.errors import DacnError, Interrupted, did_you_mean

COMMANDS = {
    "train": ("train", "Train what a recipe describes."),
    "evaluate": ("evaluate", "Evaluate a run: accuracy of each domain under each context."),
    "predict": ("predict", "Predict the classes of images with a run's network."),
    "export": ("export", "Export a run's network, to be used without dacn."),
    "list": ("list_names", "List the names that recipes and commands take."),
    "schema": ("schema", "Print the JSON Schema of recipes."),
}
"""Name to its module in this package, which holds a click command called ``command``, and one line of help."""


class Commands(click.Group):
    """Finds commands by `COMMANDS` and turns every DacnError into a message and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the command line as it was given, for the run's environment.json."""
        ctx.obj = ["dacn", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import one command."""
        if cmd_name not in COMMANDS:
            near = did_you_mean(cmd_name, COMMANDS) or f"; there are {', '.join(COMMANDS)}"
            ctx.fail(f"No such command {cmd_name!r}{near}")
        command: click.Command = import_module(f"dacn.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except DacnError as error:
            prefix = "" if isinstance(error, Interrupted) else "Error: "
            click.echo(f"{prefix}{error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:  # outside the training loop, which saves and raises Interrupted
            click.echo("Stopped.", err=True)
            ctx.exit(128 + signal.SIGINT)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dacn")
def main() -> None:
    """Unsupervised domain adaptation of image classifiers with Adaptive Context Normalization.

    \b
    Example:
      dacn train recipes/digits_acn.yaml
      dacn train --help
    """
