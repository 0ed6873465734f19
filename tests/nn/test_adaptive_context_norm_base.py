"""ACN-base against the linear maps of the one-hot context, written out."""

import numpy as np
import pytest
import torch

from dacn.nn import AdaptiveContextNormBase

K, C, EPS = 3, 2, 1e-5
CONTEXT = torch.tensor([1, 0, 1, 1, 0])  # interleaved; context 2 is absent


def random_layer(channels_last: bool = False) -> AdaptiveContextNormBase:
    """A layer whose maps, gamma and beta are random and need no start."""
    torch.manual_seed(3)
    layer = AdaptiveContextNormBase(C, K, channels_last=channels_last).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
        layer.initialized.fill_(True)
    return layer


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("shape", "channels_last"), [((5, C), False), ((5, C, 4), False), ((5, C, 3, 2), False), ((5, 4, C), True)]
)
def test_output_is_that_of_the_linear_map(shape: tuple[int, ...], channels_last: bool, training: bool) -> None:
    layer = random_layer(channels_last).train(training)
    p = {name: parameter.detach().numpy() for name, parameter in layer.named_parameters()}
    x = 3 * torch.randn(shape, dtype=torch.float64) + 1

    y = layer(x, CONTEXT).detach()

    for i in range(5):
        onehot = np.zeros(K)
        onehot[CONTEXT[i]] = 1
        mean = p["mean_weight"].T @ onehot + p["mean_bias"]
        std = np.exp(p["log_std_weight"].T @ onehot + p["log_std_bias"])
        for c in range(C):
            row, out = (x[i, ..., c], y[i, ..., c]) if channels_last else (x[i, c], y[i, c])
            expected = p["weight"][c] * (row.numpy() - mean[c]) / np.sqrt(std[c] ** 2 + EPS) + p["bias"][c]
            np.testing.assert_allclose(out.numpy(), expected, atol=1e-9)


def test_every_row_moves_the_shared_offsets_and_only_its_own_weights() -> None:
    layer = random_layer()
    layer(torch.randn(2, C, 4, dtype=torch.float64), torch.tensor([1, 1])).pow(3).sum().backward()
    assert layer.mean_bias.grad.abs().min() > 0
    assert layer.mean_weight.grad[1].abs().min() > 0
    assert not layer.mean_weight.grad[[0, 2]].any()
    torch.testing.assert_close(layer.log_std_weight.grad[1], layer.log_std_bias.grad)


def test_each_context_starts_at_its_first_batch() -> None:
    torch.manual_seed(0)
    layer = AdaptiveContextNormBase(C, K).double()
    first, later = torch.randn(5, C, 6, dtype=torch.float64), 5 + 2 * torch.randn(5, C, 6, dtype=torch.float64)
    layer(first, CONTEXT)
    with torch.no_grad():
        layer.mean_bias += 0.7  # the optimizer moved the shared offsets in between
        layer.log_std_bias -= 0.3
    started = [table.detach().clone() for table in layer.tables()]

    layer(later, torch.full((5,), 2))

    mean, var = (table.detach() for table in layer.tables())
    rows = later.movedim(1, 0).flatten(1)  # (C, rows and positions)
    torch.testing.assert_close(mean[2], rows.mean(1))
    torch.testing.assert_close(var[2], rows.var(1, unbiased=False))
    for now, then in zip((mean, var), started, strict=True):
        assert torch.equal(now[:2], then[:2])


def test_standard_start_is_mean_zero_and_std_one() -> None:
    layer = AdaptiveContextNormBase(C, K, init="standard").double()
    x = 4 + 2 * torch.randn(5, C, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(x, CONTEXT), x / np.sqrt(1 + EPS))


def test_wrong_start_is_refused() -> None:
    with pytest.raises(ValueError, match="init must be 'data' or 'standard', got 'zero'"):
        AdaptiveContextNormBase(C, K, init="zero")
