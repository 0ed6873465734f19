"""MCD: heads climb the discrepancy, features descend it, both in one backward pass."""

import pytest
import torch

from dacn.algorithms.mcd import Mcd, McdConfig
from tests.algorithms.tiny import K, batch, cross_entropy, passed, tiny


def test_losses_and_gradients() -> None:
    model = tiny()
    torch.manual_seed(1)
    algorithm = Mcd(McdConfig(weight=0.6), model, K).double()
    losses = algorithm(batch(), 0.5)
    losses.total.backward()
    source, target, labels = passed(model, batch(), True)
    second = algorithm.second_head
    other = source[0] @ second.weight.T + second.bias
    label_loss = cross_entropy(source[1], labels) + cross_entropy(other, labels)
    one = target[1].softmax(dim=1)
    two = (target[0] @ second.weight.T + second.bias).softmax(dim=1)
    discrepancy = torch.stack([(a - b).abs() for a, b in zip(one.flatten(), two.flatten(), strict=True)]).mean()
    assert losses.total.item() == pytest.approx((label_loss - 0.6 * discrepancy).item(), abs=1e-10)
    assert losses.parts["loss/discrepancy"].item() == pytest.approx(discrepancy.item(), abs=1e-10)
    agree = 100 * (one.argmax(1) == two.argmax(1)).double().mean().item()
    assert losses.parts["heads/agree"].item() == pytest.approx(agree)

    parameters = [model.backbone.weight, model.head.weight, second.weight]
    of_labels = torch.autograd.grad(label_loss, parameters, retain_graph=True)
    of_discrepancy = torch.autograd.grad(discrepancy, parameters)
    for parameter, labelled, apart, sign in zip(parameters, of_labels, of_discrepancy, (1, -1, -1), strict=True):
        torch.testing.assert_close(parameter.grad, labelled + sign * 0.6 * apart)


def test_the_heads_start_apart_and_one_is_evaluated() -> None:
    model = tiny()
    algorithm = Mcd(McdConfig(), model, K)
    assert not torch.equal(algorithm.second_head.weight, model.head.weight)
    assert algorithm.model is model
    assert not any(name.startswith("model.second") for name in algorithm.state_dict())
