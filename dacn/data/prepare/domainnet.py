"""DomainNet: six domains of 345 classes, with the official lists, arranged from what a user fetched."""

from pathlib import Path

import click

from dacn.data.known.photograph_sets import DOMAINNET_DOMAINS
from dacn.data.known.sets import SETS
from dacn.data.prepare.arrange import Layout, arrange
from dacn.data.prepare.options import FORCE, PARTIAL, ROOT, SEVERAL, preparing

LAYOUT = Layout(
    title="DomainNet",
    counts=SETS["domainnet"].images,
    classes=SETS["domainnet"].classes,
    source=SETS["domainnet"].source,
    beside=tuple(f"{name}_{part}.txt" for name in DOMAINNET_DOMAINS for part in ("train", "test")),
    licence=SETS["domainnet"].licence,
)


@click.command()
@SEVERAL
@ROOT
@PARTIAL
@FORCE
@preparing
def command(given: tuple[Path, ...], root: Path, partial: bool, force: bool) -> None:
    """Arrange DomainNet: 586,575 images of 345 classes in six domains, with their lists for training and testing.

    \b
    Example:
      dacn data prepare domainnet --from FOLDER      (all that the site offers, unpacked)
      dacn data prepare domainnet --from clipart.zip --from real.zip ... --from lists/
      dacn train recipes/photographs/domainnet.yaml
    """
    arrange(LAYOUT, given, root / "domainnet", partial=partial, force=force)
