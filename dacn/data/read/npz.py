"""A NumPy archive as a domain."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from dacn.config import Config
from dacn.data.classes.class_map import CLASS_MAP, ClassMap
from dacn.data.domain import Domain
from dacn.data.fit import Fit, Resize, fit_images
from dacn.data.read.array_image import ArrayImage
from dacn.data.read.identity import of_arrays
from dacn.data.read.images import Streamed
from dacn.data.read.paths import UserPath
from dacn.data.read.ranges import RangeSetting, read_by_one_range
from dacn.data.read.reading import ReadingConfig, reading_config
from dacn.data.read.resident import ResidentLoader
from dacn.errors import DataError, did_you_mean

Array = NDArray[Any]
_EXPECTED = "np.savez(path, images=<uint8 or uint16 NHWC>, labels=<integers, optional>)"
_BROKEN = (zipfile.BadZipFile, zlib.error)
_MOST_BYTES = 8 * 2**30  # of one array: images are held in memory, and a megabyte can unpack to a thousand


class NpzSpec(Config):
    """A NumPy archive: ``images`` uint8 or uint16 NHWC, and optionally ``labels`` and ``classes``."""

    npz: UserPath = Field(description="the file", examples=["photos.npz"])
    group: str | None = Field(
        None,
        description="the array that says, by equal integers, which images belong together, such as crops of one "
        "photograph; `data.test_fraction` parts none of them",
        examples=["image_number"],
    )
    class_map: ClassMap | None = CLASS_MAP

    def load(self, config: ReadingConfig) -> Domain:
        """Return the domain; 16-bit values are not yet brought to 8."""
        return find_npz(self.npz, config, self.group)


def npz(
    path: Path | str,
    image_size: int,
    resize: Resize = "crop",
    group: str | None = None,
    *,
    range: RangeSetting = "auto",
) -> Domain:
    """Read ``images``, and where they are there ``labels`` and ``classes``, from a ``.npz`` file.

    Pickled objects are never loaded.

    Args:
        path: a file that ``np.savez`` or ``np.savez_compressed`` wrote: ``images`` uint8 or uint16 ``(N, H, W, 3)``,
            ``(N, H, W, 1)`` or ``(N, H, W)``; ``labels`` integers from 0; ``classes`` one string an index.
        image_size: pixels of both sides.
        resize: how images become squares: by their centre (crop), black margins (pad) or stretching.
        group: the array, integers ``(N,)``, by which images belong together.
        range: ``(low, high)``, the 16-bit values that become black and white; ``"auto"``: see `dacn.folder`.

    Raises:
        DataError: no such file, no archive, pickled objects, or arrays of a wrong type or shape.
    """
    config = reading_config(image_size=image_size, resize=resize, range=range)
    domain = find_npz(Path(path), config, group)
    return ResidentLoader(config).load_resident(read_by_one_range({"path": domain}, config.range)["path"])


def find_npz(path: Path, config: ReadingConfig, group: str | None = None) -> Domain:
    """Return the domain of an archive, as `npz` does; 16-bit values are not yet brought to 8.

    Raises:
        DataError: as `npz`.
    """
    arrays = _arrays(path, group)
    images, labels, classes = arrays["images"], arrays.get("labels"), arrays.get("classes")
    _check_images(path, images)
    if group is not None:
        _check_group(path, group, arrays[group], len(images))
    if labels is not None:
        _check_labels(path, labels, len(images))
    size, resize = config.read_size, config.resize
    return Domain(
        path.stem,
        fit_images(images, size, resize) if images.dtype == np.uint8 else array_images(path, images, size, resize),
        None if labels is None else torch.from_numpy(labels.astype(np.int64)),
        None if classes is None else _names(path, classes, labels),
        group=None if group is None else torch.from_numpy(arrays[group].astype(np.int64)),
        fit=resize,
        identity=of_arrays(images),
    )


def raw_images(path: Path) -> Array:
    """Return the ``images`` of an archive as they are: uint8 or uint16, ``(N, H, W, 3)``, ``(N, H, W, 1)`` or
    ``(N, H, W)``.

    Raises:
        DataError: as `npz`.
    """
    images = _arrays(path)["images"]
    _check_images(path, images)
    return images


def array_images(path: Path, images: Array, size: int, fit: Fit) -> Streamed:
    """Return the images of an archive, to be fitted when they are asked for; they are called ``path[index]``."""
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    return Streamed([ArrayImage(f"{path}[{index}]", image, size, fit) for index, image in enumerate(images)], size)


def _arrays(path: Path, group: str | None = None) -> dict[str, Array]:
    if not path.is_file():
        near = did_you_mean(path.name, [file.name for file in path.parent.glob("*.npz")])
        raise DataError(f"{path}: {'is a folder, not an .npz file' if path.is_dir() else 'no such file'}{near}")
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path}: not a sound .npz archive; expected {_EXPECTED}")
        with zipfile.ZipFile(path) as members:
            for member in members.infolist():
                if member.file_size > _MOST_BYTES:
                    raise DataError(
                        f"{path}: {member.filename} unpacks to {member.file_size / 2**30:.0f} GiB; expected at most "
                        f"{_MOST_BYTES // 2**30} GiB, since images are held in memory; take a subset"
                    )
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = list(archive)
            wanted = ("images", "labels", "classes", *([] if group is None else [group]))
            arrays = {name: archive[name] for name in wanted if name in found}
    except (OSError, ValueError, EOFError, KeyError, MemoryError, NotImplementedError, *_BROKEN) as error:
        refused = "Object arrays" in str(error)
        why = "pickled objects are refused, save plain arrays" if refused else f"not a sound .npz archive ({error})"
        raise DataError(f"{path}: {why}; expected {_EXPECTED}") from error
    if "images" not in arrays:
        raise DataError(f"{path}: has no array 'images', only {', '.join(found) or 'nothing'}; expected {_EXPECTED}")
    if group is not None and group not in found:
        raise DataError(
            f"{path}: has no array {group!r} to group its images by{did_you_mean(group, found)}, "
            f"only {', '.join(found)}; name one of them, or leave `group` out"
        )
    return arrays


def _check_images(path: Path, images: Array) -> None:
    got = f"got {images.dtype} {images.shape}"
    if images.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: 'images' must be uint8 from 0 to 255, or uint16, {got}; convert them before saving")
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        raise DataError(f"{path}: 'images' has its channels first, {got}; save images.transpose(0, 2, 3, 1)")
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)) or 0 in images.shape:
        raise DataError(f"{path}: 'images' must be (N, H, W, 3), (N, H, W, 1) or (N, H, W) and not empty, {got}")


def _check_labels(path: Path, labels: Array, count: int) -> None:
    if labels.shape != (count,):
        raise DataError(f"{path}: {count} images, but 'labels' has shape {labels.shape}; expected ({count},)")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{path}: 'labels' must be integers from 0, got {labels.dtype}")
    if int(labels.min()) < 0:
        raise DataError(f"{path}: 'labels' must be integers from 0, got {labels.min()}; leave them out where unknown")


def _check_group(path: Path, name: str, group: Array, count: int) -> None:
    if group.shape != (count,) or group.dtype.kind not in "iu":
        raise DataError(
            f"{path}: {name!r} must be one integer an image to group them by, ({count},), "
            f"got {group.dtype} {group.shape}"
        )


def _names(path: Path, classes: Array, labels: Array | None) -> tuple[str, ...]:
    if classes.ndim != 1 or classes.dtype.kind != "U" or len(set(classes.tolist())) != len(classes):
        raise DataError(f"{path}: 'classes' must be different strings, got {classes.dtype} {classes.shape}")
    if labels is not None and int(labels.max()) >= len(classes):
        raise DataError(f"{path}: a label is {labels.max()}, but 'classes' names only {len(classes)}")
    return tuple(classes.tolist())
