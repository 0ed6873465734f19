"""The ``manifest.json`` of a prepared folder: its settings and a SHA-256 checksum of each file."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dacn import __version__
from dacn.errors import DataError

Settings = Mapping[str, Any]


class Manifest:
    """The checksums of a folder's files, and the settings that all of them were made with.

    A checksum is recorded before its file takes its name, so that a file without one is never ours.

    Args:
        folder: where the files lie; made when the first is recorded.
        settings: plain values that the files depend on.
        force: whether files made otherwise, changed or not ours may be overwritten.
        name: of its file, where a folder has more than one.

    Raises:
        DataError: what is there was made with other settings, or its manifest cannot be read.
    """

    def __init__(self, folder: Path, settings: Settings, force: bool = False, name: str = "manifest.json") -> None:
        self.folder, self.force, self.name = folder, force, name
        self.settings: Settings = json.loads(json.dumps(settings))
        there = self._read()
        self.files: dict[str, str] = there["files"]
        if there["settings"] not in (None, self.settings):
            if not force:
                raise DataError(
                    f"{folder}: was made with other settings ({_differences(there['settings'], self.settings)}); "
                    "give the same ones, another --root, or --force to make it anew"
                )
            self.files = {}

    def holds(self, name: str) -> bool:
        """Whether a file is there already and is what was recorded.

        Raises:
            DataError: it is there and is something else; nothing is touched.
        """
        path = self.folder / name
        if self.force or not path.exists():
            return False
        if name not in self.files:
            raise DataError(
                f"{path}: is there, but was not made here ({self.name} does not have it); move it away, "
                "or --force to overwrite it"
            )
        if sha256(path) != self.files[name]:
            raise DataError(
                f"{path}: its SHA-256 is not that in {self.name}: it was changed or damaged. Nothing was removed; "
                "move it away and run the same command again, or --force to make it anew"
            )
        return True

    def start(self) -> None:
        """Write the settings down, so that what is begun with them is not gone on with by others."""
        self.record({})

    def record(self, checksums: Mapping[str, str]) -> None:
        """Write the checksums of files down, by name."""
        self.files = {**self.files, **checksums}
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "made_by": f"dacn {__version__}",
            "settings": self.settings,
            "files": dict(sorted(self.files.items())),
        }
        with open_whole(self.folder / self.name) as file:
            file.write(json.dumps(content, indent=1).encode())

    def write(self, name: str, fill: Callable[[IO[bytes]], None]) -> None:
        """Write a file whole: to a temporary name, recorded, then renamed."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        with open_whole(self.folder / name, before=lambda path: self.record({name: sha256(path)})) as file:
            fill(file)

    def _read(self) -> dict[str, Any]:
        path = self.folder / self.name
        if not path.exists():
            return {"settings": None, "files": {}}
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content["settings"], dict) or not isinstance(content["files"], dict):
                raise ValueError("settings and files must be mappings")
        except (OSError, ValueError, KeyError, TypeError) as error:
            if self.force:
                return {"settings": None, "files": {}}
            raise DataError(
                f"{path}: cannot be read ({error}); move it away with the files beside it, or --force to make all anew"
            ) from error
        return content


def _differences(was: Settings, now: Settings) -> str:
    keys = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    return "; ".join(f"{key} {was.get(key)!r}, now {now.get(key)!r}" for key in keys)


@contextmanager
def open_whole(path: Path, before: Callable[[Path], None] = lambda _: None) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only when it is complete and on the disk.

    Args:
        path: what it is called in the end.
        before: called with the temporary file just before that.
    """
    temporary = path.with_name(f"{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        before(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
