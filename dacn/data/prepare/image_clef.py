"""ImageCLEF-DA: three domains of twelve classes, arranged from what a user fetched."""

from pathlib import Path

from dacn.data.known.photograph_sets import IMAGE_CLEF_DOMAINS
from dacn.data.known.sets import SETS
from dacn.data.prepare.arrange import Layout, arrange
from dacn.data.prepare.options import arranging

CLASSES = (
    *("aeroplane", "bike", "bird", "boat", "bottle", "bus"),
    *("car", "dog", "horse", "monitor", "motorbike", "people"),
)
LAYOUT = Layout(
    title="ImageCLEF-DA",
    counts={IMAGE_CLEF_DOMAINS[part]: count for part, count in SETS["image_clef"].images.items()},
    classes=CLASSES,
    source=SETS["image_clef"].source,
    lists={name: f"{name}List.txt" for name in IMAGE_CLEF_DOMAINS.values()},
    licence=SETS["image_clef"].licence,
)


@arranging
def command(given: Path, root: Path, partial: bool, force: bool) -> None:
    """Arrange ImageCLEF-DA: 600 images of 12 classes from each of Caltech-256, ImageNet and Pascal VOC.

    \b
    Example:
      dacn data prepare image_clef --from image_CLEF.zip
      dacn train RECIPE --set data.pair=image_clef_imagenet_pascal --set data.image_size=224
    """
    arrange(LAYOUT, given, root / "image_clef", partial=partial, force=force)
