"""How the context travels."""

import pytest
import torch
from torch import Tensor, nn

from dacn.nn import ContextBatchNorm, ContextSequential, takes_context
from dacn.nn.context import check_context


class Shift(nn.Module):
    """Adds each row's context."""

    takes_context = True

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return x if context is None else x + context[:, None]


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def test_modules_say_whether_they_take_the_context() -> None:
    assert takes_context(ContextBatchNorm(2, 2))
    assert takes_context(ContextSequential())
    assert not takes_context(nn.Linear(2, 2))
    assert not takes_context(nn.Sequential(Shift()))


def test_context_goes_to_the_takers_only_in_order() -> None:
    net = ContextSequential(Double(), Shift(), Double())  # Double would fail on a second argument
    y = net(torch.ones(3, 1), torch.tensor([0, 1, 5]))
    assert y.flatten().tolist() == [4.0, 6.0, 14.0]


def test_sequentials_nest() -> None:
    net = ContextSequential(Double(), ContextSequential(Shift(), Double()), nn.Sequential(Double()))
    assert net(torch.ones(2, 1), torch.tensor([0, 1])).flatten().tolist() == [8.0, 12.0]


def test_no_context_is_handed_on_as_none() -> None:
    net = ContextSequential(Shift(), Double())
    assert net(torch.ones(2, 1)).flatten().tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match="needs the context"):
        ContextSequential(ContextBatchNorm(1, 2))(torch.ones(2, 1))


def test_parameters_and_children_are_those_of_sequential() -> None:
    net = ContextSequential(nn.Linear(2, 2), ContextBatchNorm(2, 2))
    assert set(net.state_dict()) >= {"0.weight", "0.bias", "1.weight", "1.running_mean"}
    assert len(net) == 2
    assert net[:1](torch.ones(1, 2)).shape == (1, 2)


def test_a_contexts_values_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    aminmax = Tensor.aminmax
    monkeypatch.setattr(Tensor, "aminmax", lambda self: looks.append(self) or aminmax(self))
    context = torch.tensor([0, 1, 2])
    for _ in range(3):
        check_context(context, 3, 4)
    assert len(looks) == 1
    with pytest.raises(ValueError, match="context 2 is outside 0 to 1"):  # by a layer with fewer contexts
        check_context(context, 3, 2)
    context[0] = 7
    with pytest.raises(ValueError, match="context 7 is outside 0 to 3"):  # and after a change
        check_context(context, 3, 4)
    with torch.inference_mode():
        check_context(torch.tensor([0, 1]), 2, 2)
    check_context(torch.tensor([], dtype=torch.int64), 0, 2)
