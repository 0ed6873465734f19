import numpy as np
import pytest
import torch
from torch import nn

from dacn.models.discriminator import Discriminator


@pytest.mark.parametrize("hidden", [(), (7,), (500, 500), (4, 3, 2)])
@pytest.mark.parametrize("seed", [0, 1])
def test_logits_by_hand(hidden: tuple[int, ...], seed: int) -> None:
    torch.manual_seed(seed)
    discriminator, features = Discriminator(6, hidden).double(), torch.randn(5, 6, dtype=torch.float64)
    linear = [layer for layer in discriminator.modules() if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [*hidden, 1]
    x = features.numpy()
    for index, layer in enumerate(linear):
        x = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        if index < len(hidden):
            x = np.maximum(x, 0)
    logits = discriminator(features)
    assert logits.shape == (5,)
    np.testing.assert_allclose(logits.detach().numpy(), x[:, 0], atol=1e-12)


def test_the_end_is_a_logit_not_a_probability() -> None:
    """A softmax over one output is always 1, and gives no gradient."""
    torch.manual_seed(0)
    discriminator = Discriminator(6, (16,))
    features = (100 * torch.randn(64, 6)).requires_grad_()
    logits = discriminator(features)
    assert logits.min() < -1
    assert logits.max() > 1
    logits.sum().backward()
    for tensor in (features, *discriminator.parameters()):
        assert tensor.grad.any()


def test_one_row_keeps_its_dimension() -> None:
    assert Discriminator(3)(torch.zeros(1, 3)).shape == (1,)
