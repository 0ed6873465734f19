"""Images a second that are decoded, made into views and trained on, and which of the three limits a run."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from dacn.data.known.names import DOMAINS, FAMILIES, NAMED_PAIRS
from dacn.data.known.sets import SETS
from dacn.data.pair.config import DataConfig
from dacn.data.pair.parts import find_parts
from dacn.data.pair.spec import as_tuple
from dacn.data.read.cache import cache_file, read_from, writing
from dacn.data.read.folder import FolderSpec
from dacn.data.read.image_file import ImageFile
from dacn.data.read.images import Streamed
from dacn.data.read.reading import ReadingConfig
from dacn.data.read.resident import MIB
from dacn.errors import DataError
from dacn.recipe.recipe import Recipe

FILES = 128
"""How many files are decoded."""
MADE_UP = (500, 375)
"""Pixels of the files that are made where the recipe's own are not at hand: those of ImageNet's typical photograph."""
LOADING = ("sampling",)
VIEWS = ("weak", "strong")
"""The parts of a step (`dacn.bench.step.PARTS`) that come before the network."""


def measure_throughput(recipe: Recipe, step: Mapping[str, Any], shares: Mapping[str, float]) -> dict[str, Any]:
    """Return images a second of each stage, and which limits.

    Args:
        recipe: its files are decoded where they are at hand, else made-up ones.
        step: what `dacn.bench.step.Bench.compare` measured, with images in memory.
        shares: of its parts, in percent.

    Returns:
        ``decode`` by all threads, ``read`` from a file of decoded images, ``views`` and ``step`` (the network, its loss
        and its optimizer) by themselves; ``images`` are in memory, cached or decoded while training, None where the
        files must be there to tell; ``limits`` is the slowest of those that such a run goes through.
    """
    config = recipe.data or ReadingConfig()
    own, count = _own_files(recipe.data)
    with _files(own, config) as files:
        result = _decoding(files, config)
    views, loading = (sum(shares[part] for part in parts) for parts in (VIEWS, LOADING))
    for name, share in (("views", views), ("step", 100 - views - loading)):
        seconds = step["milliseconds"] / 1000 * share / 100
        result[name] = step["images"] / seconds if seconds else None
    result["images"] = _images_are(config, count)
    stages = {"decoded while training": "decode", "cached": "read"}
    passed = [stages.get(result["images"], "views"), "views", "step"]
    result["limits"] = min(passed, key=lambda name: result[name] or float("inf"))
    return result | {
        "of": f"{len(own)} of the recipe's files" if own else f"made-up JPEGs of {MADE_UP[0]}x{MADE_UP[1]}"
    }


def _decoding(files: Sequence[ImageFile], config: ReadingConfig) -> dict[str, Any]:
    images = Streamed(files, config.read_size, workers=config.workers)
    with TemporaryDirectory() as folder:
        path = cache_file(images, images.identities(), Path(folder))
        with writing(path) as write:
            for pixels in images.outcomes(range(len(images))):
                if not isinstance(pixels, DataError):
                    write(pixels)
        cached = read_from(path, images)
        return {"workers": images.workers, "decode": _rate(images), "read": _rate(cached)}


def _rate(images: Streamed, rounds: int = 3) -> float:
    """Return images a second."""

    def seconds() -> float:
        start = time.perf_counter()
        for _ in images.outcomes(range(len(images))):
            pass
        return time.perf_counter() - start

    return len(images) / median(seconds() for _ in range(rounds))


def _own_files(data: DataConfig | None) -> tuple[list[ImageFile], int | None]:
    """Return some files of the recipe's source, and how many images training holds; nothing where they must be read."""
    if data is None:
        return [], None
    source = as_tuple(data.source)
    named = data.pair in NAMED_PAIRS and DOMAINS[NAMED_PAIRS[data.pair].source].of in FAMILIES
    if not (all(isinstance(spec, FolderSpec) for spec in source) if source else named):
        return [], None
    load: Callable[[], Any] = next(load for key, load in find_parts(data)[0].items() if key.startswith("source"))
    try:
        items = load().images.items
    except DataError:  # not here: their number is known of a data set with a name
        return [], None if source or data.target else _count(data)
    every = max(1, len(items) // FILES)
    files = [item for item in items[::every][:FILES] if isinstance(item, ImageFile)]
    return files, None if source or data.target else _count(data)


def _count(data: DataConfig) -> int:
    pair = NAMED_PAIRS[str(data.pair)]
    return sum(SETS[DOMAINS[name].of].images[DOMAINS[name].part] for name in (pair.source, pair.target))


def _images_are(config: ReadingConfig, count: int | None) -> str | None:
    if count is None:
        return None
    if count * 3 * config.read_size**2 <= config.resident_mb * MIB:
        return "in memory"
    return "decoded while training" if config.cache is None else "cached"


@contextmanager
def _files(own: list[ImageFile], config: ReadingConfig) -> Iterator[list[ImageFile]]:
    if own:
        yield own
        return
    random = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        files = []
        for index in range(FILES):
            # Smooth shapes and fine noise: about as many bytes as a photograph has at this quality.
            coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8)).resize(MADE_UP)
            noise = random.integers(-12, 13, (MADE_UP[1], MADE_UP[0], 3))
            pixels = np.clip(np.asarray(coarse, np.int64) + noise, 0, 255).astype(np.uint8)
            path = Path(folder) / f"{index}.jpg"
            Image.fromarray(pixels).save(path, quality=85)
            files.append(ImageFile(path, config.read_size, config.resize))
        yield files
