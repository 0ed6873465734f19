"""What is known of a data set before any of it is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set before any of it is read.

    Args:
        title: its proper name.
        what: what the images show, as a phrase in the plural.
        classes: how many there are.
        images: how many, by part or by domain.
        pixels: size and colour of its images.
        licence: under which its images may be used.
        source: where it comes from.
        citation: whom to cite.
        get: how a user comes by it.
        files: what lies under the root where it is present: alternatives, each a tuple of paths.
        flips: whether a mirrored image is still of its class.
        class_mean: whether its accuracy is the mean over classes, by its own protocol.
    """

    title: str
    what: str
    classes: int
    images: Mapping[str, int]
    pixels: str
    licence: str
    source: str
    citation: str
    get: str
    files: tuple[tuple[str, ...], ...]
    flips: bool = False
    class_mean: bool = False

    def present(self, root: Path) -> bool:
        """Whether its files lie under ``root``; their content is not looked at."""
        return any(all((root / path).exists() for path in paths) for paths in self.files)
