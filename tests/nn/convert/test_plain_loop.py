"""Converted networks trained in a loop of one's own: an optimizer, batches, and nobody who tells how far it is."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from dacn.nn import ContextNorm, convert_norm


def batch(generator: torch.Generator, size: int = 32, side: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Return images with one bright quarter, which is the class; the other domain is inverted and stronger."""
    label = torch.randint(4, (size,), generator=generator)
    context = torch.arange(size) % 2
    x = 0.3 * torch.randn(size, 3, 2, side // 2, 2, side // 2, generator=generator)
    x[torch.arange(size), :, label // 2, :, label % 2] += 1
    x = x.reshape(size, 3, side, side)
    return torch.where(context[:, None, None, None] == 1, 1.5 - 2 * x, x), label, context


def train(net: nn.Module, steps: int, lr: float, side: int = 16, clip: float | None = None) -> list[float]:
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(net.train().parameters(), lr, momentum=0.9)
    losses = []
    for _ in range(steps):
        x, label, context = batch(generator, side=side)
        loss = F.cross_entropy(net(x, context), label)
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def check(net: nn.Module, losses: list[float], side: int = 16) -> None:
    """The loss is finite and falls, and evaluation says about what training does."""
    assert torch.tensor(losses).isfinite().all()
    assert sum(losses[-10:]) / 10 < 0.25 * losses[0]
    x, label, context = batch(torch.Generator().manual_seed(1), size=128, side=side)
    in_training = net.train()(x, context).argmax(1)
    for known, least in ((context, 0.9), (None, 0.7)):
        in_evaluation = net.eval()(x, known).argmax(1)
        assert (in_evaluation == label).float().mean() > least
        assert (in_evaluation == in_training).float().mean() > least


def small(norm: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return convert_norm(models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=4), norm, 2, **options)


def test_default_trains_and_opens() -> None:
    net = small("acn", opening_steps=(10, 40))
    losses = train(net, 60, lr=0.02)
    layers = [layer for layer in net.modules() if isinstance(layer, ContextNorm)]
    assert {(layer.rho.item(), layer.delta.item()) for layer in layers} == {(3.0, 5.0)}
    check(net, losses)


@pytest.mark.slow
def test_default_trains_a_resnet18() -> None:
    torch.manual_seed(0)
    net = convert_norm(models.resnet18(num_classes=4), "acn", 2, opening_steps=(20, 80))
    check(net, train(net, 120, lr=0.02, side=32), side=32)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:every layer's mean and std are learned by the task")
@pytest.mark.parametrize(("norm", "options"), [("acn", {"fit": "task"}), ("acn_base", {})])
def test_gaussians_of_the_task_diverge_as_the_warning_says_and_train_as_it_says(norm: str, options: dict) -> None:
    def fresh() -> nn.Module:
        torch.manual_seed(0)
        return convert_norm(models.resnet18(num_classes=4), norm, 2, **options)

    assert not torch.tensor(train(fresh(), 6, lr=0.01, side=32)).isfinite().all()
    net = fresh()
    losses = train(net, 40, lr=0.01, side=32, clip=1.0)
    assert torch.tensor(losses).isfinite().all()
    assert sum(losses[-10:]) / 10 < 0.25 * losses[0]
