"""Take the pictures of the README and of the front page from a finished run of ``recipes/digits_acn.yaml``.

Example:
  dacn train recipes/digits_acn.yaml && python docs/make_pictures.py runs/digits_acn-seed0
"""

import shutil
from pathlib import Path

import click

PICTURES = {"pair.png": "digits_pair.png", "predictions_target.png": "digits_acn_predictions.png"}
"""A run's figure, and what it is called here. The charts of results are drawn by recipes/results/tables.py."""


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path(__file__).parent / "pictures")
def main(run: Path, out: Path) -> None:
    """Copy the figures of a run."""
    missing = [name for name in PICTURES if not (run / "figures" / name).is_file()]
    if missing:
        raise click.BadParameter(f"{run / 'figures'} lacks {', '.join(missing)}: is it a finished run?")
    for figure, picture in PICTURES.items():
        shutil.copyfile(run / "figures" / figure, out / picture)


if __name__ == "__main__":
    main()
