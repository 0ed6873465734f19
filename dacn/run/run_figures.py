"""The figures of a finished run: PNG files in its folder, and the same in TensorBoard."""

import json
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from dacn.batch import Batch
from dacn.data.domain import DomainPair
from dacn.data.read.images import select
from dacn.evaluation import figures
from dacn.evaluation.calibration import reliability
from dacn.evaluation.charts import class_bars, confusion_matrix, reliability_diagram
from dacn.evaluation.curves import curves, validator_curves
from dacn.evaluation.feature_map import feature_map
from dacn.evaluation.features import FeatureSample, sample_features
from dacn.evaluation.grid import thumbnails
from dacn.evaluation.matrix import Evaluation, evenly_spaced
from dacn.evaluation.per_class import per_class
from dacn.trainer.observe import labelled_tests, view_captions
from dacn.trainer.tracking import Tracker
from dacn.trainer.trainer import Trainer

MAPPED = 500
"""Images of each domain in the map of features and in TensorBoard's projector."""

SCALARS = ("curves", "validators")
"""Figures of what TensorBoard shows as scalars."""


def write_figures(out: Path, trainer: Trainer, batch: Batch, selected: Evaluation) -> None:
    """Write the figures of a finished run to ``out/figures``, and show them in TensorBoard.

    Args:
        out: the run folder, with its metrics.jsonl.
        trainer: of the run; its averaged network is the selected checkpoint's.
        batch: one batch as training sees it.
        selected: evaluation of the selected checkpoint.
    """
    for name, figure in run_figures(out / "metrics.jsonl", trainer, batch, selected):
        pixels = figures.save(figure, out / "figures" / f"{name}.png")
        if name not in SCALARS:
            trainer.tracker.images(f"figures/{name}", trainer.step, pixels)
    sample = _sample(trainer)
    if len(sample.features) >= 4 and bool(sample.features.isfinite().all()):
        title = f"{trainer.pair.name}: features, selected checkpoint"
        pixels = figures.save(feature_map(sample, trainer.pair.classes, title), out / "figures" / "feature_map.png")
        trainer.tracker.images("figures/feature_map", trainer.step, pixels)
        _add_to_projector(trainer.tracker, sample, trainer.pair.classes, trainer.step)


def run_figures(metrics: Path, trainer: Trainer, batch: Batch, selected: Evaluation) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of a run, each with its name. Args are those of `write_figures`."""
    pair = trainer.pair
    captions = view_captions(trainer.algorithm, trainer.averaged, batch, pair.classes)
    yield "pair", figures.pair_grid(pair)
    yield "views", figures.views_figure(batch.source, batch.target, captions)
    yield "curves", curves(metrics)
    yield "validators", validator_curves(metrics, trainer.evaluation.select, trainer.selection.step)
    calibrated = {}
    for name, (domain, labels, probabilities) in labelled_tests(selected, pair).items():
        confidence, predicted = probabilities.max(dim=1)
        title = f"{domain.name}: {name} test set, selected checkpoint"
        answers = (domain.images, labels, predicted, confidence, pair.classes)
        yield f"confusion_{name}", confusion_matrix(labels, predicted, pair.classes, title)
        yield f"predictions_{name}", figures.predictions_grid(*answers, title)
        if bool((predicted != labels).any()):
            yield f"mistakes_{name}", figures.mistakes_grid(*answers, f"{title}: surest mistakes")
        calibrated[name] = reliability(probabilities, labels)
    if "target" not in calibrated and selected.unlabelled_probabilities is not None:
        yield "predictions_target", _unlabelled_predictions(pair, selected.unlabelled_probabilities)
    if calibrated:
        yield "reliability", reliability_diagram(calibrated, f"{pair.name}: reliability, selected checkpoint")
    bars = {}
    if marginals := _last_marginals(metrics):
        bars["Class marginals that training ended with, % (p_source, p_target)"] = marginals
    if scores := {name: report["f1"] for name, report in per_class(selected, pair).items()}:
        bars["F1 of the selected checkpoint on the test sets, % (labels only used to report)"] = scores
    if bars:
        yield "classes", class_bars(bars, pair.classes, f"{pair.name}: class by class")


def _unlabelled_predictions(pair: DomainPair, probabilities: Tensor) -> Figure:
    """Show target images without labels, and what the selected checkpoint takes them for."""
    images = select(pair.target.images, evenly_spaced(pair.target, len(probabilities)))
    confidence, predicted = probabilities.max(dim=1)
    title = f"{pair.target.name}: unlabelled, as the selected checkpoint sees them"
    return figures.predictions_grid(images, None, predicted, confidence, pair.classes, title)


def _last_marginals(metrics: Path) -> dict[str, list[float]]:
    """Return the class marginals that training logged last, in percent; nothing where the method keeps none."""
    found: dict[str, list[float]] = {}
    for line in metrics.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for domain in ("source", "target"):
            if isinstance(values := row.get(f"p_{domain}"), list) and None not in values:
                found[domain] = [100 * value for value in values]
    return found


def _sample(trainer: Trainer) -> FeatureSample:
    """Return features of the test sets; of training images where a domain has none."""
    pair = trainer.pair
    source, target = pair.source_test or pair.source, pair.target_test or pair.target
    return sample_features(trainer.averaged, source, target, pair, MAPPED, **trainer.how)


def _add_to_projector(tracker: Tracker, sample: FeatureSample, classes: tuple[str, ...], step: int) -> None:
    """Put the sample into TensorBoard's projector."""
    rows = {
        "domain": ["target" if of_target else "source" for of_target in sample.of_target.tolist()],
        "class": ["unknown" if label < 0 else classes[label] for label in sample.labels.tolist()],
        "predicted": [classes[label] for label in sample.predictions.tolist()],
        "confidence": [f"{confidence:.3f}" for confidence in sample.confidences.tolist()],
    }
    tracker.embedding("features", step, sample.features, rows, thumbnails(sample.images))
