"""The lines that a run prints before its first step: images, steps, device, warnings, expected time."""

import re
from collections.abc import Sequence
from pathlib import Path

from dacn.data.read.resident import memory_note
from dacn.evaluation.validators import SOURCE_ACCURACY
from dacn.models.build import notes_on
from dacn.nn import ContextNorm
from dacn.recipe.recipe import Recipe
from dacn.trainer.memory_estimate import GB, available_memory, estimate_memory
from dacn.trainer.tracking import Tracker
from dacn.trainer.trainer import Trainer


def print_overview(recipe: Recipe, trainer: Trainer, tracker: Tracker, notes: Sequence[str]) -> None:
    """Print the run's images, steps, device, warnings and ``notes``: what was chosen for it."""
    pair, steps = trainer.pair, recipe.train.total_steps - trainer.step
    unlabelled = f" and {len(pair.target):,} unlabelled {pair.target.name}" if trainer.loader.target_batch else ""
    tracker.notice(
        f"{recipe.name}: {len(pair.source):,} labelled {pair.source.name}{unlabelled} images, {steps:,} steps of "
        f"{trainer.loader.images} on {trainer.device}, seed {recipe.seed}"
    )
    for note in notes:
        tracker.notice(note)
    if decoded := memory_note(pair):
        tracker.notice(decoded)
    _tell_memory(recipe, trainer, tracker)
    if pair.class_mean:
        tracker.notice("accuracies are means over classes, not over images (data.class_mean)")
    for note in (*pair.notes, *notes_on(trainer.algorithm.model)):
        tracker.warn(note)
    if pair.leaks:
        tracker.warn(
            f"data.context: {pair.context_kind} is derived from the label: known at test time it tells part of the "
            "answer; the accuracy that counts is that with the context inferred from the image"
        )
    if recipe.evaluate.select == SOURCE_ACCURACY and pair.source_test is None:
        tracker.warn(
            "evaluate.select: source_accuracy is taken over the source's training images, which training fits in any "
            "case; give data.source_test, or select by mutual_information"
        )
    if pair.oracle:
        tracker.warn("data.oracle: trained on the target's own labels; an upper bound, not adaptation")


def _tell_memory(recipe: Recipe, trainer: Trainer, tracker: Tracker) -> None:
    """Print what a step will take of the device's memory where that is much, and warn where it is more than is free."""
    views = (1 + trainer.algorithm.uses_strong) * trainer.loader.images // recipe.train.micro_batches
    height, width = trainer.pair.source.images.shape[-2:]
    needed = estimate_memory(trainer.algorithm, trainer.optimizer, (height, width), views, bf16=trainer.bf16)
    if needed.total < GB:
        return
    told = (
        f"about {needed.total / GB:.1f} GB of memory beside the images: {needed.weights / GB:.1f} for weights, "
        f"gradients and averages, {needed.activations / GB:.1f} for what {needed.views} views of {height} x {width} "
        "leave for the backward pass"
    )
    free = available_memory(trainer.device)
    if free is None or needed.total <= free:
        tracker.notice(told)
    else:
        tracker.warn(
            f"a step takes {told}, and {free / GB:.1f} GB are free; lower train.source_batch, raise "
            "train.micro_batches, or set train.checkpoint_gradients"
        )


def shorter(faster: Path | None) -> str:
    """Return what to do where a run takes too long; ``faster`` is a smaller recipe, if there is one."""
    if faster is not None:
        return f"{faster} is the recipe for two CPU cores"
    return "give train.minutes in place of train.steps, or use a GPU"


def arrange_charts(tracker: Tracker, trainer: Trainer) -> None:
    """Lay out TensorBoard's *Custom scalars*: what is to be seen together, and nothing that this run does not log."""
    pair, algorithm = trainer.pair, trainer.algorithm
    accuracy = {}
    if pair.target_test is not None:
        accuracy["target data by context (labels only used to report)"] = ["accuracy/target_data/.*"]
    if pair.source_test is not None:
        accuracy["source data by context"] = ["accuracy/source_data/.*"]
    if accuracy:
        both = "(accuracy|raw)/(source_data/source|target_data/target)_.*"
        accuracy["averaged and raw weights, own context"] = [both]
    layout = {"Accuracy": accuracy} if accuracy else {}
    layout["Losses"] = {"all": ["loss.*"]}
    if any(name.rpartition(".")[2] == "p_source" for name, _ in algorithm.named_buffers()):
        layout["p_source against p_target"] = {
            f"class {name}": [f"p_(source|target)/{re.escape(name)}$"] for name in pair.classes[:20]
        }
    if any(isinstance(module, ContextNorm) for module in algorithm.modules()):
        layout["Contexts"] = {
            "distance between them, by layer": ["normalization contexts/apart/.*"],
            "distance from where they began, mean over layers": ["normalization contexts/moved/.*/mean"],
        }
    tracker.chart(layout)
