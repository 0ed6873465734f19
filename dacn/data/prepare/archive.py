"""Archives unpacked so that nothing lands outside their folder: no links, no absolute or climbing paths, no bombs."""

import hashlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from dacn.data.prepare.progress import progress
from dacn.errors import DataError

MOST_BYTES = 32 * 2**30
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, RuntimeError, NotImplementedError)
"""What a damaged, an encrypted or a foreign archive raises."""


@contextmanager
def unpacked(path: Path, beside: Path) -> Iterator[Path]:
    """Yield a folder with what ``path`` holds: itself if it is a folder, else what is unpacked for the time being.

    Args:
        path: a folder, or a ``.zip`` or ``.tar`` file, compressed in any way that Python knows.
        beside: where to unpack; a new folder below it is removed afterwards.

    Raises:
        DataError: no archive, a damaged one, or one with a member that does not belong in it.
    """
    if path.is_dir():
        yield path
        return
    place = beside / f"{path.name}.unpacked"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        _unpack(path, place)
        yield place
    finally:
        shutil.rmtree(place)


def require_md5(path: Path, expected: str) -> None:
    """Make sure that a file that was fetched is the published one.

    Raises:
        DataError: it is not; it is left as it is.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != expected:
        raise DataError(
            f"{path}: its MD5 is {found}, the published one {expected}: an incomplete or another file. It was left as "
            "it is; fetch it again"
        )


def _unpack(path: Path, place: Path) -> None:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                for entry in members:
                    kind = stat.S_IFMT(entry.external_attr >> 16)
                    _check(path, entry.filename, entry.is_dir() or kind in (0, stat.S_IFREG))
                _check_size(path, sum(entry.file_size for entry in members))
                for entry in progress(members, f"unpacking {path.name}"):
                    if not entry.is_dir():
                        with archive.open(entry) as file:
                            _write(place / entry.filename, file)
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                entries = tar.getmembers()
                for member in entries:
                    _check(path, member.name, member.isdir() or member.isreg())
                _check_size(path, sum(member.size for member in entries))
                for member in progress(entries, f"unpacking {path.name}"):
                    content = tar.extractfile(member)
                    if content is not None:
                        _write(place / member.name, content)
        else:
            raise DataError(f"{path}: neither a folder nor a .zip or .tar archive")
    except (OSError, *_BROKEN) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault and not the archive's
            raise
        raise DataError(f"{path}: cannot be unpacked ({error}); fetch it again") from error


def _check(path: Path, name: str, plain: bool) -> None:
    """Refuse a member that is a link or a device, or whose name leads out of the folder.

    Raises:
        DataError: it is one.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    if not plain or parts.is_absolute() or ".." in parts.parts or ":" in name:
        why = "leads out of its folder" if plain else "is a link or a device"
        raise DataError(f"{path}: the member {name!a} {why}; nothing was unpacked, do not trust this archive")


def _check_size(path: Path, size: int) -> None:
    if size > MOST_BYTES:
        raise DataError(f"{path}: unpacks to {size / 2**30:.0f} GiB; expected at most {MOST_BYTES // 2**30}")


def _write(target: Path, content: IO[bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)
