import pytest
import torch
from pydantic import ValidationError
from torch import nn

from dacn.models.build import ModelConfig, build_model
from dacn.trainer.optimizer import OPTIMIZERS, AdamWConfig, SgdConfig, build_optimizer

CONFIGS = [SgdConfig(), AdamWConfig()]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("backbone", ["small_cnn", {"name": "wide_resnet", "depth": 10, "width": 1}])
@pytest.mark.parametrize("norm", ["acn", "acn_base", "cn", "bn", "gn", "in", {"name": "acn", "fit": "task"}])
def test_only_convolution_and_linear_weights_decay(config: SgdConfig, backbone: object, norm: object) -> None:
    model = build_model(ModelConfig(norm=norm, input_norm=norm, backbone=backbone), 10, 2)
    optimizer = build_optimizer(config, model)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decay) == sum(len(group["params"]) for group in optimizer.param_groups)  # nothing twice
    for name, parameter in model.named_parameters():
        is_kernel = parameter.ndim == 4 or name == "head.weight"
        assert decay.pop(id(parameter)) == (config.weight_decay if is_kernel else 0), name
    assert not decay


def test_one_sgd_step_by_hand() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    x = torch.randn(5, 3)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = build_optimizer(SgdConfig(lr=0.1, momentum=0.9, weight_decay=0.01), net)
    velocity: dict[str, torch.Tensor] = {name: torch.zeros_like(p) for name, p in before.items()}
    for _ in range(3):
        optimizer.zero_grad()
        net(x).pow(3).sum().backward()
        for name, p in net.named_parameters():
            decay = 0.01 * before[name] if name == "0.weight" else 0.0
            velocity[name] = 0.9 * velocity[name] + p.grad + decay  # of 0.01 * 0.5 * sum w^2
            before[name] = before[name] - 0.1 * velocity[name]
        optimizer.step()
        for name, p in net.named_parameters():
            torch.testing.assert_close(p.detach(), before[name])


def test_one_adamw_step_by_hand() -> None:
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = build_optimizer(AdamWConfig(lr=0.1, weight_decay=0.2), net)
    net(torch.randn(5, 3)).pow(3).sum().backward()
    optimizer.step()
    for name, p in net.named_parameters():
        decayed = before[name] * (1 - 0.1 * (0.2 if name == "weight" else 0))
        torch.testing.assert_close(p.detach(), decayed - 0.1 * p.grad / (p.grad.abs() + 1e-8))


def test_options_reach_the_optimizer() -> None:
    sgd = build_optimizer(SgdConfig(lr=0.5, momentum=0.8, nesterov=True), nn.Linear(1, 1))
    assert isinstance(sgd, torch.optim.SGD)
    for group in sgd.param_groups:
        assert (group["lr"], group["momentum"], group["nesterov"]) == (0.5, 0.8, True)
    adamw = build_optimizer(AdamWConfig(lr=0.5, betas=(0.5, 0.6)), nn.Linear(1, 1))
    assert isinstance(adamw, torch.optim.AdamW)
    assert all(tuple(group["betas"]) == (0.5, 0.6) for group in adamw.param_groups)
    assert {name: config().name for name, (_, config) in OPTIMIZERS.items()} == {"sgd": "sgd", "adamw": "adamw"}


@pytest.mark.parametrize("options", [{"lr": 0}, {"momentum": 1}, {"weight_decay": -1}, {"learning_rate": 0.1}])
def test_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SgdConfig(**options)
