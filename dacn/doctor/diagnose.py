"""All checks on one recipe."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from dacn.algorithms.base import Algorithm
from dacn.data.domain import DomainPair
from dacn.data.pair.pairs import build_pair
from dacn.deploy.export import missing_packages
from dacn.doctor.data_checks import DATA_CHECKS
from dacn.doctor.finding import Finding, error, warning
from dacn.doctor.length_check import LENGTH_CHECKS
from dacn.doctor.made_up_pair import made_up_pair, made_up_recipe
from dacn.doctor.made_up_pair_checks import MADE_UP_PAIR_CHECKS
from dacn.doctor.recipe_checks import RECIPE_CHECKS
from dacn.doctor.training_checks import TRAINING_CHECKS
from dacn.doctor.trial import PATIENCE, trainer_of, try_steps, with_affordable_batches
from dacn.errors import DacnError, DataError, RecipeError
from dacn.models.build import build_model
from dacn.models.pretrained.config import PretrainedConfig
from dacn.recipe.recipe import Recipe
from dacn.run.build import build_algorithm, with_image_size
from dacn.run.length import with_length
from dacn.trainer.estimate import at_a_step, in_words

CHECKS = (*RECIPE_CHECKS, *DATA_CHECKS, *MADE_UP_PAIR_CHECKS, *TRAINING_CHECKS, *LENGTH_CHECKS)
"""Names of all checks."""


@dataclass
class Diagnosis:
    """What the checks found.

    Args:
        findings: by check, in the order of the table; errors and warnings.
        done: names of the checks that were made.
        notes: what is good to know about how they were made.
    """

    findings: list[tuple[str, Finding]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self, checks: Mapping[str, Callable[..., Iterator[Finding]]], *what: Any) -> None:
        """Make some checks. Code that is broken may raise anything in one, and that is a finding too.

        Raises:
            DacnError: a user's mistake.
        """
        for name, check in checks.items():
            try:
                self.findings += [(name, finding) for finding in check(*what)]
            except DacnError:
                raise
            except Exception as problem:
                what_happened = f"the check fails: {type(problem).__name__}: {problem}"
                self.findings.append(
                    (name, error(what_happened, "training would fail as well", "data", "see the message"))
                )
            self.done.append(name)

    @property
    def failed(self) -> bool:
        """Whether the run would surely fail."""
        return any(finding.severity == "error" for _, finding in self.findings)


def diagnose(
    recipe: Recipe,
    pair: DomainPair | None = None,
    *,
    steps: int = 20,
    device: torch.device | None = None,
    patience: float = PATIENCE,
) -> Diagnosis:
    """Make all checks; without the recipe's images, those that need none.

    Args:
        recipe: what would be trained.
        pair: its images; by default those that ``recipe.data`` names. Nothing is downloaded.
        steps: of training that are tried, on a copy.
        device: where; by default the CPU.
        patience: see `dacn.doctor.trial.PATIENCE`.

    Raises:
        RecipeError: the recipe's parts do not go together.
    """
    with torch.random.fork_rng():  # the caller's random numbers stay as they are
        return _diagnose(recipe, pair, steps, device or torch.device("cpu"), patience)


def _diagnose(recipe: Recipe, pair: DomainPair | None, steps: int, place: torch.device, patience: float) -> Diagnosis:
    diagnosis = Diagnosis()
    if (told := missing_packages("onnx")) is not None:  # better known before training than after
        diagnosis.notes.append(f"dacn export {told}")
    if pair is None:
        try:
            pair = _pair_of(recipe)
        except DataError as missing:
            _require_backbone(recipe)
            diagnosis.run(RECIPE_CHECKS if recipe.train.steps is not None else {}, recipe)
            diagnosis.findings.append(("data", _missing(recipe, missing)))
            diagnosis.notes.append("Without the images only the checks of the recipe itself were made.")
            return diagnosis
    recipe, size_note = with_image_size(recipe, pair)
    algorithm = build_algorithm(recipe, pair)  # its mistakes are the user's, and end this here
    recipe, length_note = _with_length(recipe, algorithm, pair, place)
    diagnosis.notes += [note for note in (size_note, length_note) if note is not None]
    diagnosis.run(RECIPE_CHECKS, recipe)
    diagnosis.run(DATA_CHECKS, recipe, pair)
    like = made_up_pair(pair)
    with trainer_of(made_up_recipe(recipe, pair), like, place) as trainer:
        diagnosis.run(MADE_UP_PAIR_CHECKS, recipe, trainer)
    smaller = recipe if place.type != "cpu" else with_affordable_batches(recipe, algorithm, pair, steps, patience)
    if smaller is not recipe:
        diagnosis.notes.append(
            f"{steps} steps were tried with {smaller.train.source_batch} + {smaller.train.target_batch} images each: "
            f"with the recipe's {recipe.train.source_batch} + {recipe.train.target_batch} the trial itself would take "
            f"more than {in_words(patience)}."
        )
    with trainer_of(smaller, pair, place) as trainer:
        trial = try_steps(trainer, pair, steps)
    diagnosis.run(TRAINING_CHECKS, recipe, trial)
    pace = (trial.step_seconds or 0.0) * recipe.train.images / smaller.train.images
    diagnosis.run(LENGTH_CHECKS, recipe, pace, place)
    if trial.step_seconds is not None and length_note is None:
        diagnosis.notes.append(
            f"Training will take about {in_words(pace * recipe.train.total_steps)}: "
            f"{recipe.train.total_steps:,} steps at {at_a_step(pace)}, as measured."
        )
    return diagnosis


def _with_length(
    recipe: Recipe, algorithm: Algorithm, pair: DomainPair, place: torch.device
) -> tuple[Recipe, str | None]:
    if recipe.train.steps is not None:
        return recipe, None
    there = copy.deepcopy(algorithm).to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return with_length(recipe, there, pair.to(place))


def _require_backbone(recipe: Recipe) -> None:
    """Build a backbone from elsewhere, which needs no images; weights are read from a file and not downloaded.

    Raises:
        DacnError: it cannot be built; the message says why.
    """
    config = recipe.model
    if isinstance(config.backbone, PretrainedConfig):
        build_model(config, 2, 2, weights=config.backbone.pretrained is not True)


def _pair_of(recipe: Recipe) -> DomainPair:
    if recipe.data is None:
        raise RecipeError("data: missing; name a data.pair, or source and target")
    return build_pair(recipe.data.model_copy(update={"download": False}))


def _missing(recipe: Recipe, missing: DataError) -> Finding:
    """Return the finding that images are absent: no error where the run would fetch them."""
    assert recipe.data is not None
    if recipe.data.download:
        return warning(
            str(missing),
            "the run would try to fetch what is absent; until then it is not checked",
            "data.root",
            "as is",
        )
    return error(str(missing), "the run would stop before its first step", "data", "see the message")
