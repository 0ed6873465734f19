"""The authors' forms of what AdaMatch departs in, each against the method written out in NumPy."""

import math

import numpy as np
import pytest
import torch

from dacn.algorithms.adamatch import _weights
from dacn.batch import SOURCE, TARGET, Batch
from dacn.nn import processes
from tests.algorithms.stand_ins import K, T, random_batch
from tests.algorithms.test_adamatch import ByHand, make


@pytest.mark.parametrize("end", [0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("progress", [0.0, 0.1, 0.25, 0.5, 0.6, 0.75, 0.99, 1.0])
def test_two_phases_rise_to_one_and_go_on_from_there(end: float, progress: float) -> None:
    algorithm = make(target_weight=end, weight_schedule="two_phases", threshold=0.1)
    if progress <= 0.5:
        expected = (1 - math.cos(math.pi * progress / 0.5)) / 2
    else:
        expected = 1 + (end - 1) * (1 - math.cos(math.pi * (progress - 0.5) / 0.5)) / 2
    total, parts = algorithm(random_batch(0), progress)
    assert parts["target_weight"].item() == pytest.approx(expected, abs=1e-6)
    assert total.item() == pytest.approx((parts["loss/source"] + expected * parts["loss/target"]).item())


def half_labelled(seed: int, of_target: int) -> Batch:
    """A batch whose last ``of_target`` labelled rows are the target's."""
    batch = random_batch(seed)
    context = batch.source_context.clone()
    context[len(context) - of_target :] = TARGET
    return batch._replace(source_context=context)


@pytest.mark.parametrize("of_target", [0, 1, 2, 3])
def test_labelled_apart_by_hand(of_target: int) -> None:
    """Two losses are added up; the marginal and the threshold are of the source's rows alone."""
    algorithm = make(labelled="apart")
    by_hand, weight = ByHand(0.9, 0.9, window=3), algorithm.model.weight.detach().numpy()  # type: ignore[union-attr,operator]
    p_source, history = np.full(K, 1 / K), list[np.ndarray]()
    for step in range(4):
        batch = half_labelled(step, of_target)
        torch.manual_seed(step)
        total, parts = algorithm(batch, 0.25)
        views = [view.numpy() for view in (*batch.source, *batch.target)]
        rows = len(batch.labels)
        joint, alone = by_hand.scores(views, weight), by_hand.scores(views[:2], weight)
        torch.manual_seed(step)
        u = torch.rand(2 * rows, K, dtype=torch.float64).numpy()
        z = joint[: 2 * rows] + u * (alone - joint[: 2 * rows])
        p = by_hand.softmax(z)
        of_source = [i for i in range(rows) if batch.source_context[i] == SOURCE]
        others = [i for i in range(rows) if batch.source_context[i] == TARGET]

        p_source = 0.9 * p_source + 0.1 * np.mean([p[i] for i in of_source], axis=0)
        bar = 0.9 * np.mean([p[i].max() for i in of_source])
        q = by_hand.softmax(joint[2 * rows : 2 * rows + T])
        history = [*history, q.mean(0)][-3:]
        q = q * (1e-6 + p_source) / (1e-6 + np.mean(history, axis=0))
        q /= q.sum(1, keepdims=True)
        strong = by_hand.softmax(joint[2 * rows + T :])
        target = -sum(math.log(strong[i, q[i].argmax()]) for i in range(T) if q[i].max() >= bar) / T
        source = 0.0
        for group in (of_source, others):
            terms = [0.5 * (-math.log(p[i, batch.labels[i]]) - math.log(p[rows + i, batch.labels[i]])) for i in group]
            source += float(np.mean(terms)) if terms else 0.0

        assert parts["loss/source"].item() == pytest.approx(source, abs=1e-6)
        assert parts["threshold"].item() == pytest.approx(bar, abs=1e-6)
        np.testing.assert_allclose(parts["p_source"].numpy(), p_source, atol=1e-6)
        assert total.item() == pytest.approx(source + 0.5 * target, abs=1e-6)


def test_pooled_is_the_mean_over_all_labelled_rows() -> None:
    """The same batch is half the loss there, where each domain has two rows of four."""
    batch, losses = half_labelled(0, 2), []
    for labelled in ("pooled", "apart"):
        torch.manual_seed(0)
        losses.append(make(labelled=labelled)(batch, 0.0).total.item())
    assert losses[1] == pytest.approx(2 * losses[0])


def test_weights_of_several_processes_average_to_the_whole_batchs_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes whose shares hold three and one of the picked rows."""
    rows = torch.tensor([[True, True, True, False], [False, True, False, False]])
    values = torch.randn(2, 4, dtype=torch.float64)
    monkeypatch.setattr(processes, "mean", lambda picked: torch.full_like(picked, rows.sum() / 2))
    means = [(_weights(mine, share) * share).mean() for mine, share in zip(rows, values, strict=True)]
    torch.testing.assert_close(sum(means) / 2, values[rows].mean())
