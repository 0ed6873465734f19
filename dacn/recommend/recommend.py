"""Short runs of a few methods on one pair, as many steps of each as fit into a time, and what they say."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console

from dacn.algorithms import ALGORITHMS
from dacn.compare.comparison import compare
from dacn.compare.grid import Cell
from dacn.data.domain import DomainPair
from dacn.errors import DacnError, RecipeError, did_you_mean
from dacn.recipe.recipe import Recipe, parse_recipe
from dacn.recommend.plan import START, plan_steps
from dacn.recommend.ranking import NOTE, RANKED_BY, Ranked, doubts, rank
from dacn.report.write import write_file
from dacn.run.build import build_algorithm, pair_of, pick_device, with_image_size
from dacn.run.length import Pace, measure_pace, steps_of_passes

METHODS = ("source_only", "fixmatch", "adamatch", "cdan", "mcc")
"""What is tried unless the user says otherwise, with the recipe's own method: the floor, and one of each kind."""
PLAN = "plan.json"
"""In the folder: what the runs were given, so that the same command goes on with them."""


class Recommendation(NamedTuple):
    """What short runs say."""

    ranked: list[Ranked]  # the best first
    doubts: list[str]  # why that may be wrong, beside what is always so
    steps: int  # of each run
    left_out: dict[str, str]  # methods that do not go with the recipe, and why
    failed: dict[str, str]  # runs that failed, and why

    def tree(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "recommended": self.ranked[0].method,
            "ranked_by": RANKED_BY,
            "trustworthy": not self.doubts,
            "doubts": self.doubts,
            "note": NOTE,
            "steps": self.steps,
            "methods": [
                {
                    "method": each.method,
                    "scores": {name: spread._asdict() for name, spread in each.scores.items()},
                    "classes_predicted": each.classes,
                    "target_not_used": each.target and each.target._asdict(),
                    "seconds": each.seconds and each.seconds.mean,
                }
                for each in self.ranked
            ],
            "left_out": self.left_out,
            "failed": self.failed,
        }


def recommend(
    recipe: Recipe,
    out: Path,
    *,
    minutes: float,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] = (0, 1),
    device: str = "auto",
    force: bool = False,
    console: Console | None = None,
) -> Recommendation:
    """Run methods for a while on the recipe's pair and rank them by scores that need no target label.

    Network, images, augmentation, optimizer and schedule are the recipe's; each method has its own defaults, and the
    recipe's own method what the recipe says of it.

    Args:
        recipe: what to take all else from.
        out: folder of the runs and of ``recommendation.json``; the same call goes on with what is there.
        minutes: for everything.
        methods: to be tried; None: `METHODS` and the recipe's own, as far as they go with it.
        seeds: of each method.
        device: ``auto``, ``cpu`` or ``cuda``.
        force: begin anew.
        console: where to show progress; by default the standard error output.

    Raises:
        DacnError: a mistake, or a time that is too short; or no run came through.
        Interrupted: stopped; the same call goes on.
    """
    began = time.perf_counter()
    place, pair = pick_device(device), pair_of(recipe)
    start = START + time.perf_counter() - began
    recipe, _ = with_image_size(recipe, pair)
    recipes, left_out = _usable(recipe, pair, methods)
    asked = {"minutes": minutes, "methods": [*recipes], "seeds": [*seeds], "recipe": recipe.to_yaml()}
    whole = recipe.train.steps or steps_of_passes(recipe, build_algorithm(recipe, pair), pair)
    steps = None if force else _planned(out / PLAN, asked)
    if steps is None:
        pair = pair.to(place)
        paces = {name: _pace(each, pair, place, console) for name, each in recipes.items()}
        left = 60 * minutes - (time.perf_counter() - began)
        steps = plan_steps(paces, len(seeds), left, start, whole)
        out.mkdir(parents=True, exist_ok=True)
        write_file(out / PLAN, json.dumps(asked | {"steps": steps}, indent=2) + "\n")
    cells = [
        Cell(f"{name}/seed{seed}", _shortened(each, steps, seed)) for name, each in recipes.items() for seed in seeds
    ]
    rows, failed = compare(cells, out, device=device, force=force, console=console)
    rows = [row for row in rows if row.spread("label_free", RANKED_BY) is not None]  # None: no finite number
    if not rows:
        raise DacnError(f"no run came through: {'; '.join(f'{name}: {why}' for name, why in failed.items())}")
    fewer, count = pair.fewer_classes, len(pair.classes)
    ranked = rank(rows, count, fewer_classes=fewer)
    reasons = doubts(ranked, count, fewer_classes=fewer)
    if steps < whole / 5:
        reasons.append(f"short: {steps:,} steps of the recipe's {whole:,}; what starts slowly looks bad")
    result = Recommendation(ranked, reasons, steps, left_out, failed)
    write_file(out / "recommendation.json", json.dumps(result.tree(), indent=2) + "\n")
    return result


def _usable(
    recipe: Recipe, pair: DomainPair, methods: Sequence[str] | None
) -> tuple[dict[str, Recipe], dict[str, str]]:
    """Return the recipes of the methods that go with pair and network, and why others do not.

    Raises:
        RecipeError: a method that was asked for is none, or does not go with them.
    """
    own = recipe.algorithm.name
    usable: dict[str, Recipe] = {}
    left_out = {}
    for name in dict.fromkeys(methods or (*METHODS, own)):
        if name not in ALGORITHMS and name != own:
            known = ", ".join(ALGORITHMS)
            raise RecipeError(f"--methods: got {name!r}{did_you_mean(name, ALGORITHMS)}; known: {known}")
        algorithm = recipe.algorithm if name == own else ALGORITHMS[name][1]()
        candidate = recipe.model_copy(update={"algorithm": algorithm})
        try:
            build_algorithm(candidate, pair)
        except RecipeError as error:
            if methods or name == own:
                raise
            left_out[name] = str(error)
        else:
            usable[name] = candidate
    return usable, left_out


def _planned(file: Path, asked: dict[str, Any]) -> int | None:
    """Return the steps of a plan for the very same; None where there is none."""
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
        return int(plan["steps"]) if {key: plan[key] for key in asked} == asked else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _pace(recipe: Recipe, pair: DomainPair, device: torch.device, console: Console | None) -> Pace:
    algorithm = build_algorithm(recipe, pair)
    algorithm.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    pace = measure_pace(recipe, algorithm, pair)
    told = f"{recipe.algorithm.name}: {1000 * pace.step:.0f} ms a step, {pace.evaluation:.1f} s an evaluation"
    (console or Console(stderr=True)).print(told, markup=False, highlight=False)
    return pace


def _shortened(recipe: Recipe, steps: int, seed: int) -> Recipe:
    """Return the recipe for a short run that is evaluated at its end."""
    tree = recipe.model_dump(mode="json")
    tree["seed"] = seed
    tree["train"] |= {"steps": steps, "minutes": None}
    tree["evaluate"] |= {"every": steps, "figures": False}
    return parse_recipe(tree, recipe.name)
