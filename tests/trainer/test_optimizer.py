import pytest
import torch
from pydantic import ValidationError
from torch import nn

from dacn.models.build import ModelConfig, build_model
from dacn.trainer.optimizer import OPTIMIZERS, AdamWConfig, SgdConfig, build_optimizer

CONFIGS = [SgdConfig(), AdamWConfig()]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize(
    "backbone",
    [
        "small_cnn",
        {"name": "wide_resnet", "depth": 10, "width": 1},
        {"name": "vit", "depth": 1, "width": 24, "where": "every"},
    ],
    ids=str,
)
@pytest.mark.parametrize("norm", ["acn", "acn_base", "cn", "bn", "gn", "in", {"name": "acn", "fit": "task"}])
def test_only_convolution_and_linear_weights_decay(config: SgdConfig, backbone: object, norm: object) -> None:
    model = build_model(ModelConfig(norm=norm, input_norm=norm, backbone=backbone), 10, 2)
    optimizer = build_optimizer(config, model)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decay) == sum(len(group["params"]) for group in optimizer.param_groups)  # nothing twice
    for name, parameter in model.named_parameters():
        is_linear = name == "head.weight" or any(part in name for part in ("qkv.w", "project.w", "mlp.0.w", "mlp.2.w"))
        is_kernel = is_linear or (parameter.ndim == 4 and name != "backbone.positions")
        assert decay.pop(id(parameter)) == (config.weight_decay if is_kernel else 0), name
    assert not decay


@pytest.mark.parametrize("widths", [{}, {"kdim": 3, "vdim": 5}])
def test_attention_of_torch_decays_its_bare_weights(widths: dict[str, int]) -> None:
    attention = nn.MultiheadAttention(4, 2, add_bias_kv=True, **widths)
    decayed, rest = (group["params"] for group in build_optimizer(SgdConfig(), attention).param_groups)
    names = {id(parameter): name for name, parameter in attention.named_parameters()}
    stacked = {"q_proj_weight", "k_proj_weight", "v_proj_weight"} if widths else {"in_proj_weight"}
    assert {names[id(parameter)] for parameter in decayed} == {"out_proj.weight"} | stacked
    assert len(decayed) + len(rest) == len(names)


def test_other_convolutions_decay() -> None:
    net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.Conv3d(2, 3, 1), nn.ConvTranspose2d(2, 3, 1))
    decayed, _ = (group["params"] for group in build_optimizer(SgdConfig(), net).param_groups)
    assert [id(weight) for weight in decayed] == [id(layer.weight) for layer in net]


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
