"""A run: what a recipe describes is built, trained, judged and written down."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from dacn.algorithms import ALGORITHMS
from dacn.algorithms.base import Algorithm
from dacn.algorithms.context_learner import ContextLearner
from dacn.data.augment import Augment
from dacn.data.domain import DomainPair
from dacn.data.loader import DomainLoader
from dacn.data.pairs import build_pair
from dacn.data.residence import memory_note
from dacn.errors import DataError, RecipeError
from dacn.evaluation.matrix import evaluate, per_class
from dacn.evaluation.validators import SOURCE_ACCURACY
from dacn.faults import explained
from dacn.gallery import hang
from dacn.interface import interface_of
from dacn.models.build import build_model, require_image_size
from dacn.models.context_net import ContextClassifier
from dacn.nn import processes
from dacn.nn.shared_batch_norm import share_statistics
from dacn.recipe import Recipe, load_recipe
from dacn.run_folder import claim, clear, locked, origin_of, require_same_network, require_same_origin
from dacn.summary import describe_contexts, final_metrics, settings, summarize
from dacn.tracking import Tracker
from dacn.trainer.checkpoint import load_checkpoint, load_latest, previous_of
from dacn.trainer.distributed import desk, joined, require_even_shares, require_shared_statistics, restarted
from dacn.trainer.estimate import estimate_seconds, in_words
from dacn.trainer.optimizer import build_optimizer
from dacn.trainer.schedule import build_schedule
from dacn.trainer.trainer import Trainer

LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn", "pydantic")
LONG_SECONDS = 2 * 3600.0  # a run on a CPU that takes longer than this is announced


def train_recipe(
    recipe: Recipe,
    *,
    out: Path,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    faster: Path | None = None,
    pair: DomainPair | None = None,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Train what ``recipe`` describes and return the content of ``out/summary.json``.

    Args:
        recipe: the whole description of the run.
        out: the run folder; created if need be.
        device: ``auto``, ``cpu`` or ``cuda``.
        resume: continue from ``out/checkpoints/last.pt``, if there is one.
        force: overwrite the run that is in ``out``.
        faster: a smaller recipe to name if this one will take very long here.
        pair: a pair built in Python, in place of ``recipe.data``.
        command: the command line, for ``environment.json``.

    Raises:
        DacnError: the recipe, its data or the run failed; the message says which and how to mend it.
    """
    resume = resume or restarted()
    with joined(pick_device(device)) as place, desk(out) as own:
        claim(own, resume=resume, force=force)
        require_even_shares(recipe.train)
        pair = _pair_of(recipe, pair).to(place)  # before anything is written: a mistake in the data costs no folder
        with explained(out):
            algorithm = build_algorithm(recipe, pair)
            require_shared_statistics(algorithm)
            share_statistics(algorithm.model, place)
            algorithm.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
            own.mkdir(parents=True, exist_ok=True)
        with locked(own), explained(out):
            claim(own, resume=resume, force=force)  # again: another process may have finished here meanwhile
            saved, damage = _saved(recipe, out) if resume else (None, None)
            if force:
                clear(own)
            return _train(recipe, algorithm, pair, own, saved, damage, faster=faster, command=command)


def _saved(recipe: Recipe, out: Path) -> tuple[dict[str, Any] | None, str | None]:
    """Return the checkpoint to go on from and what to warn of; None where there is none yet."""
    last_path = out / "checkpoints" / "last.pt"
    if not last_path.exists() and not previous_of(last_path).exists():
        return None, None
    saved, damage = load_latest(last_path)
    require_same_origin(last_path, saved, recipe)
    return saved, damage


def _train(
    recipe: Recipe,
    algorithm: Algorithm,
    pair: DomainPair,
    out: Path,
    saved: dict[str, Any] | None,
    damage: str | None,
    *,
    faster: Path | None,
    command: Sequence[str],
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
    with Tracker(out, steps=recipe.train.steps, start=start, console=console) as tracker:
        tracker.text("recipe", f"```yaml\n{recipe.to_yaml()}```")
        _arrange(tracker, pair)
        trainer = build_trainer(recipe, algorithm, pair, tracker, checkpoints)
        if damage is not None:
            tracker.warn(damage)
        if saved is not None:
            trainer.resume(saved)
        _announce(recipe, trainer, tracker, faster)
        last = trainer.fit()
        selected = last
        if trainer.selection.step < trainer.step:
            trainer.load_selected()
            selected = trainer.evaluate()
        summary = summarize(recipe, pair, trainer, last, selected, tracker.warnings)
        if processes.is_first():
            hang(out, trainer, next(trainer.loader), selected)
            tracker.hyperparameters(settings(recipe), final_metrics(summary))
    _write(out / "summary.json", _as_json(summary))
    return summary


def evaluate_run(run: Path, checkpoint: str = "selected", device: str = "auto") -> dict[str, Any]:
    """Evaluate a finished or interrupted run on its test sets.

    Args:
        run: the run folder.
        checkpoint: ``last`` or ``selected``.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DataError: there is no such run or checkpoint.
    """
    if not (run / "recipe.yaml").is_file():
        raise DataError(f"{run}: not a run folder, it has no recipe.yaml; `dacn train` writes one")
    place = pick_device(device)
    saved = load_checkpoint(run / "checkpoints" / f"{checkpoint}.pt")
    recipe = load_recipe(run / "recipe.yaml")
    require_same_network(run / "checkpoints" / f"{checkpoint}.pt", saved, recipe)
    pair = _pair_of(recipe, None).to(place)
    algorithm = build_algorithm(recipe, pair).to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    algorithm.model.load_state_dict(saved["model"])
    result = evaluate(algorithm.model, pair, uses_target=algorithm.uses_target, batch_size=recipe.evaluate.batch_size)
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "checkpoint": checkpoint,
        "step": saved["step"],
        "source": result.source,
        "target": result.target,
        "matrix": result.matrix,
        "label_free": result.scores,
        "per_class": per_class(result, pair),
        "contexts": describe_contexts(pair, result),
    }


def pick_device(name: str) -> torch.device:
    """Return the device that ``auto``, ``cpu`` or ``cuda`` means here."""
    if name == "cuda" and not torch.cuda.is_available():
        raise RecipeError("--device cuda: torch sees no GPU here; use --device cpu or auto")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def build_algorithm(recipe: Recipe, pair: DomainPair) -> Algorithm:
    """Return the recipe's algorithm and its network, initialized from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    algorithm_class, _ = ALGORITHMS[recipe.algorithm.name]
    context_net = pair.context_net
    if context_net is None and not pair.by_domain:
        context_net = ContextClassifier(pair.num_contexts)
    model = build_model(recipe.model, len(pair.classes), pair.num_contexts, context_net)
    require_image_size(model, *pair.source.images.shape[-2:])
    algorithm = algorithm_class(recipe.algorithm, model, len(pair.classes))
    _require_contexts(algorithm, recipe, pair)
    return ContextLearner(algorithm) if isinstance(context_net, ContextClassifier) else algorithm


def _require_contexts(algorithm: Algorithm, recipe: Recipe, pair: DomainPair) -> None:
    """Make sure that the contexts are such as the method needs.

    Raises:
        RecipeError: it works between domains and there is one, or a context is something else; or it looks at
            unlabelled images, which have no context that is derived from a label.
    """
    name = recipe.algorithm.name
    if algorithm.between_domains and (pair.num_contexts < 2 or not pair.by_domain):
        what = f"{pair.name} is one" if pair.by_domain else f"data.context is {pair.context_kind}"
        raise RecipeError(
            f"algorithm.name: {name} works between two domains, and {what}; "
            "give data.source and data.target, or another algorithm"
        )
    if algorithm.uses_target and not pair.by_domain and pair.target.context is None:
        raise RecipeError(
            f"data.context: {pair.context_kind} is derived from labels, and the unlabelled images that {name} learns "
            "from have none; use cluster or domain, or algorithm: supervised"
        )


def build_trainer(
    recipe: Recipe, algorithm: Algorithm, pair: DomainPair, tracker: Tracker, checkpoints: Path
) -> Trainer:
    """Return the recipe's trainer, ready for the first step."""
    loader = DomainLoader(
        pair,
        Augment(recipe.augment, flips=pair.flips),
        source_batch=recipe.train.source_batch,
        target_batch=recipe.train.target_batch if algorithm.uses_target else 0,
        strong=algorithm.uses_strong,
        generator=torch.Generator().manual_seed(recipe.seed),
        device=next(algorithm.parameters()).device,
    )
    optimizer = build_optimizer(recipe.optimizer, algorithm)
    schedule = build_schedule(recipe.schedule, optimizer, recipe.train.steps)
    return Trainer(
        algorithm,
        pair,
        loader,
        optimizer,
        schedule,
        config=recipe.train,
        evaluation=recipe.evaluate,
        tracker=tracker,
        checkpoints=checkpoints,
        origin=origin_of(recipe),
        network=interface_of(pair, algorithm.model, uses_target=algorithm.uses_target).model_dump(mode="json"),
    )


def describe_environment(device: torch.device, seed: int, command: Sequence[str]) -> dict[str, Any]:
    """Return what a run depended on besides its recipe: versions, device, command line and seed."""
    on_gpu = device.type == "cuda"
    return {
        "dacn": version("dacn"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "device": torch.cuda.get_device_name(device) if on_gpu else f"{platform.processor() or platform.machine()} CPU",
        "threads": torch.get_num_threads(),
        "command": list(command),
        "seed": seed,
    }


def _pair_of(recipe: Recipe, pair: DomainPair | None) -> DomainPair:
    if pair is not None:
        return pair
    if recipe.data is None:
        raise RecipeError(
            "data: missing; this recipe's pair was built in Python: name a data.pair, or source and target"
        )
    return build_pair(recipe.data)


def _announce(recipe: Recipe, trainer: Trainer, tracker: Tracker, faster: Path | None) -> None:
    """Say what is at hand and, on a CPU, how long it will take if that is very long."""
    pair, steps = trainer.pair, recipe.train.steps - trainer.step
    unlabelled = f" and {len(pair.target):,} unlabelled {pair.target.name}" if trainer.loader.target_batch else ""
    tracker.notice(
        f"{recipe.name}: {len(pair.source):,} labelled {pair.source.name}{unlabelled} images, {steps:,} steps of "
        f"{trainer.loader.images} on {trainer.device}, seed {recipe.seed}"
    )
    if decoded := memory_note(pair):
        tracker.notice(decoded)
    for note in pair.notes:
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
    if trainer.device.type == "cpu":
        size = pair.source.images.shape[-1]
        seconds = estimate_seconds(trainer.algorithm.model, size, 2 * trainer.loader.images * steps)
        if seconds > LONG_SECONDS:
            hint = f"; {faster} is the recipe for two CPU cores" if faster else "; lower train.steps, or use a GPU"
            tracker.warn(f"this will take about {in_words(seconds)} on this CPU{hint}")


def _arrange(tracker: Tracker, pair: DomainPair) -> None:
    """Lay out TensorBoard's *Custom scalars*: what is to be seen together."""
    tracker.chart(
        {
            "Accuracy": {
                "target data by context (labels only used to report)": ["accuracy/target_data/.*"],
                "source data by context": ["accuracy/source_data/.*"],
                "averaged and raw weights, own context": ["(accuracy|raw)/(source_data/source|target_data/target)_.*"],
            },
            "Losses": {"all": ["loss.*"]},
            "p_source against p_target": {
                f"class {name}": [f"p_(source|target)/{k}$"] for k, name in enumerate(pair.classes[:20])
            },
            "Contexts": {
                "distance between them, by layer": ["contexts/apart/.*"],
                "distance from where they began, mean over layers": ["contexts/moved/.*/mean"],
            },
        }
    )


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary name first."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
