"""VisDA-2017: renderings and photographs of twelve classes, arranged from what a user fetched."""

from pathlib import Path

import click

from dacn.data.known.photograph_sets import VISDA_DOMAINS
from dacn.data.known.sets import SETS
from dacn.data.prepare.arrange import Layout, arrange
from dacn.data.prepare.options import FORCE, PARTIAL, ROOT, SEVERAL, preparing

CLASSES = (
    *("aeroplane", "bicycle", "bus", "car", "horse", "knife"),
    *("motorcycle", "person", "plant", "skateboard", "train", "truck"),
)
LAYOUT = Layout(
    title="VisDA-2017",
    counts={VISDA_DOMAINS[part]: count for part, count in SETS["visda2017"].images.items()},
    classes=CLASSES,
    source=SETS["visda2017"].source,
    licence=SETS["visda2017"].licence,
)


@click.command()
@SEVERAL
@ROOT
@PARTIAL
@FORCE
@preparing
def command(given: tuple[Path, ...], root: Path, partial: bool, force: bool) -> None:
    """Arrange VisDA-2017: 152,397 renderings and 55,388 photographs of 12 classes.

    \b
    Example:
      dacn data prepare visda2017 --from train.tar --from validation.tar
      dacn train recipes/photographs/visda2017.yaml
    """
    arrange(LAYOUT, given, root / "visda2017", partial=partial, force=force)
