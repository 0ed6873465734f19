"""What remains of a run when it is over: summary.json and the figures."""

from pathlib import Path
from typing import Any

from dacn.batch import Batch
from dacn.data.domain import DomainPair
from dacn.evaluation import figures
from dacn.evaluation.matrix import Evaluation, macro, per_class
from dacn.recipe import Recipe
from dacn.trainer.trainer import Trainer


def summarize(
    recipe: Recipe, pair: DomainPair, trainer: Trainer, last: Evaluation, selected: Evaluation, warnings: list[str]
) -> dict[str, Any]:
    """Return the content of summary.json.

    Accuracies are percentages on the test sets, by the averaged network; those of a domain without a labelled test set
    are None. Matrix, label-free scores and per-class numbers are the selected checkpoint's.

    Args:
        recipe, pair, trainer: the run.
        last, selected: evaluations of the last and of the selected checkpoint.
        warnings: what the user was told.
    """
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "steps": trainer.step,
        "selected_step": trainer.selection.step,
        "seconds": round(trainer.seconds, 3),
        "images_per_second": round(trainer.step * trainer.loader.images / trainer.training_seconds, 1),
        **{name: round(total, 3) for name, total in trainer.em.items()},
        "source": {"last": last.source, "selected": selected.source},
        "target": {"last": last.target, "selected": selected.target, "oracle": trainer.selection.oracle},
        "matrix": selected.matrix,
        "label_free": selected.scores,
        "per_class": per_class(selected, pair),
        "macro": macro(selected, pair),
        "contexts": describe_contexts(pair, selected),
        "updates_to": {f"{accuracy:g}": step for accuracy, step in trainer.selection.updates_to.items()},
        "warnings": warnings,
    }


def describe_contexts(pair: DomainPair, evaluation: Evaluation) -> dict[str, Any]:
    """Return what a context is, and the accuracies with it known, inferred and unknown where it is not the domain."""
    return {"kind": pair.context_kind, "names": list(pair.contexts), "leaks": pair.leaks} | evaluation.modes


def draw_figures(out: Path, pair: DomainPair, batch: Batch, selected: Evaluation) -> None:
    """Write the figures of a finished run to ``out/figures``.

    Args:
        out: the run folder, with its metrics.jsonl.
        pair: what was trained on.
        batch: one batch as training sees it.
        selected: evaluation of the selected checkpoint.
    """
    folder = out / "figures"
    figures.save(figures.pair_grid(pair), folder / "pair.png")
    figures.save(figures.views_figure(batch.source, batch.target), folder / "views.png")
    figures.save(figures.curves(out / "metrics.jsonl"), folder / "curves.png")
    tests = {
        "source": (pair.source_test, selected.source_probabilities),
        "target": (pair.target_test, selected.target_probabilities),
    }
    for name, (domain, probabilities) in tests.items():
        if domain is None or domain.labels is None or probabilities is None:
            continue
        confidence, predicted = probabilities.max(dim=1)
        title = f"{domain.name}: {name} test set, selected checkpoint"
        figures.save(
            figures.confusion_matrix(domain.labels, predicted, pair.classes, title), folder / f"confusion_{name}.png"
        )
        grid = figures.predictions_grid(domain.images, domain.labels, predicted, confidence, pair.classes, title)
        figures.save(grid, folder / f"predictions_{name}.png")
