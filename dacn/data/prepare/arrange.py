"""Copies a downloaded data set into class folders by domain, where recipes find it, and checks every file."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
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
        classes: names of the class folders, the same in each domain; or how many there are.
        source: where to fetch it.
        below: folders that may stand between a domain and its classes, and are left out.
        also: other names that the folder of a domain may have as fetched.
        lists: where images lie in no class folders: the list of each domain (`dacn.data.read.listed`), whose indices
            are those of ``classes``.
        beside: further files that belong to it, by name.
        licence: under which its images may be used.
    """

    title: str
    counts: Mapping[str, int]
    classes: Sequence[str] | int
    source: str
    below: tuple[str, ...] = ()
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    licence: str = ""


def arrange(
    layout: Layout, given: Path | Sequence[Path], target: Path, *, partial: bool = False, force: bool = False
) -> None:
    """Copy a data set to ``target/DOMAIN/CLASS/``, its checksums beside it.

    Args:
        layout: what it must look like.
        given: the folder or archive that was fetched, or several; they stay as they are.
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
    fetched = [given] if isinstance(given, Path) else [*given]
    told = ", ".join(map(str, fetched))
    with ExitStack() as stack:
        places = [stack.enter_context(unpacked(path, target.parent)) for path in fetched]
        files = _files(layout, places, told)
        wrong = _wrong_counts(layout, files)
        if wrong and not partial:
            raise DataError(
                f"{told}: {layout.title} is not complete: {wrong}; nothing was copied. Fetch it again "
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
    if layout.licence:
        click.echo(f"Terms of {layout.title}: {layout.licence} ({layout.source})")
    counts = {domain: count for domain, count in _counts(files).items() if domain in layout.counts}
    click.echo(f"{layout.title} is in {target}: " + ", ".join(f"{n:,} {d}" for d, n in counts.items()))


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


def _levels(places: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield the folders of each level, the given ones first and three below."""
    level = [*places]
    for _ in range(4):
        yield level
        level = [entry for folder in level for entry in sorted(folder.iterdir()) if entry.is_dir()]


def _domain_folders(layout: Layout, places: Sequence[Path], given: str) -> dict[str, Path]:
    """Return the folder of every domain: in one folder that holds them all, or each where it is found first."""
    names = {domain: (domain, *layout.also.get(domain, ())) for domain in layout.counts}
    found: dict[str, Path] = {}
    for level in _levels(places):
        for folder in level:
            here = {
                domain: next((folder / name for name in known if (folder / name).is_dir()), None)
                for domain, known in names.items()
            }
            there = {domain: path for domain, path in here.items() if path is not None}
            if len(there) == len(names):
                return there
            found = there | found  # what is higher up stays
        if len(found) == len(names):
            return {domain: found[domain] for domain in names}
    missing = ", ".join(domain for domain in names if domain not in found)
    raise DataError(
        f"{given}: no folder in it holds {missing}; expected {layout.title} as fetched from {layout.source}"
    )


def _files(layout: Layout, places: Sequence[Path], given: str) -> dict[str, Path]:
    """Return every image by its name below the target, ``domain/class/image.jpg``, and what belongs beside them."""
    found: dict[str, Path] = {}
    for domain, folder in _domain_folders(layout, places, given).items():
        if domain in layout.lists:
            found |= _listed(layout, domain, folder, _beside(layout, layout.lists[domain], places, given), given)
        else:
            found |= _in_class_folders(layout, domain, folder, given)
    return found | {name: _beside(layout, name, places, given) for name in layout.beside}


def _in_class_folders(layout: Layout, domain: str, folder: Path, given: str) -> dict[str, Path]:
    from dacn.data.read.search import SUFFIXES

    folder = next((folder / name for name in layout.below if (folder / name).is_dir()), folder)
    there = {entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    _require_classes(layout, domain, there, given)
    return {
        f"{domain}/{name}/{file.name}": file
        for name in sorted(there)
        for file in sorted((folder / name).iterdir())
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and not file.is_symlink()
    }


def _require_classes(layout: Layout, domain: str, there: set[str], given: str) -> None:
    if isinstance(layout.classes, int):
        wrong = [] if len(there) == layout.classes else [f"has {len(there)} of {layout.classes} class folders"]
    else:
        missing, more = sorted({*layout.classes} - there), sorted(there - {*layout.classes})
        wrong = [f"lacks {', '.join(missing)}"] if missing else []
        wrong += [f"has {', '.join(more)} besides"] if more else []
    if wrong:
        raise DataError(f"{given}: the domain {domain} of {layout.title} {' and '.join(wrong)}; nothing was copied")


def _listed(layout: Layout, domain: str, folder: Path, path: Path, given: str) -> dict[str, Path]:
    """Return the images of a list by their names in class folders; in the list they may lie deeper than they do."""
    from dacn.data.read.listed import read_list

    assert not isinstance(layout.classes, int)
    found = {}
    for line in read_list(path):
        if line.label >= len(layout.classes):
            raise DataError(
                f"{given}: {path.name} lists class {line.label}, but {layout.title} has {len(layout.classes)}; nothing "
                "was copied"
            )
        inside = line.path.parts[1:]
        file = folder.joinpath(*inside)
        file = file if inside and file.is_file() else folder / line.path.name
        if not file.is_file():
            raise DataError(f"{given}: {path.name} lists {line.path}, which is not there; nothing was copied")
        found[f"{domain}/{layout.classes[line.label]}/{file.name}"] = file
    return found


def _beside(layout: Layout, name: str, places: Sequence[Path], given: str) -> Path:
    for level in _levels(places):
        for folder in level:
            if (folder / name).is_file():
                return folder / name
    raise DataError(f"{given}: no file {name} in it; expected {layout.title} as fetched from {layout.source}")


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
