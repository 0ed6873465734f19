"""The same run from Python."""

import json
import sys
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dacn.algorithms.base import Algorithm
from dacn.data.domain import DomainPair
from dacn.deploy.loading import load_run
from dacn.deploy.network import Network
from dacn.recipe.recipe import parse_recipe
from dacn.run.run import train_recipe


class TrainedRun(dict[str, Any]):
    """What a run's summary.json holds, and the run itself.

    Args:
        summary: its content.
        folder: of the run.
    """

    def __init__(self, summary: Mapping[str, Any], folder: Path) -> None:
        super().__init__(summary)
        self.folder = folder

    @property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json, as a plain dictionary."""
        return dict(self)

    @cached_property
    def network(self) -> Network:
        """The network that the label-free score chose, ready to predict."""
        return load_run(self.folder)

    def figures(self) -> dict[str, Path]:
        """Return the pictures of the run by their names, such as ``feature_map``."""
        return {file.stem: file for file in sorted((self.folder / "figures").glob("*.png"))}

    @property
    def metrics(self) -> Any:
        """Everything that was logged, a row a logged step: a pandas DataFrame, or a list of dicts without pandas."""
        lines = (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        if find_spec("pandas") is None:
            return rows
        import pandas

        return pandas.DataFrame(rows).set_index("step")


def train(
    pair: DomainPair,
    *,
    algorithm: str | Mapping[str, Any] | type[Algorithm] = "adamatch",
    model: Mapping[str, Any] | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    **sections: Mapping[str, Any],
) -> TrainedRun:
    """Train a network for a pair and return what summary.json holds, with network, metrics and figures at hand.

    Args:
        pair: the images.
        algorithm: a name, or a mapping with options, as in a recipe; or a class of yours, also as ``python`` in such
            a mapping.
        model: backbone, input_norm and norm, as in a recipe.
        steps: length of training; by default as in a recipe: 200 passes over the target, on a CPU at most 20 minutes.
        minutes: how long it may take, in place of ``steps``.
        seed: of everything random.
        out: the run folder; by default ``runs/<pair>-seed<seed>``.
        device: ``auto``, ``cpu`` or ``cuda``.
        resume: continue from the folder's last checkpoint.
        force: overwrite the run that is in the folder.
        sections: any other part of a recipe (augment, train, optimizer, schedule, evaluate).

    Raises:
        DacnError: a value that does not hold, or a run that failed.
    """
    length = {"steps": steps, "minutes": minutes}
    tree = {
        **sections,
        "name": pair.name,
        "seed": seed,
        "algorithm": algorithm,
        "model": model or {},
        "train": {**sections.get("train", {}), **{key: value for key, value in length.items() if value is not None}},
    }
    recipe = parse_recipe(tree, "dacn.train")
    folder = Path(out) if out is not None else Path("runs") / f"{pair.name}-seed{seed}"
    settings: Any = {"device": device, "resume": resume, "force": force}
    return TrainedRun(train_recipe(recipe, out=folder, pair=pair, command=sys.argv, **settings), folder)
