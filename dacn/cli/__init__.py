"""The command line: one file a command, imported when it is called for, so that ``dacn --help`` answers at once."""

import signal
from typing import Any

import click
from click.shell_completion import add_completion_class

from dacn import __version__
from dacn.cli.completion import BashWithEquals
from dacn.cli.lazy import LazyGroup
from dacn.errors import DacnError, Interrupted

COMMANDS = {
    "train": ("train", "Train what a recipe describes."),
    "evaluate": ("evaluate", "Evaluate a run: accuracy of each domain under each context."),
    "predict": ("predict", "Predict the classes of images with a run's network."),
    "adapt": ("adapt", "Adapt a run's network to new images without labels."),
    "export": ("export", "Export a run's network, to be used without dacn."),
    "compare": ("compare", "Train a recipe over values of its keys and over seeds."),
    "recommend": ("recommend", "Try methods on a pair for a while, and rank them without labels."),
    "report": ("report", "Tabulate finished runs, and write them as one HTML page."),
    "recipes": ("recipes", "List the recipes that come with dacn, and copy one."),
    "data": ("data", "List, prepare and check what there is to train on."),
    "doctor": ("doctor", "Look for what would spoil a run, before it is trained."),
    "bench": ("bench", "Measure how fast a recipe trains here, and what its parts take."),
    "list": ("list_names", "List the names that recipes and commands take."),
    "schema": ("schema", "Print the JSON Schema of recipes."),
}
"""Name to its module in this package, which holds a click command called ``command``, and one line of help."""


add_completion_class(BashWithEquals)  # in place of click's own


class Commands(LazyGroup):
    """Turns every DacnError, and a permission that lacks, into a message and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the command line as it was given, for the run's environment.json."""
        ctx.obj = ["dacn", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except DacnError as error:
            if not isinstance(error, Interrupted):
                click.echo(f"Error: {error}", err=True)
            elif _is_first_rank():
                click.echo(str(error), err=True)
            ctx.exit(error.exit_code)
        except PermissionError as error:  # of a folder above one that was asked for, for example
            click.echo(f"Error: {error.filename}: {error.strerror}; give yourself the permission", err=True)
            ctx.exit(DacnError.exit_code)
        except KeyboardInterrupt:  # outside the training loop, which saves and raises Interrupted
            click.echo("Stopped.", err=True)
            ctx.exit(128 + signal.SIGINT)


def _is_first_rank() -> bool:
    """Whether this process is rank 0, the one that prints when several stop together."""
    from dacn.trainer.distributed import is_first_rank  # imports torch, which whoever was interrupted has already

    return is_first_rank()


@click.group(
    cls=Commands,
    table={name: (f"dacn.cli.{module}", text) for name, (module, text) in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="dacn")
def main() -> None:
    """Unsupervised domain adaptation of image classifiers with Adaptive Context Normalization.

    \b
    Example:
      dacn train digits_acn
      dacn train --help
    """
