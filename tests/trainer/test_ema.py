import pytest
import torch
from torch import nn

from dacn.trainer.ema import MovingAverage


class Counter(nn.Module):
    """A weight, running statistics and a flag."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0]))
        self.register_buffer("running", torch.tensor([10.0]))
        self.register_buffer("seen", torch.tensor(False))


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_average_follows_the_plain_recursion(decay: float) -> None:
    model = Counter()
    ema = MovingAverage(model, decay)
    expected = {"weight": 1.0, "running": 10.0}
    for update in range(30):
        with torch.no_grad():
            model.weight.fill_(update**2)
            model.running.fill_(-update)
        ema.update_parameters(model)
        for name, value in (("weight", float(update**2)), ("running", float(-update))):
            share = min(decay, (1 + update) / (10 + update))
            expected[name] = value if update == 0 else share * expected[name] + (1 - share) * value
    assert ema.module.weight.item() == pytest.approx(expected["weight"], rel=1e-4)
    assert ema.module.running.item() == pytest.approx(expected["running"], rel=1e-4)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_from_zero_it_is_short_of_decay_to_the_power_of_the_steps(decay: float) -> None:
    """As in the code of AdaMatch's authors: ``m += (1 - decay) * (value - m)`` from m = 0, uncorrected."""
    model = Counter()
    ema = MovingAverage(model, decay, start="zero")
    assert ema.module.weight.item() == ema.module.running.item() == 0
    plain = [0.0, 0.0]
    for update in range(30):
        with torch.no_grad():
            model.weight.fill_(update + 1.0)
        ema.update_parameters(model)
        plain = [m + (1 - decay) * (value - m) for m, value in zip(plain, (update + 1.0, 10.0), strict=True)]
        assert ema.module.weight.item() == pytest.approx(plain[0], rel=1e-5)
        assert ema.module.running.item() == pytest.approx(plain[1], rel=1e-5)
    assert plain[1] == pytest.approx(10 * (1 - decay**30))
    assert model.running.item() == 10


@pytest.mark.parametrize("start", ["model", "zero"])
def test_statistics_may_be_left_out_of_the_average(start: str) -> None:
    model = Counter()
    ema = MovingAverage(model, 0.9, start=start, statistics=False)
    for update in range(3):
        with torch.no_grad():
            model.weight.fill_(update**2)
        model.running.fill_(-update)
        ema.update_parameters(model)
        assert ema.module.running.item() == -update
    assert ema.module.weight.item() != model.weight.item()


def test_flags_are_copied_and_the_model_is_left_alone() -> None:
    model = Counter()
    ema = MovingAverage(model, 0.9)
    ema.update_parameters(model)
    model.seen.fill_(True)
    ema.update_parameters(model)
    assert ema.module.seen.dtype == torch.bool
    assert ema.module.seen
    assert model.weight.item() == 1


def test_a_short_run_does_not_drag_its_start_along() -> None:
    model = Counter()
    ema = MovingAverage(model, 0.999)
    ema.update_parameters(model)
    with torch.no_grad():
        model.weight.fill_(0.0)
    for _ in range(100):
        ema.update_parameters(model)
    assert abs(ema.module.weight.item()) < 1e-6  # a plain average of decay 0.999 would still stand at 0.9


class Tied(nn.Module):
    """One weight in two places, and a buffer that every forward replaces."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("running", torch.tensor([0.0]))


def test_shared_weights_are_averaged_once_and_replaced_buffers_are_followed() -> None:
    model = Tied()
    ema = MovingAverage(model, 0.5)
    expected_weight = expected_running = 0.0
    for update in range(6):
        with torch.no_grad():
            model.first.weight.fill_(update)
        model.running = torch.tensor([-float(update)])
        ema.update_parameters(model)
        share = min(0.5, (1 + update) / (10 + update)) if update else 0.0
        expected_weight = share * expected_weight + (1 - share) * update
        expected_running = share * expected_running - (1 - share) * update
    assert ema.module.first.weight is ema.module.second.weight
    assert ema.module.first.weight.item() == pytest.approx(expected_weight)
    assert ema.module.running.item() == pytest.approx(expected_running)


def test_it_follows_whichever_network_it_is_given_and_holds_none() -> None:
    one, other = Counter(), Counter()
    ema = MovingAverage(one, 0.5)
    ema.update_parameters(one)
    with torch.no_grad():
        other.weight.fill_(5.0)
    ema.update_parameters(other)
    share = 2 / 11  # of the second update
    assert ema.module.weight.item() == pytest.approx(share * 1 + (1 - share) * 5)
    assert {name for name, _ in ema.named_parameters()} == {"module.weight"}
