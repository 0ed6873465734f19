"""A run from start to end: builds what a recipe describes, trains it, evaluates it and writes the results."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from dacn.algorithms.base import Algorithm
from dacn.data.domain import DomainPair
from dacn.data.fingerprint import fingerprints
from dacn.machine.faults import explained
from dacn.nn import processes
from dacn.nn.shared_batch_norm import share_statistics
from dacn.recipe.paths import absolute
from dacn.recipe.recipe import Recipe
from dacn.run.build import build_algorithm, build_trainer, pair_of, pick_device, with_image_size
from dacn.run.classes import with_classes_of_run
from dacn.run.environment import describe_environment
from dacn.run.folder import clear, locked, require_free
from dacn.run.interface import read_interface, require_same_range
from dacn.run.length import with_length, with_stored_length
from dacn.run.origin import Data, require_same_origin
from dacn.run.overview import arrange_charts, print_overview, shorter
from dacn.run.run_figures import write_figures
from dacn.run.summary import final_metrics, settings, summarize
from dacn.run.target_report import report_on_target
from dacn.trainer.checkpoint import has_checkpoint, load_latest
from dacn.trainer.compilation import require_graphs
from dacn.trainer.distributed import joined, rank_folder, require_even_shares, require_shared_statistics, restarted
from dacn.trainer.estimate import Forecast
from dacn.trainer.recorders import require_recorders
from dacn.trainer.tracking import Tracker


def train_recipe(
    recipe: Recipe,
    *,
    out: Path,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    other_data: bool = False,
    faster: Path | None = None,
    pair: DomainPair | None = None,
    command: Sequence[str] = (),
    verbose: bool = False,
) -> dict[str, Any]:
    """Train what ``recipe`` describes and return the content of ``out/summary.json``.

    Args:
        recipe: the whole description of the run.
        out: the run folder; created if need be.
        device: ``auto``, ``cpu`` or ``cuda``.
        resume: continue from ``out/checkpoints/last.pt``, if there is one.
        force: overwrite the run that is in ``out``.
        other_data: continue on images that are not those that it began with.
        faster: a smaller recipe to name if this one will take very long here.
        pair: a pair built in Python, in place of ``recipe.data``.
        command: the command line, for ``environment.json``.
        verbose: print all that each evaluation finds, in place of a few lines.

    Raises:
        DacnError: the recipe, its data or the run failed; the message says which and how to mend it.
    """
    resume = resume or restarted()
    with joined(pick_device(device)) as place, rank_folder(out) as own:
        require_free(own, resume=resume, force=force)
        require_even_shares(recipe.train)
        require_recorders(recipe.tracking)
        recipe = absolute(recipe)
        pair = pair_of(recipe, pair)  # before anything is written: a mistake in the data costs no folder
        recipe, size_note = with_image_size(recipe, pair)
        data, pair = fingerprints(pair), pair.to(place)
        with explained(out):
            goes_on = resume and has_checkpoint(out / "checkpoints" / "last.pt")
            algorithm = build_algorithm(recipe, pair, trained=goes_on)
            require_shared_statistics(algorithm)
            require_graphs(recipe.train, algorithm, place)
            share_statistics(algorithm.model, place)
            algorithm.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
            own.mkdir(parents=True, exist_ok=True)
        with locked(own), explained(out):
            require_free(own, resume=resume, force=force)  # again: another process may have finished here meanwhile
            saved, doubts = None, list[str]()
            if resume:
                recipe, saved, doubts, pair = _load_saved(recipe, data, pair, out, other_data=other_data)
            if force:
                clear(own)
            recipe, length_note = with_length(recipe, algorithm, pair)
            notes = [note for note in (size_note, length_note) if note is not None]
            return _train(
                recipe,
                algorithm,
                pair,
                data,
                own,
                saved,
                doubts,
                notes=notes,
                faster=faster,
                command=command,
                verbose=verbose,
            )


def _load_saved(
    recipe: Recipe, data: Data, pair: DomainPair, out: Path, *, other_data: bool
) -> tuple[Recipe, dict[str, Any] | None, list[str], DomainPair]:
    """Return the recipe with the checkpoint's length, if it leaves it open, the checkpoint to go on from, what to warn
    of, and the pair with its classes; None where there is no checkpoint."""
    last_path = out / "checkpoints" / "last.pt"
    if not has_checkpoint(last_path):
        return recipe, None, [], pair
    saved, damage = load_latest(last_path)
    recipe = with_stored_length(recipe, saved)
    pair = with_classes_of_run(last_path, read_interface(last_path, saved).classes, pair)
    doubts = require_same_origin(last_path, saved, recipe, data, other_data=other_data)
    require_same_range(last_path, saved, pair)
    return recipe, saved, [*([] if damage is None else [damage]), *doubts], pair


def _train(
    recipe: Recipe,
    algorithm: Algorithm,
    pair: DomainPair,
    data: Data,
    out: Path,
    saved: dict[str, Any] | None,
    doubts: list[str],
    *,
    notes: Sequence[str],
    faster: Path | None,
    command: Sequence[str],
    verbose: bool,
) -> dict[str, Any]:
    """Train in a folder that is this process's own."""
    checkpoints = out / "checkpoints"
    start = 0 if saved is None else int(saved["step"])
    _write(out / "recipe.yaml", recipe.to_yaml())
    _write(
        out / "environment.json",
        _as_json(describe_environment(next(algorithm.parameters()).device, recipe.seed, command)),
    )
    console = Console(quiet=not processes.is_first())
    settings_of: Any = {
        "steps": recipe.train.total_steps,
        "start": start,
        "classes": pair.classes,
        "recorders": recipe.tracking if processes.is_first() else (),
    }
    with Tracker(out, console=console, **settings_of) as tracker:
        tracker.text("recipe", f"```yaml\n{recipe.to_yaml()}```")
        trainer = build_trainer(recipe, algorithm, pair, tracker, checkpoints, data)
        arrange_charts(tracker, trainer)
        trainer.verbose = verbose
        for doubt in doubts:
            tracker.warn(doubt)
        if saved is not None:
            trainer.resume(saved)
        print_overview(recipe, trainer, tracker, notes)
        last = trainer.fit(Forecast(tracker, shorter(faster)))
        selected = last
        if trainer.selection.step < trainer.step:
            trainer.load_selected()
            selected = trainer.evaluate()
        unlabelled = report_on_target(trainer, last, selected)
        for text in () if unlabelled is None else unlabelled.warnings:
            tracker.warn(text)
        summary = summarize(recipe, pair, trainer, last, selected, unlabelled, tracker.warnings)
        if processes.is_first():
            if recipe.evaluate.figures:
                write_figures(out, trainer, next(trainer.loader), selected)
            tracker.hyperparameters(settings(recipe), final_metrics(summary))
    _write(out / "summary.json", _as_json(summary))
    return summary


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary name first."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
