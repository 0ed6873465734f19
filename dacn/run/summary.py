"""The results of a finished run: the content of summary.json."""

from collections.abc import Iterator
from typing import Any

from dacn.data.domain import DomainPair
from dacn.evaluation.matrix import Evaluation
from dacn.evaluation.per_class import macro, per_class
from dacn.evaluation.unlabelled import TargetReport
from dacn.recipe.recipe import Recipe
from dacn.trainer.observe import calibration
from dacn.trainer.trainer import Trainer


def summarize(
    recipe: Recipe,
    pair: DomainPair,
    trainer: Trainer,
    last: Evaluation,
    selected: Evaluation,
    unlabelled: TargetReport | None,
    warnings: list[str],
) -> dict[str, Any]:
    """Return the content of summary.json.

    Accuracies are percentages on the test sets, by the averaged network; those of a domain without a labelled test set
    are None. Matrices, label-free scores, calibration errors and per-class numbers are the selected checkpoint's, the
    raw matrix that of its weights before averaging, on up to 2,000 images of each test set. ``seconds`` are those of
    training, evaluations and checkpoints together. The oracle is the best target accuracy of any evaluation, the gap
    what the selected one lacks to it; ``validators`` tells what each label-free score would have chosen. These use
    the target's test labels, and nothing was chosen by them. ``data`` tells by a fingerprint which images these were.

    Args:
        recipe, pair, trainer: the run.
        last, selected: evaluations of the last and of the selected checkpoint.
        unlabelled: what target images tell without labels.
        warnings: what the user was told.
    """
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "data": trainer.origin.get("data"),
        "steps": trainer.step,
        "selected_step": trainer.selection.step,
        "seconds": round(trainer.seconds, 3),
        "training_seconds": round(trainer.training_seconds, 3),
        "evaluation_seconds": round(trainer.evaluation_seconds, 3),
        "images_per_second": round(trainer.step * trainer.loader.images / trainer.training_seconds, 1),
        **{name: round(total, 3) for name, total in trainer.em.items()},
        "source": {"last": last.source, "selected": selected.source},
        "target": {
            "last": last.target,
            "selected": selected.target,
            "oracle": trainer.selection.oracle,
            "gap": _gap(trainer, selected),
        },
        "accuracy_is": "mean over classes" if pair.class_mean else "over images",
        "matrix": selected.matrix,
        "raw_matrix": trainer.selection.raw_matrix,
        "select": recipe.evaluate.select,
        "label_free": selected.scores,
        "unlabelled": None if unlabelled is None else unlabelled.to_json(),
        "source_accuracy_of": "source training images" if selected.source is None else "source test set",
        "validators": trainer.selection.choices,
        "ece": calibration(selected, pair),
        "per_class": per_class(selected, pair),
        "macro": macro(selected, pair),
        "contexts": describe_contexts(pair, selected),
        "updates_to": {f"{accuracy:g}": step for accuracy, step in trainer.selection.updates_to.items()},
        "warnings": warnings,
    }


def describe_contexts(pair: DomainPair, evaluation: Evaluation) -> dict[str, Any]:
    """Return what a context is, and the accuracies with it known, inferred and unknown where it is not the domain."""
    return {"kind": pair.context_kind, "names": list(pair.contexts), "leaks": pair.leaks} | evaluation.modes


def _gap(trainer: Trainer, selected: Evaluation) -> float | None:
    """Return by how many points the oracle is better than the selected checkpoint."""
    oracle = trainer.selection.oracle
    return None if oracle is None or selected.target is None else oracle - selected.target


ALWAYS = ("algorithm.name", "model.backbone.name", "model.norm.name", "model.input_norm.name", "train.steps", "seed")
"""Settings by which runs are told apart even where they are the defaults."""


def settings(recipe: Recipe) -> dict[str, object]:
    """Return the values by key path by which a run is told from others: those that are no defaults, and `ALWAYS`.

    >>> settings(Recipe(seed=3))["seed"], "optimizer.lr" in settings(Recipe())
    (3, False)
    """
    plain = dict(_leaves(Recipe().model_dump(mode="json"), ""))
    own = dict(_leaves(recipe.model_dump(mode="json"), ""))
    nothing = object()
    return {
        key: value
        for key, value in own.items()
        if key in ALWAYS or (value != plain.get(key, nothing) and value is not None and not key.startswith("data."))
    } | ({"data.pair": recipe.data.pair} if recipe.data is not None and recipe.data.pair is not None else {})


def final_metrics(summary: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a summary that runs are compared by; those that it lacks are left out."""
    metrics = {
        "final/target_selected": summary["target"]["selected"],
        "final/target_last": summary["target"]["last"],
        "final/source_selected": summary["source"]["selected"],
        **{f"final/{name}": score for name, score in summary["label_free"].items()},
        "final/gap to the oracle (not used)": summary["target"]["gap"],
    }
    return {name: value for name, value in metrics.items() if value is not None}


def _leaves(tree: dict[str, Any], path: str) -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
