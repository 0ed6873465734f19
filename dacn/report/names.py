"""Names for the rows of a report: the recipe's name, and the keys in which recipes of one name differ."""

from collections.abc import Sequence
from typing import Any

import yaml

from dacn.recipe.paths import tree_without_paths
from dacn.report.runs import Run

Tree = dict[str, Any]


def row_names(recipes: Sequence[Tree]) -> list[str]:
    """Return a name for each recipe: its own, and the keys in which it differs from the others of the same name.

    Args:
        recipes: resolved recipes as plain values, each with its ``name``.

    >>> row_names([{"name": "a", "model": {"norm": {"name": "bn"}}}, {"name": "a", "model": {"norm": {"name": "cn"}}}])
    ['a: model.norm=bn', 'a: model.norm=cn']
    >>> row_names([{"name": "a", "lr": 1}, {"name": "b", "lr": 2}])
    ['a', 'b']
    """
    parts: list[list[str]] = [[] for _ in recipes]
    for name in dict.fromkeys(str(recipe["name"]) for recipe in recipes):
        rows = [row for row, recipe in enumerate(recipes) if str(recipe["name"]) == name]
        alike = [{key: value for key, value in recipes[row].items() if key not in ("name", "seed")} for row in rows]
        for row, differing in zip(rows, differences(alike), strict=True):
            parts[row] = differing
    return [
        f"{recipe['name']}: {' '.join(own)}" if own else str(recipe["name"])
        for recipe, own in zip(recipes, parts, strict=True)
    ]


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run that no other run has.

    It is made of the keys in which their recipes differ. Where the images lie is one of them only if a single path
    tells them apart; runs that differ in more of them, or in their images alone, go by their folders.
    """
    recipes = [{**run.recipe, "name": run.name} for run in runs]
    names = row_names([tree_without_paths(recipe) for recipe in recipes])
    for name in {name for name in names if names.count(name) > 1}:
        rows = [row for row, other in enumerate(names) if other == name]
        paths = differences([recipes[row].get("data") for row in rows], "data")
        single = all(len(own) == 1 for own in paths) and len({own[0] for own in paths}) == len(rows)
        for row, own in zip(rows, paths, strict=True):
            names[row] = f"{name}{'' if ': ' in name else ':'} {own[0]}" if single else f"{name} ({runs[row].folder})"
    return names


def differences(values: Sequence[Any], key: str = "") -> list[list[str]]:
    """Return for each value ``key=value`` of the keys that are not the same in all of them.

    Options of a choice, such as a norm's, are compared among those of the same choice only, and a key that some lack
    among those that have it.

    Args:
        values: plain values, nested.
        key: path of the key at which they stand.
    """
    if all(value == values[0] for value in values):
        return [[] for _ in values]
    if not all(isinstance(value, dict) for value in values):
        return [[f"{key}={on_one_line(value)}"] for value in values]
    names = [value.get("name") for value in values]
    if key and any(name != names[0] for name in names):
        parts = [[f"{key}={on_one_line(name)}"] for name in names]
        for name in dict.fromkeys(names):
            rows = [row for row, other in enumerate(names) if other == name]
            for row, own in zip(rows, differences([values[row] for row in rows], key), strict=True):
                parts[row] += own
        return parts
    parts = [[] for _ in values]
    for sub in dict.fromkeys(sub for value in values for sub in value):
        rows = [row for row, value in enumerate(values) if sub in value]  # an older dacn may not have known the key
        below = differences([values[row][sub] for row in rows], f"{key}.{sub}" if key else sub)
        for row, more in zip(rows, below, strict=True):
            parts[row] += more
    return parts


def on_one_line(value: Any) -> str:
    """Return a plain value on one line, as YAML has it.

    >>> on_one_line("bn"), on_one_line(None), on_one_line([1, 2.5]), on_one_line({"folder": "a b"})
    ('bn', 'null', '[1, 2.5]', '{folder: a b}')
    """
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
