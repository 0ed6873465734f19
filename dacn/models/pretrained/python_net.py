"""A network of the user's own, made by a function that the recipe names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dacn.errors import RecipeError
from dacn.models.pretrained.backbone import PretrainedBackbone
from dacn.models.pretrained.config import PretrainedConfig
from dacn.models.pretrained.take_weights import take_weights
from dacn.models.pretrained.weights_file import read_weights
from dacn.named_function import PATTERN, named_function
from dacn.user_path import UserPath

TRIED = (224, 256, 96, 64, 32)
"""Pixels of the images that a network is tried on, until it takes one."""


class PythonConfig(PretrainedConfig):
    """A function of yours that returns a network: images in, feature vectors out."""

    name: Literal["python"] = "python"
    python: str = Field(pattern=PATTERN, description="module and function", examples=["my_package.nets:tiny"])
    path: UserPath = Field(
        Path("."), description="the folder that holds the module, where Python would not find it; the working directory"
    )

    @model_validator(mode="after")
    def _has_weights_of_its_own(self) -> Self:
        if self.pretrained is True:
            raise ValueError(
                "pretrained: true is for networks of a library; let the function load weights, or name their file"
            )
        return self


def python_net(
    norm: Callable[[int], nn.Module],
    python: str,
    path: Path = Path("."),
    pretrained: bool | Path = False,
    where: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    by_blocks: bool = False,
    keep_eps: bool = False,
) -> PretrainedBackbone:
    """Return the network that a function of the user's makes, norm layers in it replaced by the recipe's norm.

    It takes images ``(B, 3, H, W)`` and returns features ``(B, F)``. A network that says ``takes_context = True`` is
    called with the context too and keeps its layers. The input scale is that of its attribute ``pretrained_cfg``, a
    mapping with mean and std as timm's networks have it, where there is one.

    Args:
        norm: makes the normalization layer for a number of channels.
        python: ``"package.module:function"``.
        path: the folder that holds the module.
        pretrained: a file of weights to start from.
        where: see `PretrainedBackbone`.
        mean, std: the input scale, in place of the network's own.
        options: arguments of the function.
        by_blocks, keep_eps: see `PretrainedBackbone`.

    Raises:
        DataError: weights that are another network's.
        RecipeError: no such function, it fails, or what it returns is no network that gives features.
    """
    try:
        net = named_function(python, path, RecipeError)(**options or {})
    except RecipeError:
        raise
    except Exception as error:  # a user's own code may raise anything
        raise RecipeError(f"model.backbone: {python}: the function failed: {type(error).__name__}: {error}") from error
    if not isinstance(net, nn.Module):
        raise RecipeError(f"model.backbone: {python}: expected a torch.nn.Module, got {type(net).__name__}")
    notes = take_weights(net, read_weights(pretrained), (), pretrained) if isinstance(pretrained, Path) else []
    own: Any = getattr(net, "pretrained_cfg", None)
    own = own if isinstance(own, Mapping) else {}
    mean, std = mean or own.get("mean"), std or own.get("std")
    if (mean is None) != (std is None):
        raise RecipeError(f"model.backbone: {python}: mean and std go together; give both")
    scale = None if mean is None or std is None else (mean, std)
    chosen = [] if getattr(net, "takes_context", False) and where is None else where
    size = _features(net, python)
    return PretrainedBackbone(net, size, norm, chosen, python, scale, notes, by_blocks=by_blocks, keep_eps=keep_eps)


@torch.no_grad()
def _features(net: nn.Module, python: str) -> int:
    """Return how many features a network gives, as it says by ``out_features`` or when it is tried."""
    said = getattr(net, "out_features", None)
    if isinstance(said, int):
        return said
    training, refused = net.training, None
    net.eval()
    for x in _examples(net):
        try:
            features = net(x)
        except Exception as error:  # a user's own code may raise anything
            refused = error
            continue
        net.train(training)
        if not isinstance(features, Tensor) or features.ndim != 2:
            got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise RecipeError(
                f"model.backbone: {python}: its output for one image is {got}, expected features (1, F); end the "
                "network in nn.AdaptiveAvgPool2d(1) and nn.Flatten(), without a classification layer"
            )
        return features.shape[1]
    raise RecipeError(
        f"model.backbone: {python}: takes no image of {', '.join(map(str, TRIED))} pixels "
        f"({type(refused).__name__}: {refused}); give the network an attribute out_features"
    ) from refused


def _examples(net: nn.Module) -> Iterable[Tensor]:
    like = next(net.parameters(), torch.empty(0))
    return (like.new_zeros(1, 3, side, side) for side in TRIED)
