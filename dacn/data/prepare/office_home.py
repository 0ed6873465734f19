"""Office-Home: four domains of sixty-five classes, arranged from what a user fetched."""

from pathlib import Path

from dacn.data.known.photograph_sets import OFFICE_HOME_DOMAINS
from dacn.data.known.sets import SETS
from dacn.data.prepare.arrange import Layout, arrange
from dacn.data.prepare.options import arranging

CLASSES = (
    *("Alarm_Clock", "Backpack", "Batteries", "Bed", "Bike", "Bottle", "Bucket", "Calculator", "Calendar", "Candles"),
    *("Chair", "Clipboards", "Computer", "Couch", "Curtains", "Desk_Lamp", "Drill", "Eraser", "Exit_Sign", "Fan"),
    *("File_Cabinet", "Flipflops", "Flowers", "Folder", "Fork", "Glasses", "Hammer", "Helmet", "Kettle", "Keyboard"),
    *("Knives", "Lamp_Shade", "Laptop", "Marker", "Monitor", "Mop", "Mouse", "Mug", "Notebook", "Oven", "Pan"),
    *("Paper_Clip", "Pen", "Pencil", "Postit_Notes", "Printer", "Push_Pin", "Radio", "Refrigerator", "Ruler"),
    *("Scissors", "Screwdriver", "Shelf", "Sink", "Sneakers", "Soda", "Speaker", "Spoon", "TV", "Table"),
    *("Telephone", "ToothBrush", "Toys", "Trash_Can", "Webcam"),
)
LAYOUT = Layout(
    title="Office-Home",
    counts={OFFICE_HOME_DOMAINS[part]: count for part, count in SETS["office_home"].images.items()},
    classes=CLASSES,
    source=SETS["office_home"].source,
    also={"Real World": ("Real_World", "RealWorld")},
    licence=SETS["office_home"].licence,
)


@arranging
def command(given: Path, root: Path, partial: bool, force: bool) -> None:
    """Arrange Office-Home: 15,588 images of 65 classes, as art, clip art, product pictures and photographs.

    \b
    Example:
      dacn data prepare office_home --from OfficeHomeDataset_10072016.zip
      dacn train recipes/photographs/office_home.yaml
    """
    arrange(LAYOUT, given, root / "office_home", partial=partial, force=force)
