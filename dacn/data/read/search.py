"""The image files below a folder: every other file there is counted with the reason why it is passed over."""

import os
import re
import stat
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image

from dacn.data.read.passed_over import Cause, Tally
from dacn.data.read.paths import display_path
from dacn.errors import DataError, did_you_mean

_NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
"""Formats that Pillow knows by name and cannot decode alone."""
SUFFIXES = frozenset(
    suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN and kind not in _NO_PICTURES
)
"""A file of these is an image by its name, and an error where it cannot be read."""
_BY_CONTENT = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "PSD", "QOI", "TIFF", "WEBP")
"""Formats whose first bytes tell them from anything else: so a file of another suffix, or of none, is recognized."""
_RAW = re.compile(r"\.(3fr|arw|cr2|cr3|crw|dcr|dng|erf|iiq|kdc|mef|mos|nef|nrw|orf|pef|raf|raw|rw2|sr2|srf|srw|x3f)")
"""Suffixes of what cameras write beside a JPEG: TIFF by its first bytes, of which Pillow reads a thumbnail at most."""
_CACHE = re.compile(
    r"__macosx|\.appledouble|\.trashes|\.spotlight-v100|\.fseventsd|\.temporaryitems|\._.*|\.ds_store|\.localized"
    r"|icon\r"  # so far a Mac's
    r"|\$recycle\.bin|system volume information|(eh)?thumbs(_vista)?\.db|desktop\.ini"  # Windows
    r"|\.thumbnails|\.directory|\.trash-\d+|\.picasa\.ini|\.nomedia|lost\+found"  # Linux and its desktops
    r"|@eadir|@tmp|#recycle|#snapshot|@recycle|@recently-snapshot|\.@__thumb"  # file servers: Synology, QNAP
    r"|\.ipynb_checkpoints|__pycache__"
)
"""Names, in lower case, of what is left in folders by other programs."""


class Entries(NamedTuple):
    """What one folder holds, by name: folders, links to folders, images."""

    folders: list[Path]
    links: list[Path]
    images: list[Path]


class Search:
    """Looks through the folders of one domain.

    Links to folders are followed, but each folder is entered once, and none that lies above the domain's own.

    Args:
        root: the domain's folder.

    Raises:
        DataError: there is no such folder.
    """

    def __init__(self, root: Path) -> None:
        _require_folder(root)
        self.root = root
        self.tally = Tally(root)
        real = Path(os.path.realpath(root))
        self._above = {real, *real.parents}
        self._closed: list[str] = []

    def entries(self, folder: Path) -> Entries:
        """Return what a folder holds; what is neither image nor folder is counted as passed over."""
        found = Entries([], [], [])
        try:
            # By way of its own ".", which asks for both permissions that a folder's files need: to read and to enter.
            with os.scandir(os.path.join(folder, ".")) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    self._sort(folder / entry.name, entry, found)
        except OSError as error:
            self._closed.append(f"{display_path(folder)} ({(error.strerror or str(error)).lower()})")
        return found

    def images_below(self, top: Path) -> list[Path]:
        """Return the images in a folder and below it, by name."""
        folders, links, images = [top], list[Path](), list[Path]()
        entered: set[str] = set()
        while folders or links:
            folder = folders.pop() if folders else links.pop(0)  # what lies here by itself comes before links to it
            real = os.path.realpath(folder)
            if real in entered:
                self.tally.add("repeated", folder, _leading(folder))
                continue
            entered.add(real)
            found = self.entries(folder)
            folders += found.folders
            links += found.links
            images += found.images
        return sorted(images)

    def require_open(self) -> None:
        """Make sure that every folder could be looked into.

        Raises:
            DataError: some could not; the message names them.
        """
        if self._closed:
            some = ", ".join(sorted(self._closed)[:5])
            more = f" and {len(self._closed) - 5} more" if len(self._closed) > 5 else ""
            raise DataError(
                f"{display_path(self.root)}: cannot be read: {some}{more}; give yourself the permission "
                f"(chmod u+rx), or move what is not wanted out of {display_path(self.root)}"
            )

    def _sort(self, path: Path, entry: os.DirEntry[str], found: Entries) -> None:
        kind, cause = _kind(entry), _cause_by_name(entry.name)
        if kind == "file" and cause is None and path.suffix.lower() not in SUFFIXES:
            cause = _cause_by_content(path)
        if kind == "link" and Path(os.path.realpath(path)) in self._above:
            cause = cause or "repeated"
        if cause is not None:
            self._pass_over(cause, path, whole=kind == "folder")
        elif kind == "closed":
            self._closed.append(f"{display_path(path.parent)}/{_leading(path)} (permission denied)")
        elif kind in ("dangling", "special"):
            self.tally.add(kind, path, _leading(path))
        else:
            {"folder": found.folders, "link": found.links, "file": found.images}[kind].append(path)

    def _pass_over(self, cause: Cause, path: Path, *, whole: bool) -> None:
        """Count a file that is known by its name, or all files of such a folder."""
        if not whole:
            self.tally.add(cause, path, _leading(path))
            return
        closed: list[OSError] = []
        for folder, _, files in os.walk(path, onerror=closed.append):
            for name in files:
                self.tally.add(cause, Path(folder, name), folder=path)
        if closed:
            self.tally.add("closed", path, f"{path.name}/")


def is_image(path: Path) -> bool:
    """Whether a file is an image by its name or, where that says nothing, by its first bytes."""
    return path.suffix.lower() in SUFFIXES or _cause_by_content(path) is None


def similar_name_hint(path: Path) -> str:
    """Return a hint at the folder or file of the most similar name beside one that is not there."""
    try:
        return did_you_mean(path.name, os.listdir(path.parent))
    except OSError:
        return ""


def _require_folder(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{path}: no such folder{similar_name_hint(path)}") from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read ({reason.lower()})") from error
    if not stat.S_ISDIR(mode):
        raise DataError(f"{path}: is a file, not a folder")


def _kind(entry: os.DirEntry[str]) -> Literal["file", "folder", "link", "dangling", "special", "closed"]:
    """Return what an entry is; a link is what it leads to, but ``"link"`` where that is a folder.

    The file system is asked for links alone: of other entries it has told their kind already.
    """
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    try:
        mode = entry.stat().st_mode
    except PermissionError:
        return "closed"
    except OSError:  # not there, or a ring of links
        return "dangling"
    if stat.S_ISDIR(mode):
        return "link"
    return "file" if stat.S_ISREG(mode) else "special"


def _cause_by_name(name: str) -> Cause | None:
    """Return why a file or folder of this name is passed over, whatever it holds."""
    if _CACHE.fullmatch(name.casefold()):
        return "cache"
    return "hidden" if name.startswith(".") else None


def _cause_by_content(path: Path) -> Cause | None:
    """Return why a file whose suffix says nothing is passed over; None for an image."""
    if _RAW.fullmatch(path.suffix.lower()):
        return "unknown"
    try:
        with Image.open(path, formats=_BY_CONTENT):
            return None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    except PermissionError:
        return "closed"
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError):
        return "unknown"


def _leading(path: Path) -> str:
    """Return the name of a file, and of a link what it leads to as well."""
    return f"{path.name} -> {os.readlink(path)}" if path.is_symlink() else path.name
