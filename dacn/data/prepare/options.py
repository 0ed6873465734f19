"""The options and the errors that the commands of this package share."""

import functools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dacn.errors import Interrupted, RunError

FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Where to write, as data.root.",
)
SEED = click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
LIMIT = click.option("--limit", type=click.IntRange(1), help="Only so many images of each part, to try it out.")
FROM = click.option(
    "--from",
    "given",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="The folder or archive (.zip, .tar, .tar.gz) that you fetched.",
)
SEVERAL = click.option(
    "--from",
    "given",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    multiple=True,
    help="A folder or archive that you fetched; give it for each, where there are several.",
)
PARTIAL = click.option("--partial", is_flag=True, help="Take it although images are missing.")
DOWNLOAD = click.option("--download", is_flag=True, help="Fetch what it is made from where that is absent.")
FORCE = click.option("--force", is_flag=True, help="Make anew what is there.")


def preparing(function: Callable[..., None]) -> Callable[..., None]:
    """Let a command end in one line when the disk is full or Ctrl-C is pressed."""

    @functools.wraps(function)
    def command(**options: Any) -> None:
        try:
            function(**options)
        except KeyboardInterrupt as error:
            raise Interrupted(signal.SIGINT, "Stopped; the same command goes on from here.") from error
        except OSError as error:
            raise RunError(f"{error.filename or options['root']}: {error.strerror or error}") from error

    return command


def arranging(function: Callable[..., None]) -> click.Command:
    """Make the command of a data set whose user fetched it whole: ``function(given, root, partial, force)``."""
    return click.command()(FROM(ROOT(PARTIAL(FORCE(preparing(function))))))
