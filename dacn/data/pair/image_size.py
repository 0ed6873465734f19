"""The size that images are brought to where a recipe does not say it: chosen from the files."""

from collections.abc import Mapping
from dataclasses import replace
from statistics import median

from dacn.data.domain import Domain
from dacn.data.pair.config import DataConfig
from dacn.data.pair.parts import find_parts, load_parts
from dacn.data.read.image_file import ImageFile, original_sizes
from dacn.data.read.images import Streamed

SIZES = (32, 48, 64)
"""What is chosen from, in pixels. A larger size is a matter of time, which a recipe has to ask for: at 128 a step takes
four times as long as at 64."""
SHRUNK = 4  # times smaller than the file: worth a word
_LOOKED_UP = 100  # files of a part


def at_chosen_size(config: DataConfig, parts: Mapping[str, Domain]) -> tuple[DataConfig, dict[str, Domain]]:
    """Return the config with its image size, and the parts at that size, knowing how large their files are.

    Args:
        config: names a size, or leaves it to the files.
        parts: by the keys of `find_parts`, their files found and not read yet.

    Raises:
        DataError: a part that is no folder cannot be loaded anew at the chosen size.
    """
    measured = {key: _with_file_size(part) for key, part in parts.items()}
    if config.image_size is None and config.resize_size is None:
        size = chosen_size(measured)
        if size != config.side:
            config = config.model_copy(update={"image_size": size})
            loads, _ = find_parts(config)
            others = {key: load for key, load in loads.items() if measured[key].file_size is None}
            resized = {key: _resized(part, size) for key, part in measured.items() if key not in others}
            measured = {key: (resized | load_parts(config, others))[key] for key in measured}
        config = config.model_copy(update={"image_size": size})
    return config, {key: _with_note(part, config.read_size) for key, part in measured.items()}


def chosen_size(parts: Mapping[str, Domain]) -> int:
    """Return the largest of `SIZES` that no training part's files have to be enlarged to, by their median.

    Where every part is no folder it is the least, which is the size that named data sets have.
    """
    short = [min(part.file_size) for key, part in parts.items() if part.file_size and not _is_test(key)]
    return max((size for size in SIZES if short and size <= min(short)), default=SIZES[0])


def _is_test(key: str) -> bool:
    return key.partition("[")[0].endswith("_test")


def _with_file_size(part: Domain) -> Domain:
    """Return the part with its files' median width and height; as it is where it is not made of files alone."""
    if not isinstance(part.images, Streamed) or not all(isinstance(item, ImageFile) for item in part.images.items):
        return part
    sizes = original_sizes(part.images, _LOOKED_UP)
    if not sizes:
        return part
    width, height = (int(median(side)) for side in zip(*sizes, strict=True))
    return replace(part, file_size=(width, height))


def _resized(part: Domain, size: int) -> Domain:
    images = part.images
    assert isinstance(images, Streamed)
    items = [item._replace(size=size) for item in images.items if isinstance(item, ImageFile)]
    return replace(part, images=Streamed(items, size, workers=images.workers, device=images.device))


def _with_note(part: Domain, size: int) -> Domain:
    """Say so where images lose much of what their files show."""
    if part.file_size is None or min(part.file_size) < SHRUNK * size:
        return part
    return replace(part, notes=(*part.notes, f"{shrunk(part, size)}; data.image_size sets another size"))


def shrunk(part: Domain, size: int) -> str:
    """Return what is said of images that are made much smaller."""
    assert part.file_size is not None
    width, height = part.file_size
    return (
        f"{part.name}: the median file has {width}x{height} pixels and is shrunk to {size}x{size}: what is finer than "
        f"{min(part.file_size) // size} of its pixels is lost"
    )
