"""Tiny networks that the methods are tried on, in double precision, and what they compute in plain torch."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from dacn.models.build import ModelConfig, build_model
from dacn.models.classifier import Classifier
from dacn.nn import ContextBatchNorm

NEW = 2
"""Index of the new context in networks of three."""


def network(norm: object = None, classes: int = 4, seed: int = 2) -> Classifier:
    """Return a small network of three contexts whose tables are not those of a fresh one."""
    torch.manual_seed(seed)
    norms = {"name": "cn", "affine": "own"} if norm is None else norm
    config = ModelConfig.model_validate(
        {"backbone": {"name": "small_cnn", "width": 4}, "input_norm": "none", "norm": norms}
    )
    model = build_model(config, classes, 3).double().eval()
    for layer in model.modules():
        if isinstance(layer, ContextBatchNorm):
            nn.init.normal_(layer.running_mean, std=0.3)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            layer.frequency.fill_(1 / 3)
            layer.initialized.fill_(True)
        if getattr(layer, "running_mean", None) is not None or isinstance(layer, nn.GroupNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
    nn.init.normal_(model.head.weight, std=2.0)
    return model


def images(count: int, seed: int = 1) -> Tensor:
    """Return images on the network's input scale, (N, 3, 16, 16)."""
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain(model: Classifier, x: Tensor, affine: dict[str, Tensor], *, batch: bool = True) -> Tensor:
    """Return the scores under the new context by plain torch, gamma and beta of each layer taken from ``affine``.

    Args:
        model: a network of `network`.
        x: images.
        affine: gammas and betas ``(C,)`` by ``<layer>.weight`` and ``<layer>.bias``.
        batch: normalize by the batch's statistics, else by the running ones.
    """
    for index, layer in enumerate(model.backbone.layers):  # type: ignore[arg-type]
        if isinstance(layer, ContextBatchNorm):
            weight, bias = affine[f"{index}.weight"], affine[f"{index}.bias"]
            mean = x.mean((0, 2, 3)) if batch else layer.running_mean[NEW]
            var = x.var((0, 2, 3), unbiased=False) if batch else layer.running_var[NEW]
            scale = weight / (var + layer.eps).sqrt()
            x = (x - mean[:, None, None]) * scale[:, None, None] + bias[:, None, None]
        elif isinstance(layer, nn.LeakyReLU):
            x = torch.where(x > 0, x, 0.1 * x)
        else:
            x = copy.deepcopy(layer)(x)
    return x.mean((2, 3)) @ model.head.weight.T + model.head.bias


def affine_of(model: Classifier) -> dict[str, Tensor]:
    """Return copies of the new context's gammas and betas, with gradient, by their names in `plain`."""
    return {
        f"{index}.{name}": getattr(layer, name)[NEW].detach().clone().requires_grad_(True)
        for index, layer in enumerate(model.backbone.layers)  # type: ignore[arg-type]
        if isinstance(layer, ContextBatchNorm)
        for name in ("weight", "bias")
    }


def assert_affine(model: Classifier, expected: dict[str, Tensor]) -> None:
    """The new context's gammas and betas are those."""
    for name, value in affine_of(model).items():
        torch.testing.assert_close(value, expected[name], msg=lambda text, name=name: f"{name}: {text}")


def changed(before: dict[str, Tensor], model: nn.Module) -> set[str]:
    """Return the last parts of the names of everything in the state that is not what it was."""
    return {
        name.rpartition(".")[2] for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }


def known_rows(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what known contexts are made of: every table without the new row, and all that is no table."""
    tables = ("running_mean", "running_var", "weight", "bias", "frequency", "initialized")
    rows = {}
    for name, value in state.items():
        of_norm = name.rpartition(".")[2] in tables and f"{name.rpartition('.')[0]}.running_mean" in state
        rows[name] = value[:NEW].clone() if of_norm else value.clone()
    return rows


def noise_images(count: int) -> np.ndarray:
    """Return images of noise as bytes, (N, 32, 32, 3)."""
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
