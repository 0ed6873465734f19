"""The files of a domain's folder that are not read: counted by cause, suffix and folder, and described."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import __version__ as pillow

from dacn.errors import printable

Cause = Literal["unknown", "dangling", "repeated", "special", "closed", "cache", "hidden"]
CAUSES: dict[Cause, str] = {
    "unknown": f"not an image that Pillow {pillow} can read",
    "dangling": "links to nothing",
    "repeated": "links to a folder that is read already or lies above",
    "special": "pipes, sockets or devices",
    "closed": "cannot be opened",
    "cache": "left by a desktop, a file server or an archiver: thumbnails, caches, what was deleted",
    "hidden": "hidden",
}
"""Why a file is passed over, in words; those that may be a loss come first."""
MOST_LINES = 12
MOST_FOLDERS = 3


@dataclass(frozen=True)
class PassedOver:
    """Files of one folder that are not read.

    Args:
        cause: why not, a key of `CAUSES`.
        suffix: theirs, in lower case; empty where they have none.
        folder: where they lie, relative to the domain's.
        count: how many.
        example: the first of them, with what it leads to if it is a link.
    """

    cause: Cause
    suffix: str
    folder: str
    count: int
    example: str


class Tally:
    """Counts what is passed over below a folder.

    Args:
        root: the domain's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._counts: dict[tuple[Cause, str, str], tuple[int, str]] = {}

    def add(self, cause: Cause, path: Path, example: str | None = None, folder: Path | None = None) -> None:
        """Count one file or link.

        Args:
            cause: why it is passed over.
            path: where it lies.
            example: how to show it; by default by its name.
            folder: what to count it under; by default the folder that it lies in.
        """
        where = (folder or path.parent).relative_to(self.root).as_posix()
        key = (cause, path.suffix.lower(), where)
        count, first = self._counts.get(key, (0, example or path.name))
        self._counts[key] = (count + 1, first)

    def result(self) -> tuple[PassedOver, ...]:
        """Return what was counted, by cause, suffix and folder."""
        order = [*CAUSES]
        keys = sorted(self._counts, key=lambda key: (order.index(key[0]), *key[1:]))
        return tuple(PassedOver(*key, *self._counts[key]) for key in keys)


def describe_passed_over(where: Path | str, passed_over: Sequence[PassedOver]) -> str | None:
    """Return a heading and a line for each cause and suffix; None where nothing was passed over.

    >>> print(describe_passed_over("photos", [PassedOver("dangling", ".jpg", "cat", 2, "a.jpg -> ../gone.jpg")]))
    photos: 2 files are not read:
      2 .jpg in cat: links to nothing (a.jpg -> ../gone.jpg)
    """
    if not passed_over:
        return None
    groups: dict[tuple[Cause, str], list[PassedOver]] = {}
    for part in passed_over:
        groups.setdefault((part.cause, part.suffix), []).append(part)
    lines = [_line(cause, suffix, parts) for (cause, suffix), parts in groups.items()]
    if len(lines) > MOST_LINES:
        rest = sum(part.count for parts in [*groups.values()][MOST_LINES:] for part in parts)
        lines = [*lines[:MOST_LINES], f"  and {rest:,} more"]
    total = sum(part.count for part in passed_over)
    heading = f"{where}: 1 file is not read" if total == 1 else f"{where}: {total:,} files are not read"
    return printable(f"{heading}:\n" + "\n".join(lines))


def _line(cause: Cause, suffix: str, parts: Sequence[PassedOver]) -> str:
    names = ["the folder itself" if part.folder == "." else part.folder for part in parts]
    folders = ", ".join(names[:MOST_FOLDERS])
    if len(names) > MOST_FOLDERS:
        folders += f" and {len(names) - MOST_FOLDERS:,} more folders"
    count = sum(part.count for part in parts)
    return f"  {count:,} {suffix or 'without a suffix'} in {folders}: {CAUSES[cause]} ({parts[0].example})"
