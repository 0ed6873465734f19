"""Images that stand in two sets: the same bytes, or nearly the same picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dacn.data.inspect.image_summary import SIDE, ImageSummary

ALIKE = 0.995
"""Correlation of two pooled images from which on they count as nearly the same picture."""
EXAMPLES = 3
_FLATTEST = 4.0  # standard deviation of a pooled image, of 255: below it there is no picture to compare


def exact_duplicates(first: ImageSummary, second: ImageSummary) -> list[tuple[int, int]]:
    """Return for each image of ``second`` that is in ``first`` too, byte for byte, its row there and here."""
    rows = {digest: row for row, digest in enumerate(first.digests)}
    return [(rows[digest], row) for row, digest in enumerate(second.digests) if digest in rows]


def near_duplicates(first: ImageSummary, second: ImageSummary) -> list[tuple[int, int]]:
    """Return for each image of ``second`` that nearly is one of ``first``, but not to the byte, its row there and here.

    Two images are nearly the same if their pooled pixels correlate by `ALIKE` at least: compression, small changes of
    size, brightness and contrast leave that be. Images of one colour are not compared, and of large sets only those
    that the summaries hold.
    """
    from sklearn.neighbors import NearestNeighbors

    same = {row for _, row in exact_duplicates(first, second)}
    (rows, here), (others, there) = _comparable(first, set()), _comparable(second, same)
    if not len(rows) or not len(others):
        return []
    distances, nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(here).kneighbors(there)
    close = np.flatnonzero(distances[:, 0] <= np.sqrt(2 - 2 * ALIKE))  # of vectors of length 1
    return [(int(rows[nearest[index, 0]]), int(others[index])) for index in close]


def _comparable(summary: ImageSummary, without: set[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows that can be compared, and their pooled pixels as vectors of mean 0 and length 1: (n,), (n, P)."""
    held = ~np.isin(summary.rows, [*without])
    rows = summary.rows[held]
    pixels = summary.pooled[held].mean(axis=1, dtype=np.float32).reshape(-1, SIDE * SIDE)  # (n, P), grey
    pixels -= pixels.mean(axis=1, keepdims=True)
    length = np.linalg.norm(pixels, axis=1)
    kept = length >= _FLATTEST * np.sqrt(pixels.shape[1])
    return rows[kept], pixels[kept] / length[kept, None]


@dataclass(frozen=True)
class Duplicates:
    """Images of the second part that the first one has too.

    Args:
        between: keys of the two parts.
        of: images in the second part.
        exact: how many of them are in the first, byte for byte as training sees them.
        near: how many more nearly are.
        examples: the first few, each as its file or number in the first and in the second part.
    """

    between: tuple[str, str]
    of: int
    exact: int
    near: int
    examples: list[tuple[str, str]]


def duplicates(
    first: str, second: str, summaries: Mapping[str, ImageSummary], files: Mapping[str, Sequence[str]]
) -> Duplicates:
    """Search two parts for the same images.

    Args:
        first, second: their keys.
        summaries: by key.
        files: names of their images by key; empty where they have none.
    """
    a, b = summaries[first], summaries[second]
    exact, near = exact_duplicates(a, b), near_duplicates(a, b)

    def name(key: str, row: int) -> str:
        return files[key][row] if files[key] else f"image {row}"

    examples = [(name(first, row), name(second, other)) for row, other in (exact + near)[:EXAMPLES]]
    return Duplicates((first, second), len(b.digests), len(exact), len(near), examples)
