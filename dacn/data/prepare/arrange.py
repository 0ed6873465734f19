"""Copies a downloaded data set into class folders by domain, where recipes find it, and checks every file."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from dacn.data.prepare.archive import unpacked
from dacn.data.prepare.manifest import Manifest, sha256
from dacn.data.prepare.progress import progress
from dacn.errors import DataError

SETTINGS = {"images": "as fetched"}


@dataclass(frozen=True)
class Layout:
    """What a complete data set of class folders looks like.

    Args:
        title: its proper name.
        counts: images of each domain, by the name of its folder.
        classes: names of the class folders, the same in each domain.
        source: where to fetch it.
        below: folders that may stand between a domain and its classes, and are left out.
    """

    title: str
    counts: Mapping[str, int]
    classes: Sequence[str]
    source: str
    below: tuple[str, ...] = ()


def arrange(layout: Layout, given: Path, target: Path, *, partial: bool = False, force: bool = False) -> None:
    """Copy a data set to ``target/DOMAIN/CLASS/``, its checksums beside it.

    Args:
        layout: what it must look like.
        given: the folder or archive that was fetched; it stays as it is.
        target: where recipes look for it.
        partial: whether missing images are let pass.
        force: copy anew what is there.

    Raises:
        DataError: a domain or a class is missing, the counts are wrong, or what is there already has changed.
    """
    if target.exists() and not force:
        _verify(target)
        click.echo(f"{layout.title} is in {target} already, every file as it was")
        return
    unfinished = target.with_name(f"{target.name}.partial")
    with unpacked(given, target.parent) as place:
        files = _files(layout, _place(layout, place, given), given)
        wrong = _wrong_counts(layout, files)
        if wrong and not partial:
            raise DataError(
                f"{given}: {layout.title} is not complete: {wrong}; nothing was copied. Fetch it again "
                f"({layout.source}), or --partial to take it as it is"
            )
        manifest = Manifest(unfinished, SETTINGS, force=True)
        manifest.record({name: _copied(file, unfinished / name) for name, file in progress(files.items(), target.name)})
    for path in unfinished.rglob("*"):  # left by a run that copied from elsewhere
        if path.is_file() and path.name != manifest.name and path.relative_to(unfinished).as_posix() not in files:
            path.unlink()
    if target.exists():
        shutil.rmtree(target)
    unfinished.replace(target)
    click.echo(f"{layout.title} is in {target}: " + ", ".join(f"{n:,} {d}" for d, n in _counts(files).items()))


def _verify(target: Path) -> None:
    """Make sure that every file is what it was when it was arranged.

    Raises:
        DataError: one is missing or differs, or the folder was not made here; nothing is touched.
    """
    manifest = Manifest(target, SETTINGS)
    if not manifest.files:
        raise DataError(f"{target}: is there, but was not arranged here; move it away, or --force to replace it")
    for name in progress(manifest.files, f"checking {target.name}"):
        if not manifest.holds(name):
            raise DataError(
                f"{target / name}: is missing; nothing was changed. Move {target} away and run the same command again, "
                "or --force to replace it"
            )


def _copied(file: Path, target: Path) -> str:
    """Copy a file, if an earlier run has not, and return its checksum."""
    checksum = sha256(file)
    if not target.exists() or sha256(target) != checksum:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return checksum


def _place(layout: Layout, place: Path, given: Path) -> Path:
    """Return the folder, at most three levels down, that holds every domain."""
    level = [place]
    for _ in range(4):
        for folder in level:
            if all((folder / domain).is_dir() for domain in layout.counts):
                return folder
        level = [entry for folder in level for entry in sorted(folder.iterdir()) if entry.is_dir()]
    domains = ", ".join(layout.counts)
    raise DataError(
        f"{given}: no folder in it holds {domains}; expected {layout.title} as fetched from {layout.source}"
    )


def _files(layout: Layout, place: Path, given: Path) -> dict[str, Path]:
    """Return every image by its name below the target: ``domain/class/image.jpg``."""
    from dacn.data.read.search import SUFFIXES

    found = {}
    for domain in layout.counts:
        folder = next(
            (place / domain / name for name in layout.below if (place / domain / name).is_dir()), place / domain
        )
        there = {entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
        missing, more = sorted({*layout.classes} - there), sorted(there - {*layout.classes})
        if missing or more:
            lacks = [f"lacks {', '.join(missing)}"] if missing else []
            lacks += [f"has {', '.join(more)} besides"] if more else []
            raise DataError(f"{given}: the domain {domain} of {layout.title} {' and '.join(lacks)}; nothing was copied")
        for name in layout.classes:
            for file in sorted((folder / name).iterdir()):
                if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and not file.is_symlink():
                    found[f"{domain}/{name}/{file.name}"] = file
    return found


def _counts(files: Mapping[str, Path]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in files:
        domain = name.partition("/")[0]
        counts[domain] = counts.get(domain, 0) + 1
    return counts


def _wrong_counts(layout: Layout, files: Mapping[str, Path]) -> str:
    counts = _counts(files)
    return ", ".join(
        f"{domain} has {counts.get(domain, 0):,} of {expected:,} images"
        for domain, expected in layout.counts.items()
        if counts.get(domain, 0) != expected
    )
