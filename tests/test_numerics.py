"""Degenerate batches through whole runs: no NaN in any weight, or a stop that names the term."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dacn.data.domain import DomainPair
from dacn.errors import NonFiniteLossError
from dacn.recipe.recipe import parse_recipe
from dacn.run.run import train_recipe
from dacn.trainer.trainer import Trainer
from tests import made_up

ALGORITHMS = ["adamatch", "fixmatch", "dann", "source_only", "supervised"]
NORMS = ["acn", {"name": "acn", "fit": "task"}, "acn_base", "cn", "bn", "mn", "acn_latent", "in", "gn", "ln", "none"]
STEPS = 4


def one_colour(pair: DomainPair) -> DomainPair:
    """Black source images and white target images, no two pixels different."""
    source, target = torch.zeros_like(pair.source.images), torch.full_like(pair.target.images, 255)
    return replace(pair, source=replace(pair.source, images=source), target=replace(pair.target, images=target))


def one_class(pair: DomainPair) -> DomainPair:
    assert pair.source.labels is not None
    return replace(pair, source=replace(pair.source, labels=torch.zeros_like(pair.source.labels)))


def absent_context(pair: DomainPair) -> DomainPair:
    """Three contexts, of which the second occurs in no batch."""
    return replace(pair, contexts=("source", "nobody", "target"))


CASES: dict[str, Any] = {
    "one colour": (one_colour, {}),
    "one class": (one_class, {}),
    "absent context": (absent_context, {}),
    "a batch of one": (lambda pair: pair, {"source_batch": 1, "target_ratio": 1}),
    "bf16": (lambda pair: pair, {"precision": "bf16"}),
}


def few(names: list[Any]) -> list[Any]:
    """Each name with one of the cases by default, such that each case has its turn, and the others among the slow."""
    cases = list(CASES)
    return [
        pytest.param(name, case, id=f"{name}-{case}", marks=[] if (k - i) % len(cases) == 0 else pytest.mark.slow)
        for i, name in enumerate(names)
        for k, case in enumerate(cases)
    ]


def run(out: Path, algorithm: str, norm: Any, change: Any, train: dict[str, Any]) -> None:
    tree = {
        "algorithm": algorithm,
        "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": norm},
        "train": {"steps": STEPS, "source_batch": 4, "target_ratio": 2, "ema": 0.9, "log_every": 2, **train},
        "optimizer": {"name": "sgd", "lr": 0.1},
    }
    train_recipe(parse_recipe(tree, "test"), out=out, device="cpu", pair=change(made_up.pair(count=12)))


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for item in below for tensor in tensors(item)]


def assert_finite(out: Path) -> None:
    saved = torch.load(out / "checkpoints" / "last.pt", weights_only=True)
    assert saved["step"] == STEPS
    found = tensors(saved)
    assert len(found) > 20  # weights, averages, optimizer, generators
    assert all(bool(torch.isfinite(tensor).all()) for tensor in found if tensor.is_floating_point())


@pytest.mark.parametrize(("norm", "case"), few(NORMS))
def test_adamatch_with_every_norm(tmp_path: Path, norm: Any, case: str) -> None:
    run(tmp_path, "adamatch", norm, *CASES[case])
    assert_finite(tmp_path)


@pytest.mark.parametrize(("algorithm", "case"), few(ALGORITHMS[1:]))
def test_every_algorithm(tmp_path: Path, algorithm: str, case: str) -> None:
    run(tmp_path, algorithm, "acn", *CASES[case])
    assert_finite(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("norm", NORMS[1:], ids=str)
@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_every_algorithm_with_every_norm(tmp_path: Path, algorithm: str, norm: Any, case: str) -> None:
    stopped = ""
    try:
        run(tmp_path, algorithm, norm, *CASES[case])
        assert_finite(tmp_path)
    except NonFiniteLossError as error:
        stopped = str(error)
    # Channels without any spread may overflow at this learning rate.
    assert not stopped or (case == "one colour" and "is not finite at step" in stopped)


OVERFLOWING = [(algorithm, norm) for algorithm in ALGORITHMS for norm in ("acn", "cn", "bn", "none")]


@pytest.mark.parametrize(
    ("algorithm", "norm"),
    [
        pytest.param(*pair, marks=[] if "acn" in pair or "adamatch" in pair else pytest.mark.slow)
        for pair in OVERFLOWING
    ],
)
def test_overflow_stops_and_names_the_term(
    tmp_path: Path, algorithm: str, norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.train_step

    def overflowing(self: Trainer, batch: Any) -> Any:
        if self.step == 2:  # as half precision does where an activation passes 65504
            nn.init.constant_(self.algorithm.model.head.weight, 3e38)
        return step(self, batch)

    monkeypatch.setattr(Trainer, "train_step", overflowing)
    with pytest.raises(NonFiniteLossError, match=r"^loss\S* is not finite at step 3; the last good checkpoint is kept"):
        run(tmp_path, algorithm, norm, lambda pair: pair, {})
    assert not (tmp_path / "summary.json").exists()


def test_a_step_that_would_spoil_the_weights_leaves_them_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of the last evaluation before the overflow is finite and can be resumed from."""
    tree = {
        "model": {"backbone": {"name": "small_cnn", "width": 4}},
        "train": {"steps": STEPS, "source_batch": 4, "target_ratio": 2},
        "evaluate": {"every": 2},
    }
    step = Trainer.train_step

    def overflowing(self: Trainer, batch: Any) -> Any:
        if self.step == 3:
            nn.init.constant_(self.algorithm.model.head.weight, float("nan"))
        return step(self, batch)

    monkeypatch.setattr(Trainer, "train_step", overflowing)
    recipe = parse_recipe(tree, "test")
    with pytest.raises(NonFiniteLossError):
        train_recipe(recipe, out=tmp_path, device="cpu", pair=made_up.pair(count=12))
    monkeypatch.setattr(Trainer, "train_step", step)
    train_recipe(recipe, out=tmp_path, device="cpu", pair=made_up.pair(count=12), resume=True)
    assert_finite(tmp_path)
