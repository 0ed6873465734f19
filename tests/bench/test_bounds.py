"""The work of a network against a count by hand."""

import pytest
import torch
from torch import Tensor, nn

from dacn.bench.bounds import bound, count_work


class Net(nn.Module):
    """One convolution, a norm, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).mean((2, 3)))


X, CONTEXT = torch.zeros(4, 3, 6, 6), torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize("element_bytes", [2, 4])
def test_work_is_that_of_three_passes(element_bytes: int) -> None:
    flop, traffic = count_work(Net(), X, CONTEXT, element_bytes)
    assert flop == 3 * (2 * 4 * 36 * 8 * 27 + 2 * 4 * 8 * 5)
    assert traffic == 3 * element_bytes * (4 * 36 * (3 + 8) + 4 * (8 + 5))


@pytest.mark.parametrize(("bandwidth", "arithmetic", "binding"), [(1e6, 1e12, "bandwidth"), (1e12, 1e6, "arithmetic")])
def test_the_lower_bound_binds(bandwidth: float, arithmetic: float, binding: str) -> None:
    result = bound(Net(), X, CONTEXT, 4, bf16=False, bandwidth=bandwidth, arithmetic=arithmetic)
    assert result["images_per_second"] == result[f"images_per_second_by_{binding}"]
    assert result["images_per_second_by_bandwidth"] == pytest.approx(4 * bandwidth / (result["step_gb"] * 1e9))
    assert result["images_per_second_by_arithmetic"] == pytest.approx(4 * arithmetic / (result["step_tflop"] * 1e12))
