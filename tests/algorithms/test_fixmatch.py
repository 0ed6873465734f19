"""FixMatch against the method written out in NumPy, and its mask on planted logits."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from dacn.algorithms.fixmatch import FixMatch, FixMatchConfig
from dacn.batch import SOURCE, TARGET, Batch, Views
from dacn.models.build import ModelConfig, build_model
from tests.algorithms.stand_ins import B, D, K, Linear, Planted, T, batch_of, random_batch


def by_hand(batch: Batch, weight: np.ndarray, threshold: float, unlabelled_weight: float) -> dict[str, float]:
    x = np.concatenate([view.numpy() for view in (batch.source.weak, *batch.target)]).reshape(-1, D)
    z = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) @ weight.T
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    source = sum(-math.log(p[i, batch.labels[i]]) for i in range(B)) / B
    target, kept = 0.0, 0
    for i in range(T):
        weak, strong = p[B + i], p[B + T + i]
        if max(weak) >= threshold:
            kept += 1
            target -= math.log(strong[list(weak).index(max(weak))]) / T
    total = source + unlabelled_weight * target
    return {"total": total, "loss/source": source, "loss/target": target, "kept": kept / T, "threshold": threshold}


def make(**options: float) -> FixMatch:
    return FixMatch(FixMatchConfig(**options), Linear(2.0).double(), K)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("labels", [K, K - 1], ids=["every class", "one class missing"])
@pytest.mark.parametrize("options", [(0.95, 1.0), (0.8, 0.3), (0.05, 2.0), (1.0, 1.0)], ids=str)
def test_whole_method_by_hand(seed: int, labels: int, options: tuple[float, float]) -> None:
    algorithm, batch = make(threshold=options[0], unlabelled_weight=options[1]), random_batch(seed, labels=labels)
    total, parts = algorithm(batch, 0.3)
    expected = by_hand(batch, algorithm.model.weight.detach().numpy(), *options)
    assert total.item() == pytest.approx(expected.pop("total"), abs=1e-12)
    assert set(parts) == set(expected)
    for name, value in parts.items():
        assert value.item() == pytest.approx(expected[name], abs=1e-6), name
        assert not value.requires_grad
    if options[0] in (0.05, 1.0):
        assert expected["kept"] == (options[0] == 0.05)  # everything, nothing


def test_the_masks_of_that_test_are_mixed() -> None:
    kept = [make(threshold=0.8)(random_batch(seed), 0.0).parts["kept"].item() for seed in (0, 1, 3)]
    assert all(0 < share < 1 for share in kept)


@pytest.mark.parametrize("seed", [1, 3])
def test_gradient_by_finite_differences(seed: int) -> None:
    """The pseudo-label gives none, though it comes of the same forward."""
    algorithm, batch = make(threshold=0.8, unlabelled_weight=0.7), random_batch(seed)
    algorithm(batch, 0.0).total.backward()
    weight = algorithm.model.weight.detach().numpy()
    expected = np.zeros_like(weight)
    for index in np.ndindex(weight.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = weight.copy()
            moved[index] += step
            ends.append(by_hand(batch, moved, 0.8, 0.7)["total"])
        expected[index] = (ends[0] - ends[1]) / 2e-6
    np.testing.assert_allclose(algorithm.model.weight.grad.numpy(), expected, atol=1e-6)


def test_one_joint_forward_without_the_strong_labelled_view() -> None:
    algorithm, batch = make(threshold=0.8), random_batch(0)
    scores: list[Tensor] = []
    algorithm.model.register_forward_hook(lambda module, args, output: scores.append(output) or output.retain_grad())
    total = algorithm(batch._replace(source=Views(batch.source.weak, batch.source.strong * torch.nan)), 0.0).total
    total.backward()
    assert algorithm.model.contexts == [[SOURCE] * B + [TARGET] * 2 * T]
    (gradient,) = (each.grad for each in scores)
    assert (gradient[:B].abs().sum(1) > 0).all()
    assert not gradient[B : B + T].any()
    assert gradient[B + T :].any()


def test_the_statistics_that_stay_are_those_of_the_joint_batch_in_training_mode() -> None:
    algorithm, batch = make(), random_batch(0)
    algorithm(batch, 0.0)
    x = torch.cat([batch.source.weak, *batch.target]).flatten(1)
    torch.testing.assert_close(algorithm.model.norm.running_mean, 0.1 * x.mean(0))
    torch.testing.assert_close(algorithm.model.norm.running_var, 0.9 + 0.1 * x.var(0))


@pytest.mark.parametrize(
    ("confident", "kept"), [([0.96, 0.02, 0.02], 1.0), ([0.94, 0.03, 0.03], 0.0), ([0.02, 0.02, 0.96], 1.0)]
)
def test_the_bar_does_not_move(confident: list[float], kept: float) -> None:
    algorithm = FixMatch(FixMatchConfig(), Planted(), K)
    images = torch.tensor([confident] * 5).log()[:, :, None, None]
    source = torch.zeros(2, K, 1, 1)
    for progress in (0.0, 1.0):
        _, parts = algorithm(batch_of([source, source], torch.tensor([0, 0]), [images, images]), progress)
        assert parts["kept"].item() == kept
        assert parts["loss/target"].item() == pytest.approx(-math.log(max(confident)) * kept, rel=1e-5)
    labels, keep = algorithm.pseudo_labels(torch.tensor([confident]))
    assert labels.tolist() == [confident.index(max(confident))]
    assert keep.tolist() == [bool(kept)]


@pytest.mark.parametrize("norm", ["acn", "acn_base", "cn", "bn", "gn"])
def test_gradient_reaches_every_parameter(norm: str) -> None:
    torch.manual_seed(0)
    config = ModelConfig(norm=norm, input_norm=norm, backbone={"name": "small_cnn", "width": 8})
    algorithm = FixMatch(FixMatchConfig(threshold=0.1), build_model(config, K, num_contexts=2), K)
    algorithm(random_batch(0, size=16, dtype=torch.float32), 0.0).total.backward()
    for name, parameter in algorithm.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": 1.1}, {"unlabelled_weight": -1}, {"tau": 0.9}])
def test_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        FixMatchConfig(**options)
