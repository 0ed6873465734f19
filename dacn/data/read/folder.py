"""A folder of images as a domain: class sub-folders, or a flat folder of unlabelled ones."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from dacn.config import Config
from dacn.data.classes.class_map import CLASS_MAP, ClassMap, rename_classes
from dacn.data.classes.names import composed
from dacn.data.domain import Domain
from dacn.data.fit import Resize
from dacn.data.read.image_file import ImageFile
from dacn.data.read.images import Streamed
from dacn.data.read.level import level_note
from dacn.data.read.passed_over import PassedOver, describe_passed_over
from dacn.data.read.paths import UserPath, display_path
from dacn.data.read.ranges import RangeSetting, read_by_one_range
from dacn.data.read.reading import ReadingConfig, reading_config
from dacn.data.read.resident import ResidentLoader
from dacn.data.read.search import Search
from dacn.errors import DataError


class FolderSpec(Config):
    """Class sub-folders of images, or a flat folder of unlabelled images."""

    folder: UserPath = Field(description="where its images lie", examples=["photos/"])
    labels: bool = Field(
        True,
        description="are sub-folders classes? false: sub-folders are dates, cameras or the like, and all images below "
        "are unlabelled",
    )
    class_map: ClassMap | None = CLASS_MAP

    def load(self, config: ReadingConfig) -> Domain:
        """Return the domain; its files are found and not read yet."""
        return find_folder(self.folder, config, labels=self.labels)


def folder(
    path: Path | str,
    image_size: int,
    *,
    labels: bool = True,
    class_map: Mapping[str, str | None] | None = None,
    resize: Resize = "crop",
    on_bad_image: Literal["error", "skip"] = "error",
    resident_mb: int = 1024,
    workers: int | None = None,
    range: RangeSetting = "auto",
) -> Domain:
    """Read every image below ``path`` in the order of their names.

    With sub-folders, each is a class, named after it; classes are sorted by name and images may lie deeper. Without,
    the images are unlabelled. Links to folders are followed. Images are recognized by their suffix or, where that says
    nothing, by their content. What is not read is counted in the domain's ``passed_over``, and told in its ``notes``:
    files that are no images, links to nothing, hidden files, thumbnails and caches of desktops and file servers.

    Args:
        path: the folder.
        image_size: pixels of both sides.
        labels: whether sub-folders are classes; False: the images at any depth are unlabelled.
        class_map: other names for its classes, see `dacn.data.classes.class_map.rename_classes`.
        resize: how images become squares: by their centre (crop), black margins (pad) or stretching.
        on_bad_image: whether images that cannot be read are an error or left out, with a note.
        resident_mb: MiB of images that are held in memory; a larger folder is decoded while it is used.
        workers: threads that decode; None: as many as the machine has cores, at most 8.
        range: ``(low, high)``, what becomes black and what white in images of more than 8 bits. ``"auto"``: 0 to the
            least of 255, 1023, 4095, 16383, 65535 that no 16-bit value of this folder exceeds, told in its notes; the
            domains of a pair must have the same one. Signed, 32-bit and float values need it stated.

    Raises:
        DataError: no such folder, one that cannot be read, no images, an empty class, class folders that are not what
            they seem (`dacn.data.read.level`), or damaged images, counted and named.
    """
    config = reading_config(
        image_size=image_size, resize=resize, on_bad_image=on_bad_image, resident_mb=resident_mb, workers=workers,
        range=range,
    )  # fmt: skip
    domain = at_right_level("path", Path(path), find_folder(Path(path), config, labels=labels))
    domain = domain if class_map is None else rename_classes(domain, class_map)
    return ResidentLoader(config).load_resident(read_by_one_range({"path": domain}, config.range)["path"])


def find_folder(path: Path, config: ReadingConfig, *, labels: bool = True) -> Domain:
    """Find the images below ``path``, as `folder` reads them; nothing is decoded yet.

    Raises:
        DataError: no such folder, one that cannot be read, no images, or an empty class.
    """
    by_class, passed_over, notes = _listing(path, labels)
    files = [file for files in by_class.values() for file in files]
    images = Streamed(
        [ImageFile(file, config.read_size, config.resize) for file in files],
        config.read_size,
        workers=config.workers,
    )
    classes = tuple(name for name in by_class if name is not None)
    index = [index for index, files in enumerate(by_class.values()) for _ in files]
    return Domain(
        path.resolve().name,
        images,
        torch.tensor(index) if classes else None,
        classes or None,
        notes=tuple(notes),
        fit=config.resize,
        passed_over=passed_over,
    )


def at_right_level(key: str, path: Path, domain: Domain) -> Domain:
    """Return the domain that was found at ``path``, with a note where its classes may lie deeper.

    Raises:
        DataError: they do; see `dacn.data.read.level.level_note`.
    """
    if domain.labels is None or not isinstance(domain.images, Streamed):
        return domain
    try:
        note = level_note(key, path, [item.path for item in domain.images.items if isinstance(item, ImageFile)])
    except DataError as error:
        raise DataError(f"{display_path(path)}: {error}") from error
    return domain if note is None else replace(domain, notes=(*domain.notes, note))


def _listing(path: Path, labels: bool) -> tuple[dict[str | None, list[Path]], tuple[PassedOver, ...], list[str]]:
    """Return the images of each class, of None where they are unlabelled, what else there is, and what to tell."""
    search = Search(path)
    by_class, notes = _by_class(search) if labels else ({None: search.images_below(path)}, [])
    search.require_open()
    passed_over = search.tally.result()
    told = describe_passed_over(display_path(path), passed_over)
    if empty := [name for name, files in by_class.items() if not files]:
        what = f"class folders without an image: {_some(filter(None, empty))}; fill or remove them"
        what = "no images in this folder" if None in empty else what
        raise DataError(f"{display_path(path)}: {what}" + (f"\n{told}" if told else ""))
    return {name: by_class[name] for name in sorted(by_class, key=str)}, passed_over, [*filter(None, [told]), *notes]


def _by_class(search: Search) -> tuple[dict[str | None, list[Path]], list[str]]:
    """Return the images of each class folder, or of None where there are no folders, and what to tell."""
    path, top = display_path(search.root), search.entries(search.root)
    folders = sorted(top.folders + top.links)
    if folders and top.images:
        raise DataError(
            f"{path}: has sub-folders ({_some(folder.name for folder in folders)}) and images beside them "
            f"({_some(image.name for image in top.images)}); expected class sub-folders alone, or images alone "
            "(unlabelled); `labels: false` reads all of them as unlabelled"
        )
    by_class: dict[str | None, list[Path]] = {} if folders else {None: top.images}
    notes = []
    for folder in folders:
        name = composed(folder.name)
        if name in by_class:
            notes.append(f"{path}: the class folders {name!r} differ in Unicode form alone and are one class")
        by_class.setdefault(name, []).extend(search.images_below(folder))
    return by_class, notes


def _some(names: Iterable[str]) -> str:
    names = [*names]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
