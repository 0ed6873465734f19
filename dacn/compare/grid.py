"""The cells of a comparison: every combination of the varied values, each with every seed."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from dacn.errors import RecipeError
from dacn.recipe.recipe import Recipe, load_recipe
from dacn.recipe.yaml import parse_yaml

FORM = "expected --vary key.path=a,b,c, for example --vary model.norm=bn,cn,acn"
_OPENING, _CLOSING = {"[": "]", "{": "}"}, {"]", "}"}
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Args:
        name: its folder within the comparison's, such as ``norm=bn/seed0``.
        recipe: what it trains.
    """

    name: str
    recipe: Recipe


def split_values(text: str) -> list[str]:
    """Split at the commas that stand outside of brackets, braces and quotes.

    >>> split_values("bn, cn, {name: acn, eta: 0.05}, [1, 2], 'a,b'")
    ['bn', 'cn', '{name: acn, eta: 0.05}', '[1, 2]', "'a,b'"]
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and (depth or not parts[-1].strip()):  # an apostrophe inside a word quotes nothing
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == "," and not depth:
            parts.append("")
            continue
        parts[-1] += character
    return [part.strip() for part in parts]


def make_cells(
    path: Path, vary: Iterable[str], seeds: Sequence[int | None], overrides: Iterable[str] = ()
) -> list[Cell]:
    """Return the cells in order, the last varied key and then the seed changing fastest; every recipe is checked.

    Args:
        path: a recipe file.
        vary: ``key.path=a,b,c`` each, the values in YAML.
        seeds: of every combination; none: the recipe's own.
        overrides: ``key.path=value`` each, for all cells.

    Raises:
        RecipeError: a malformed option, a key varied twice, values that do not hold, or two cells that are the same.
    """
    overrides = list(overrides)
    keys = [_parse_vary(option) for option in vary]
    twice = [key for key, count in Counter(key for key, _ in keys).items() if count > 1]
    if twice:
        raise RecipeError(f"--vary {twice[0]}: given twice; put all of its values into one, {FORM}")
    if len(set(seeds)) < len(seeds):
        raise RecipeError(f"--seeds {','.join(map(str, seeds))}: a seed stands there twice, and would say nothing new")
    _require_kept([override.partition("=")[0].strip() for override in overrides], [key for key, _ in keys])
    shorts = _short_keys([key for key, _ in keys])
    combinations = list(product(*(values for _, values in keys)))
    names = _folder_names([[*zip(shorts, values, strict=True)] for values in combinations])
    cells, problems = [], []
    for name, values in zip(names, combinations, strict=True):
        own = [f"{key}={value}" for (key, _), value in zip(keys, values, strict=True)]
        try:
            recipes = [load_recipe(path, [*overrides, *own], seed) for seed in (seeds or (None,))]
        except RecipeError as error:
            problems.append(f"{' '.join(own)}: {error}" if own else str(error))
            continue
        cells += [Cell(f"{name}/seed{recipe.seed}" if name else f"seed{recipe.seed}", recipe) for recipe in recipes]
    if problems:
        raise RecipeError("\n".join(dict.fromkeys(problems)))
    _require_different(cells)
    return cells


def _parse_vary(option: str) -> tuple[str, list[str]]:
    """Return key and values of one option."""
    key, equals, text = option.partition("=")
    key = key.strip()
    values = split_values(text)
    if not equals or not key or not all(values):
        raise RecipeError(f"--vary {option!r}: {FORM}; an empty value is written null or ''")
    if key == "seed":
        raise RecipeError(f"--vary {option!r}: seeds are given by --seeds {','.join(values)}, and make one row")
    for value in values:
        parse_yaml(value, f"--vary {key}: {value!r}")
    return key, values


def _require_kept(set_keys: Sequence[str], varied: Sequence[str]) -> None:
    """Make sure that no varied key replaces what an option before it has set.

    A value such as ``algorithm=dann`` stands for the method with its own defaults, without what is below the key.

    Raises:
        RecipeError: one does.
    """
    given = [(key, "--set") for key in set_keys] + [(key, "--vary") for key in varied]
    for index, later in enumerate(varied):
        for key, option in given[: len(set_keys) + index]:
            if key == later or key.startswith(f"{later}."):
                leaf = key.removeprefix(later).removeprefix(".")
                inside = f"{later}={{name: ..., {leaf}: ...}}" if leaf else f"{later}=..."
                raise RecipeError(
                    f"{option} {key}: --vary {later} replaces all of {later} and would drop it; "
                    f"put it into the values, --vary '{inside}'"
                )


def _short_keys(keys: Sequence[str]) -> list[str]:
    """Return the last word of each key, or as many of its words as tell it from the others."""
    words = [key.split(".") for key in keys]
    length = [2 if own[-1] == "name" and len(own) > 1 else 1 for own in words]
    while True:
        shorts = [".".join(own[-count:]) for own, count in zip(words, length, strict=True)]
        alike = [
            index for index, short in enumerate(shorts) if shorts.count(short) > 1 and length[index] < len(words[index])
        ]
        if not alike:
            return shorts
        for index in alike:
            length[index] += 1


def _folder_names(combinations: Sequence[Sequence[tuple[str, str]]]) -> list[str]:
    """Return a readable folder name for each combination, with a few letters of a hash where it would be ambiguous."""
    plain = ["_".join(f"{_readable(key)}={_readable(value)}" for key, value in own) for own in combinations]
    alike = Counter(name.casefold() for name in plain)  # some disks do not tell capitals from small letters
    names = []
    for name, own in zip(plain, combinations, strict=True):
        if alike[name.casefold()] > 1 or len(name) > _LONGEST_NAME:
            digest = hashlib.sha256(repr(own).encode()).hexdigest()[:8]
            name = f"{name[:_LONGEST_NAME]}-{digest}"
        names.append(name)
    return names


def _readable(text: str) -> str:
    """Return a text without what means something to a shell or a disk.

    >>> _readable("{name: acn, eta: 0.05}")
    'acn-eta-0.05'
    """
    return re.sub(r"[^\w.+-]+", "-", re.sub(r"\bname:", "", text), flags=re.ASCII).strip("-.")


def _require_different(cells: Sequence[Cell]) -> None:
    seen: dict[str, str] = {}
    for cell in cells:
        text = cell.recipe.to_yaml()
        if text in seen:
            raise RecipeError(f"--vary: {seen[text]} and {cell.name} are the same run; drop one of the two values")
        seen[text] = cell.name
