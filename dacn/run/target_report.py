"""Looks at unlabelled target images at the end of a run, with the selected network."""

import torch
from torch import Generator, Tensor

from dacn.data.read.images import fetch
from dacn.evaluation.matrix import Evaluation, deployed_images, evenly_spaced
from dacn.evaluation.unlabelled import (
    TargetReport,
    class_shares,
    collapse,
    fallen,
    signs_of,
    without_effect,
)
from dacn.trainer.trainer import Trainer

EARLY = 0.2
"""Share of training before which the target hardly counts: where the first evaluation is later, nothing is compared."""
VIEWED = 500
"""Of so many target images a weak and a strong view are compared."""


def report_on_target(trainer: Trainer, last: Evaluation, selected: Evaluation) -> TargetReport | None:
    """Return what the selected network makes of the unlabelled target; None of a network whose outputs are not finite.

    Args:
        trainer: of the run; its averaged network is the selected checkpoint's.
        last, selected: evaluations of the last and of the selected checkpoint.
    """
    pair, probabilities = trainer.pair, selected.unlabelled_probabilities
    if probabilities is None or not bool(probabilities.isfinite().all()):
        return None
    assert pair.source.labels is not None  # a pair's source has labels
    predictions = probabilities.argmax(dim=1).cpu()  # (N,)
    predicted, labelled = (class_shares(of, len(pair.classes)) for of in (predictions, pair.source.labels))
    since, unchanged, kept = None, None, None
    if trainer.algorithm.uses_target:
        kept = _kept(trainer, probabilities)
        if trainer.first is not None and trainer.first[0] <= min(EARLY * trainer.step, trainer.selection.step - 1):
            since = trainer.first[0]
            unchanged = 100 * float((torch.tensor(trainer.first[1]) == predictions).double().mean())
    effect = without_effect(kept, unchanged, since) if trainer.algorithm.uses_target else None
    warnings = [] if pair.oracle else [collapse(predicted, labelled, pair.classes), _fallen(trainer, last), effect]
    return TargetReport(
        images=len(predictions),
        predicted=_percent(predicted, pair.classes),
        labelled=_percent(labelled, pair.classes),
        signs=signs_of(probabilities, views_agree(trainer), selected.scores),
        unchanged_since=since,
        unchanged=unchanged,
        kept=kept,
        warnings=[text for text in warnings if text is not None],
    )


@torch.no_grad()
def views_agree(trainer: Trainer) -> float | None:
    """Return the percent of target images whose weak and strong views are given the same class; None without views.

    What is drawn for the views is the same in every run and disturbs no other random number.
    """
    pair, model = trainer.pair, trainer.averaged.eval()
    chosen = evenly_spaced(pair.target, VIEWED)
    _, contexts = deployed_images(model, pair, pair.target, chosen, uses_target=trainer.algorithm.uses_target)
    generator = Generator(trainer.device).manual_seed(0)
    same, size = 0, trainer.evaluation.batch_size
    for start in range(0, len(chosen), size):
        rows = chosen[start : start + size]
        images = fetch(pair.target.training_images, rows).to(trainer.device)
        _, views = trainer.loader.augment.views(images[:0], images, generator)
        context = None if contexts is None else contexts[start : start + size]
        with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.bf16):
            weak, strong = (model(view, context).argmax(dim=1) for view in views)
        same += int((weak == strong).sum())
    return 100 * same / len(chosen)


def _fallen(trainer: Trainer, last: Evaluation) -> str | None:
    selection, select = trainer.selection, trainer.evaluation.select
    name = select if select in last.scores else "mutual_information"
    best, step = selection.choices[name]["score"], selection.choices[name]["step"]
    if best is None or step is None:
        return None
    return fallen(name, last.scores[name], best, int(step), selected=selection.step == step)


def _kept(trainer: Trainer, probabilities: Tensor) -> float | None:
    """Return the share of these images that the method would give a pseudo-label now; None where it gives none."""
    given = trainer.algorithm.pseudo_labels(probabilities)
    return None if given is None else float(given[1].double().mean())


def _percent(shares: Tensor, classes: tuple[str, ...]) -> dict[str, float]:
    return dict(zip(classes, (100 * shares).round(decimals=2).tolist(), strict=True))
