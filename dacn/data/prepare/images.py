"""A data set built image by image: in pieces that survive an interruption, then one ``.npz`` file."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dacn.data.prepare.manifest import Manifest, open_whole
from dacn.data.prepare.progress import progress

Pixels = NDArray[np.uint8]
PIECE = 1000
"""Images that an interruption may cost."""


def write_images(
    manifest: Manifest,
    name: str,
    make: Callable[[int, int], Pixels],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    **more: NDArray[np.int64],
) -> None:
    """Build ``name`` in the manifest's folder, or go on where an earlier call was interrupted.

    Args:
        manifest: of the folder; a file that it already holds is left alone.
        name: of an ``.npz`` file, as :func:`dacn.data.read.npz.npz` reads it.
        make: returns the images from a start to a stop, the same ones whenever it is asked.
        labels: ``(N,)``; there are as many images.
        classes: what label i stands for.
        more: further arrays of length N to keep beside them.

    Raises:
        DataError: the file is there and is not what the manifest says.
    """
    if manifest.holds(name):
        return
    pieces = manifest.folder / f"{name}.pieces"
    if manifest.force:
        shutil.rmtree(pieces, ignore_errors=True)
    pieces.mkdir(parents=True, exist_ok=True)
    manifest.start()
    starts = range(0, len(labels), PIECE)
    for start in progress(starts, f"{manifest.folder.name}/{name}"):
        stop = min(start + PIECE, len(labels))
        if not _is_intact(pieces / f"{start}.npy", stop - start):
            with open_whole(pieces / f"{start}.npy") as file:
                np.save(file, make(start, stop))
    images = np.concatenate([np.load(pieces / f"{start}.npy") for start in starts])

    def fill(file: IO[bytes]) -> None:
        arrays: dict[str, Any] = {"images": images, "labels": labels, "classes": np.array(classes), **more}
        np.savez(file, **arrays)

    manifest.write(name, fill)
    shutil.rmtree(pieces)


def _is_intact(path: Path, count: int) -> bool:
    try:
        return len(np.load(path)) == count
    except (OSError, ValueError, EOFError):
        return False
