import math

import pytest
import torch
from pydantic import ValidationError

from dacn.trainer.schedule import ConstantConfig, CosineConfig, InverseConfig, build_schedule, rate

PROGRESS = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]


@pytest.mark.parametrize("t", PROGRESS)
def test_formulas(t: float) -> None:
    assert rate(CosineConfig(end=0.25), t) == pytest.approx(math.cos(math.acos(0.25) * t))  # AdaMatch
    assert rate(CosineConfig(end=math.cos(7 / 16 * math.pi)), t) == pytest.approx(math.cos(7 / 16 * math.pi * t))
    assert rate(InverseConfig(), t) == pytest.approx(1 / (1 + 10 * t) ** 0.75)  # DANN
    assert rate(InverseConfig(alpha=2, power=1), t) == pytest.approx(1 / (1 + 2 * t))
    assert rate(ConstantConfig(), t) == 1


@pytest.mark.parametrize("end", [0.0, 0.25, 0.5, 1.0])
def test_cosine_ends_where_it_says_and_only_falls(end: float) -> None:
    rates = [rate(CosineConfig(end=end), i / 50) for i in range(51)]
    assert rates[0] == 1
    assert rates[-1] == pytest.approx(end)
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("config", [CosineConfig, InverseConfig, ConstantConfig])
def test_warm_up_rises_linearly(config: type) -> None:
    warm, cold = config(warm_up=0.2), config()
    for t, share in [(0, 0), (0.05, 0.25), (0.1, 0.5), (0.2, 1), (0.6, 1), (1, 1)]:
        assert rate(warm, t) == pytest.approx(share * rate(cold, t))


def test_schedule_covers_the_actual_number_of_steps() -> None:
    steps, base = 8, 0.03
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    schedule = build_schedule(CosineConfig(end=0.25), optimizer, steps)
    used = []
    for _ in range(steps):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert used == pytest.approx([base * math.cos(math.acos(0.25) * i / steps) for i in range(steps)])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(base * 0.25)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(base * 0.25)  # and stays there


@pytest.mark.parametrize("options", [{"end": 1.5}, {"end": -0.1}, {"warm_up": 1}, {"endd": 0.2}])
def test_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        CosineConfig(**options)
