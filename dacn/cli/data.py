"""``dacn data``: what there is to train on."""

import click

from dacn.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("dacn.cli.data_list", "List the named data sets and pairs, and which are there."),
    "check": ("dacn.cli.data_check", "Look at a recipe's images before training."),
    "prepare": ("dacn.cli.data_prepare", "Build or arrange a data set that has no download of its own."),
}
"""Name to its module and one line of help, as in `dacn.cli`."""


@click.group(cls=LazyGroup, table=COMMANDS)
def command() -> None:
    """See what there is to train on, and prepare what cannot be downloaded whole.

    \b
    Example:
      dacn data list
      dacn data prepare mnist_m --photos photographs/
    """
