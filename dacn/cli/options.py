"""Options that several commands take."""

import click

CHECKPOINT = click.option(
    "--checkpoint",
    type=click.Choice(["last", "selected"]),
    default="selected",
    show_default=True,
    help="The last one, or the one that the label-free score chose.",
)
DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")
OTHER_DATA = click.option(
    "--other-data", is_flag=True, help="Take images that are not the run's own, and say so.  [default: refuse them]"
)
