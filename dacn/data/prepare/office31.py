"""Office-31: three domains of thirty-one classes, arranged from what a user fetched."""

from pathlib import Path

from dacn.data.known.sets import SETS
from dacn.data.prepare.arrange import Layout, arrange
from dacn.data.prepare.options import arranging

CLASSES = (
    *("back_pack", "bike", "bike_helmet", "bookcase", "bottle", "calculator", "desk_chair", "desk_lamp"),
    *("desktop_computer", "file_cabinet", "headphones", "keyboard", "laptop_computer", "letter_tray", "mobile_phone"),
    *("monitor", "mouse", "mug", "paper_notebook", "pen", "phone", "printer", "projector", "punchers", "ring_binder"),
    *("ruler", "scissors", "speaker", "stapler", "tape_dispenser", "trash_can"),
)
LAYOUT = Layout(
    title="Office-31",
    counts=SETS["office31"].images,
    classes=CLASSES,
    source=SETS["office31"].source,
    licence=SETS["office31"].licence,
    below=("images",),
)


@arranging
def command(given: Path, root: Path, partial: bool, force: bool) -> None:
    """Arrange Office-31: 4,110 images of 31 classes, from Amazon, a DSLR camera and a webcam.

    \b
    Example:
      dacn data prepare office31 --from domain_adaptation_images.tar.gz
      dacn train RECIPE --set data.pair=office31_amazon_webcam --set data.image_size=224
    """
    arrange(LAYOUT, given, root / "office31", partial=partial, force=force)
