"""AdaMatch against the method written out in NumPy, and each of its parts on planted logits."""

import copy
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from dacn.algorithms.adamatch import AdaMatch, AdaMatchConfig
from dacn.batch import Batch
from dacn.models.build import ModelConfig, build_model
from dacn.nn import open_renorm
from tests.algorithms.stand_ins import B, D, K, Linear, Planted, T, batch_of, random_batch


def planted(source_weak: list[list[float]], target_weak: list[list[float]]) -> Batch:
    """Both views alike, logits are logs of the given probabilities."""
    source, target = (torch.tensor(p).log()[:, :, None, None] for p in (source_weak, target_weak))
    return batch_of([source, source], torch.zeros(len(source), dtype=torch.int64), [target, target])


class ByHand:
    """The method in NumPy, from the authors' description; keeps the running means."""

    def __init__(self, threshold: float, decay: float, window: int) -> None:
        self.threshold, self.decay, self.window = threshold, decay, window
        self.p_source, self.history = np.full(K, 1 / K), list[np.ndarray]()

    @staticmethod
    def softmax(z: np.ndarray) -> np.ndarray:
        return np.exp(z) / np.exp(z).sum(1, keepdims=True)

    @staticmethod
    def scores(images: list[np.ndarray], weight: np.ndarray) -> np.ndarray:
        x = np.concatenate(images).reshape(-1, D)
        return ((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)) @ weight.T

    def step(self, batch: Batch, weight: np.ndarray, u: np.ndarray, mu: float) -> dict[str, float | np.ndarray]:
        views = [view.numpy() for view in (*batch.source, *batch.target)]
        joint, alone = self.scores(views, weight), self.scores(views[:2], weight)
        z = joint[: 2 * B] + u * (alone - joint[: 2 * B])
        z_weak, z_strong = z[:B], z[B:]
        t_weak, t_strong = joint[2 * B : 2 * B + T], joint[2 * B + T :]

        self.p_source = self.decay * self.p_source + (1 - self.decay) * self.softmax(z_weak).mean(0)
        self.history = [*self.history, self.softmax(t_weak).mean(0)][-self.window :]
        p_target = sum(self.history) / len(self.history)
        bar = self.threshold * self.softmax(z_weak).max(1).mean()

        def cross_entropy(row: np.ndarray, label: int) -> float:
            return -math.log(self.softmax(row[None])[0, label])

        source = 0.0
        for i in range(B):
            label = int(batch.labels[i])
            source += 0.5 * (cross_entropy(z_weak[i], label) + cross_entropy(z_strong[i], label)) / B
        target, kept = 0.0, 0
        for i in range(T):
            q = self.softmax(t_weak)[i] * (1e-6 + self.p_source) / (1e-6 + p_target)
            q = q / q.sum()
            if q.max() >= bar:
                kept += 1
                target += cross_entropy(t_strong[i], int(q.argmax())) / T
        return {
            "total": source + mu * target,
            "loss/source": source,
            "loss/target": target,
            "kept": kept / T,
            "threshold": bar,
            "p_source": self.p_source,
            "p_target": p_target,
            "target_weight": mu,
        }


def make(**options: object) -> AdaMatch:
    defaults: dict[str, object] = {"threshold": 0.9, "source_marginal_decay": 0.9, "target_marginal_batches": 3}
    return AdaMatch(AdaMatchConfig.model_validate(defaults | options), Linear().double(), K)


def assert_alike(one: AdaMatch, other: AdaMatch) -> None:
    """Both give the same losses to the same batches, and end in the same state, to the bit."""
    for step in range(4):
        batch, totals = random_batch(step), []
        for algorithm in (one, other):
            torch.manual_seed(step)
            totals.append(algorithm(batch, 0.3).total.item())
        assert totals[0] == totals[1]
    for name, tensor in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_whole_method_by_hand_over_seven_steps() -> None:
    algorithm, by_hand = make(), ByHand(0.9, 0.9, window=3)
    weight = algorithm.model.weight.detach().numpy()
    assert algorithm.two_forwards
    kept = []
    for step in range(7):  # the window of three wraps around twice
        batch, progress = random_batch(step), step / 7
        torch.manual_seed(100 + step)
        total, parts = algorithm(batch, progress)
        torch.manual_seed(100 + step)
        u = torch.rand(2 * B, K, dtype=torch.float64).numpy()

        mu = 0.5 - math.cos(math.pi * min(1, 2 * progress)) / 2
        expected = by_hand.step(batch, weight, u, mu)
        assert total.item() == pytest.approx(expected["total"], abs=1e-6)
        assert set(parts) == set(expected) - {"total"}
        for name, value in parts.items():
            np.testing.assert_allclose(value.numpy(), expected[name], atol=1e-6, err_msg=name)
            assert not value.requires_grad
        kept.append(expected["kept"])
    assert min(kept) > 0
    assert max(kept) < 1  # so that the mask is exercised both ways


def test_gradient_by_finite_differences_flows_through_both_passes() -> None:
    algorithm, batch = make(), random_batch(0)
    weight = algorithm.model.weight.detach().numpy().copy()
    torch.manual_seed(1)
    algorithm(batch, 0.5).total.backward()
    torch.manual_seed(1)
    u = torch.rand(2 * B, K, dtype=torch.float64).numpy()

    expected = np.zeros_like(weight)
    for index in np.ndindex(weight.shape):
        ends = []
        for sign in (1, -1):
            moved = weight.copy()
            moved[index] += sign * 1e-5
            ends.append(ByHand(0.9, 0.9, window=3).step(batch, moved, u, mu=1.0)["total"])
        expected[index] = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose(algorithm.model.weight.grad.numpy(), expected, atol=1e-6)


def test_gradient_reaches_the_source_alone_and_no_weak_target_view() -> None:
    algorithm, batch = make(), random_batch(0)
    seen: list[Tensor] = []
    algorithm.model.register_forward_hook(lambda module, args, output: seen.append(output) or output.retain_grad())
    algorithm(batch, 1.0).total.backward()
    alone, joint = sorted((scores.grad for scores in seen), key=len)
    assert joint.shape == (2 * B + 2 * T, K)
    assert alone.shape == (2 * B, K)
    assert (alone.abs().sum(1) > 0).all()
    assert (joint[: 2 * B].abs().sum(1) > 0).all()
    assert not joint[2 * B : 2 * B + T].any()
    assert joint[2 * B + T :].any()


def test_running_statistics_are_those_of_the_joint_pass() -> None:
    algorithm, batch = make(), random_batch(0)
    twin = copy.deepcopy(algorithm.model)
    twin(torch.cat([*batch.source, *batch.target]))
    algorithm(batch, 0.5)
    for name, value in twin.state_dict().items():
        assert torch.equal(algorithm.model.state_dict()[name], value), name


@pytest.mark.parametrize(("progress", "weight"), [(0, 0), (0.25, 0.5), (0.5, 1), (1, 1)])
@pytest.mark.parametrize("target_weight", [1.0, 0.3])
def test_target_loss_warms_up(progress: float, weight: float, target_weight: float) -> None:
    algorithm = make(target_weight=target_weight, threshold=0.1)
    total, parts = algorithm(random_batch(0), progress)
    assert parts["target_weight"].item() == pytest.approx(target_weight * weight)
    assert parts["loss/target"] > 0
    expected = parts["loss/source"] + target_weight * weight * parts["loss/target"]
    assert total.item() == pytest.approx(expected.item())


def test_source_marginal_is_of_predictions_not_labels() -> None:
    algorithm = AdaMatch(AdaMatchConfig(source_marginal_decay=0.75), Planted(), K)
    prediction = [0.1, 0.2, 0.7]
    p_source = np.full(K, 1 / K)
    for _ in range(3):
        algorithm(planted([prediction] * 4, [[0.3, 0.3, 0.4]] * 2), 0.0)  # all labels are class 0
        p_source = 0.75 * p_source + 0.25 * np.array(prediction)
        np.testing.assert_allclose(algorithm.p_source.numpy(), p_source, atol=1e-6)


def test_target_marginal_is_the_mean_of_the_last_batches() -> None:
    algorithm = AdaMatch(AdaMatchConfig(target_marginal_batches=3), Planted(), K)
    np.testing.assert_allclose(algorithm.p_target.numpy(), np.full(K, 1 / K), rtol=1e-6)
    seen = []
    for step in range(8):
        p = [0.1 + 0.1 * step, 0.1, 0.8 - 0.1 * step]
        algorithm(planted([[0.3, 0.3, 0.4]] * 2, [p, [0.2, 0.5, 0.3]]), 0.0)
        seen.append(np.mean([p, [0.2, 0.5, 0.3]], axis=0))
        np.testing.assert_allclose(algorithm.p_target.numpy(), np.mean(seen[-3:], axis=0), atol=1e-6)


def test_threshold_is_as_sure_as_the_source_is() -> None:
    algorithm = AdaMatch(AdaMatchConfig(threshold=0.8, source_marginal_decay=0.0), Planted(), K)
    source = [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]]  # sure to 0.6, so the bar is 0.48
    target = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    target += [[0.46, 0.27, 0.27], [0.27, 0.46, 0.27], [0.27, 0.27, 0.46]]
    _, parts = algorithm(planted(source, target), 1.0)  # both marginals are uniform, so q is the prediction
    assert parts["threshold"].item() == pytest.approx(0.48)
    assert parts["kept"].item() == 0.5
    assert parts["loss/target"].item() == pytest.approx(-3 * math.log(0.5) / 6, rel=1e-5)
    labels, keep = algorithm.pseudo_labels(torch.tensor(target))
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert keep.tolist() == [True] * 3 + [False] * 3


def test_alignment_decides_the_pseudo_label() -> None:
    """A target that leans to class 0 as a whole, where the source is even: the less lopsided rows change sides."""
    algorithm = AdaMatch(AdaMatchConfig(source_marginal_decay=0.0, threshold=0.1), Planted(), 2)
    target = [[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]]
    algorithm(planted([[0.5, 0.5]] * 2, target), 1.0)
    labels, _ = algorithm.pseudo_labels(torch.tensor(target))
    assert labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize(("confident", "kept"), [(0.999, 0.0), (0.34, 1.0)])
def test_nothing_kept_and_everything_kept(confident: float, kept: float) -> None:
    algorithm = AdaMatch(AdaMatchConfig(source_marginal_decay=0.0), Planted(), K)
    rest = (1 - confident) / 2
    source = [[confident, rest, rest], [rest, confident, rest], [rest, rest, confident]]
    target = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    total, parts = algorithm(planted(source, target), 1.0)
    assert parts["kept"].item() == kept
    assert parts["loss/target"].item() == pytest.approx(-math.log(0.5) * kept)
    assert torch.isfinite(total)


@pytest.mark.parametrize("norm", ["acn", "cn"])
@pytest.mark.parametrize("renorm", [0.0, 0.3])
def test_second_forward_is_redundant_where_norms_are_by_context(norm: str, renorm: float) -> None:
    torch.manual_seed(0)
    config = ModelConfig(norm=norm, input_norm=norm, backbone={"name": "small_cnn", "width": 4})
    once = AdaMatch(AdaMatchConfig(threshold=0.5), build_model(config, K, num_contexts=2), K)
    assert once.two_forwards  # for all that it knows
    once.contexts_apart = True
    assert not once.two_forwards
    for step in range(3):  # past the data-driven start
        once(random_batch(step, size=16, dtype=torch.float32), 0.0)
    open_renorm(once, renorm)
    twice = copy.deepcopy(once)
    twice.contexts_apart = False
    assert twice.two_forwards
    for step in range(2):
        batch = random_batch(10 + step, size=16, dtype=torch.float32)
        results = []
        for algorithm in (once, twice):
            torch.manual_seed(step)
            algorithm.zero_grad()
            losses = algorithm(batch, 1.0)
            losses.total.backward()
            results.append(losses)
        assert results[0].total.item() == pytest.approx(results[1].total.item(), abs=1e-5)
        assert results[0].parts["kept"] > 0
        for name, part in results[0].parts.items():
            torch.testing.assert_close(part, results[1].parts[name], atol=1e-5, rtol=1e-5, msg=name)
        for p, q in zip(once.parameters(), twice.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, atol=1e-4, rtol=1e-3)
        for name, value in once.state_dict().items():
            torch.testing.assert_close(value, twice.state_dict()[name], atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("norm", ["acn", "cn"])
def test_second_forward_is_redundant_from_the_very_first_batch(norm: str) -> None:
    torch.manual_seed(0)
    config = ModelConfig(norm=norm, input_norm=norm, backbone={"name": "small_cnn", "width": 4})
    once = AdaMatch(AdaMatchConfig(threshold=0.5), build_model(config, K, num_contexts=2), K)
    twice = copy.deepcopy(once)
    once.contexts_apart = True
    totals = []
    for algorithm in (once, twice):
        total = algorithm(random_batch(0, size=16, dtype=torch.float32), 1.0).total
        total.backward()
        totals.append(total.item())
    assert totals[0] == pytest.approx(totals[1], abs=1e-5)
    for name, value in once.state_dict().items():
        torch.testing.assert_close(value, twice.state_dict()[name], atol=1e-5, rtol=1e-5, msg=name)


def test_third_context_that_never_occurs_does_no_harm() -> None:
    config = ModelConfig(norm="bn", input_norm="acn", backbone={"name": "small_cnn", "width": 4})
    algorithm = AdaMatch(AdaMatchConfig(), build_model(config, K, num_contexts=3), K)
    algorithm(random_batch(0, size=16, dtype=torch.float32), 1.0).total.backward()
    assert all(torch.isfinite(p.grad).all() for p in algorithm.parameters())


def test_state_travels() -> None:
    algorithm, fresh = make(), make()
    for step in range(4):
        algorithm(random_batch(step), 0.5)
    fresh.load_state_dict(algorithm.state_dict())
    losses = []
    for each in (algorithm, fresh):
        torch.manual_seed(0)
        losses.append(each(random_batch(9), 0.5).total.item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "options",
    [{"threshold": 0}, {"threshold": 1.1}, {"source_marginal_decay": 1}, {"target_marginal_batches": 0}, {"tau": 0.9}],
)
def test_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        AdaMatchConfig(**options)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["acn", "bn"])
def test_compiled_network_trains_as_the_eager_one(norm: str) -> None:
    torch.compiler.reset()
    torch.manual_seed(0)
    config = ModelConfig(norm=norm, backbone={"name": "small_cnn", "width": 4})
    eager = AdaMatch(AdaMatchConfig(threshold=0.5), build_model(config, K, num_contexts=2), K)
    compiled = copy.deepcopy(eager)
    compiled.model.compile()
    for step in range(3):
        batch, totals = random_batch(step, size=16, dtype=torch.float32), []
        for algorithm in (eager, compiled):
            open_renorm(algorithm, 0.3)
            torch.manual_seed(step)
            algorithm.zero_grad()
            totals.append(algorithm(batch, 1.0).total)
            totals[-1].backward()
        torch.testing.assert_close(*totals)
        for p, q in zip(eager.parameters(), compiled.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, atol=1e-4, rtol=1e-3)
        for name, value in eager.state_dict().items():
            torch.testing.assert_close(value, compiled.state_dict()[name], atol=1e-5, rtol=1e-5, msg=name)
