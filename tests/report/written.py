"""Run folders as a run leaves them, with numbers of one's choice."""

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from dacn.evaluation.figures import save
from dacn.recipe.yaml import to_yaml

RECIPE: dict[str, Any] = {
    "name": "trial",
    "data": {"pair": "digits"},
    "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": {"name": "bn", "momentum": 0.1}},
    "train": {"steps": 20},
}

SEEN = {"source": "a", "target": "b", "target_test": "c"}


def write_run(
    folder: Path,
    seed: int = 0,
    target: float | None = 90.0,
    *,
    finished: bool = True,
    seen: dict[str, str] | None = SEEN,
    **recipe: Any,
) -> Path:
    """Write a run's folder.

    Args:
        folder, seed: where, and which.
        target: its selected accuracy; the last one is a point below, the oracle above.
        finished: whether there is a summary.
        seen: digest of the images of each part; None: as before runs said so.
        recipe: parts of the recipe in place of `RECIPE`'s.
    """
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(to_yaml({"seed": seed} | RECIPE | recipe))
    if not finished:
        return folder
    summary = {
        "recipe": "trial",
        "seed": seed,
        "steps": 20,
        "selected_step": 10,
        "seconds": 30.0 + seed,
        "images_per_second": 100.0,
        "source": {"last": 98.0, "selected": 99.0},
        "target": dict.fromkeys(("last", "selected", "oracle")),
        "matrix": {"source_data/source_context": 99.0, "target_data/source_context": None},
        "label_free": {"mutual_information": 2.0},
        "per_class": {},
        "contexts": {"kind": "domain", "names": ["source", "target"], "leaks": False},
        "data": seen and {key: {"images": 8, "digest": digest} for key, digest in seen.items()},
        "warnings": ["this one was slow"] if seed == 1 else [],
    }
    if target is not None:
        summary["target"] = {"last": target - 1, "selected": target, "oracle": target + 1}
        summary["matrix"] |= {"target_data/target_context": target, "target_data/unknown_context": target - 2}
    (folder / "summary.json").write_text(json.dumps(summary))
    accuracy = "accuracy/target_data/target_context"
    rows = [{"step": step, "label_free/mutual_information": step / 10, accuracy: 50.0 + step} for step in (10, 20)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    environment = {"dacn": "0.1.0", "device": "x86 CPU", "threads": 2, "command": ["dacn", "train", "trial.yaml"]}
    (folder / "environment.json").write_text(json.dumps(environment | {"libraries": {"torch": "2.8.0"}}))
    figure = Figure(figsize=(3, 2))
    figure.text(0.1, 0.5, f"curves of seed {seed}")
    save(figure, folder / "figures" / "curves.png")
    return folder


def norm(name: str, **options: Any) -> dict[str, Any]:
    """Return the model part of a recipe with this norm."""
    return {"model": RECIPE["model"] | {"norm": {"name": name, **options}}}
