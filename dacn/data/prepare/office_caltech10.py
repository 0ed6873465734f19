"""Office-Caltech-10: four domains of ten classes, arranged from what a user fetched."""

from pathlib import Path

from dacn.data.known.sets import SETS
from dacn.data.prepare.arrange import Layout, arrange
from dacn.data.prepare.options import arranging

CLASSES = (
    *("back_pack", "bike", "calculator", "headphones", "keyboard"),
    *("laptop_computer", "monitor", "mouse", "mug", "projector"),
)
LAYOUT = Layout(
    title="Office-Caltech-10",
    counts=SETS["office_caltech10"].images,
    classes=CLASSES,
    source=SETS["office_caltech10"].source,
    below=("images",),
    also={"caltech": ("caltech10",)},
    licence=SETS["office_caltech10"].licence,
)


@arranging
def command(given: Path, root: Path, partial: bool, force: bool) -> None:
    """Arrange Office-Caltech-10: 2,533 images of 10 classes, from Amazon, Caltech-256, a DSLR camera and a webcam.

    \b
    Example:
      dacn data prepare office_caltech10 --from office_caltech_10.zip
      dacn train RECIPE --set data.pair=office_caltech10_amazon_caltech --set data.image_size=224
    """
    arrange(LAYOUT, given, root / "office_caltech10", partial=partial, force=force)
