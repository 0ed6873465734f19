"""PACS: four domains of seven classes, arranged from what a user fetched."""

from pathlib import Path

from dacn.data.known.sets import PACS_DOMAINS, SETS
from dacn.data.prepare.arrange import Layout, arrange
from dacn.data.prepare.options import arranging

LAYOUT = Layout(
    title="PACS",
    counts={PACS_DOMAINS[part]: count for part, count in SETS["pacs"].images.items()},
    classes=("dog", "elephant", "giraffe", "guitar", "horse", "house", "person"),
    source=SETS["pacs"].source,
    licence=SETS["pacs"].licence,
)


@arranging
def command(given: Path, root: Path, partial: bool, force: bool) -> None:
    """Arrange PACS: 9,991 images of 7 classes, as photographs, paintings, cartoons and sketches.

    \b
    Example:
      dacn data prepare pacs --from PACS.zip
      dacn train RECIPE --set data.pair=pacs_photo_sketch --set data.image_size=64
    """
    arrange(LAYOUT, given, root / "pacs", partial=partial, force=force)
