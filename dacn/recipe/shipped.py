"""The recipes that come with dacn: their names, what their headers say of them, and where a bare name leads."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "recipes"
"""Part of the wheel; in a checkout a link to ``recipes/``."""
NOT_MEASURED = "not measured"

_KEY = re.compile(r"#\s*(\w+):\s+(.*)")
_END = re.compile(r"(?<=\.)(?:\s|$)")
_MORE = re.compile(r"#\s{2,}(\S.*)")


@dataclass(frozen=True)
class Header:
    """What the comments at the top of a recipe say of it.

    Args:
        about: the first sentence, what it is; empty where there is none.
        expect: what it reproduces, with the measured numbers.
        time: how long it takes, and on what.
    """

    about: str
    expect: str = NOT_MEASURED
    time: str = NOT_MEASURED


def read_header(file: Path) -> Header:
    """Read the comments at the top of a recipe: a sentence, and lines ``Expect: ...`` and ``Time: ...``.

    A line goes on in those below it that begin with more than one blank.
    """
    keys: dict[str, str] = {}
    about, key = "", ""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        if "$schema=" in line:
            continue
        if named := _KEY.match(line):
            key = named[1].lower()
            keys.setdefault(key, named[2].strip())
        elif key and (more := _MORE.match(line)):
            keys[key] += f" {more[1].strip()}"
        else:
            key = ""
        if not _END.search(about):
            about = f"{about} {line.lstrip('# ').strip()}".strip()
    return Header(_END.split(about)[0], *(keys.get(name, NOT_MEASURED) for name in ("expect", "time")))


def shipped_recipes(folder: Path = FOLDER) -> dict[str, Path]:
    """Return the recipes of dacn by name: their paths below ``folder`` without ``.yaml``, in order."""
    files = sorted(file for file in folder.rglob("*.yaml") if "results" not in file.relative_to(folder).parts)
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def find_recipe(path: Path) -> Path:
    """Return the file that ``path`` means: itself, or where it is a bare name, the recipe of that name.

    A bare name has no suffix. It is looked for in the working directory, in its ``recipes`` and at last among those
    that come with dacn, where a name without its sub-folder does if only one recipe has it. What is not found is
    returned as it is.
    """
    if path.exists() or path.suffix or path.is_absolute():
        return path
    own = (folder / path.with_name(f"{path.name}.yaml") for folder in (Path(), Path("recipes")))
    return next((file for file in own if file.is_file()), shipped_recipe(path.as_posix()) or path)


def shipped_recipe(name: str) -> Path | None:
    """Return the file of a recipe that comes with dacn; None where no one, or more than one, has the name."""
    recipes = shipped_recipes()
    same_stem = [file for file in recipes.values() if file.stem == name]
    return recipes.get(name) or (same_stem[0] if len(same_stem) == 1 else None)


def nearest_recipe(path: Path) -> str:
    """Return a hint at the recipe of the most similar name: beside a missing one, in ./recipes, or one of dacn's."""
    own = {file.stem: str(file) for folder in (Path("recipes"), path.parent) for file in folder.glob("*.yaml")}
    shipped = {key: name for name in shipped_recipes() for key in (name, Path(name).name)}
    known = shipped | own
    near = get_close_matches(path.stem, known, n=1)
    return f"; did you mean {known[near[0]]!r}?" if near else "; `dacn recipes` lists those that come with dacn"


def own_recipes() -> Iterator[Path]:
    """Yield the recipes in ./recipes that are not dacn's own."""
    if not Path("recipes").is_dir() or Path("recipes").resolve() == FOLDER.resolve():
        return
    yield from sorted(file for file in Path("recipes").rglob("*.yaml") if "results" not in file.parts)
