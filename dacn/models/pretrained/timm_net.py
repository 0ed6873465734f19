"""Any network of timm, with the recipe's norm inside."""

import copy
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import nn

from dacn.errors import DataError, RecipeError, did_you_mean
from dacn.models.pretrained.backbone import PretrainedBackbone
from dacn.models.pretrained.config import PretrainedConfig
from dacn.models.pretrained.take_weights import take_weights
from dacn.models.pretrained.weights_file import read_weights


class TimmConfig(PretrainedConfig):
    """Any network of timm, such as resnet50, tf_efficientnet_lite0 or vit_base_patch16_224 (needs dacn[timm])."""

    name: Literal["timm"] = "timm"
    arch: str = Field(
        "resnet50", description="a name that timm.create_model knows, with the tag of its weights if need be"
    )

    @field_validator("arch")
    @classmethod
    def _known(cls, arch: str) -> str:
        if find_spec("timm") is None:
            raise ValueError("a backbone of timm needs timm, not installed here: pip install 'dacn[timm]'")
        import timm

        name, _, tag = arch.partition(".")
        if not timm.is_model(name):
            known = timm.list_models()
            raise ValueError(
                f"timm has no network {name!r}{did_you_mean(name, known)} (timm.list_models() lists all {len(known):,})"
            )
        tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{name}.*")]
        if tag and tag not in tags:
            listed = f"it has {', '.join(tags)}" if tags else "it has none"
            raise ValueError(f"timm has no weights {tag!r} of {name}{did_you_mean(tag, tags)} ({listed})")
        return arch


def timm_net(
    norm: Callable[[int], nn.Module],
    arch: str = "resnet50",
    pretrained: bool | Path = False,
    where: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    by_blocks: bool = False,
    keep_eps: bool = False,
) -> PretrainedBackbone:
    """Return a network of timm without its last layer, norm layers in it replaced by the recipe's norm.

    Args:
        norm: makes the normalization layer for a number of channels.
        arch: a name that `timm.create_model` knows.
        pretrained: start from the weights that timm has for arch, or from those in a file.
        where: see `PretrainedBackbone`.
        mean, std: in place of those that timm's weights were trained with.
        options: further arguments of `timm.create_model`.
        by_blocks, keep_eps: see `PretrainedBackbone`.

    Raises:
        DataError: the pretrained weights cannot be had, or are another network's.
        RecipeError: ``where`` or ``options`` do not go with this network.
    """
    net = _build(arch, pretrained is True, options or {})
    names = {*net.state_dict()}
    net.reset_classifier(0)  # type: ignore[operator]
    head = names - {*net.state_dict()}
    notes = take_weights(net, read_weights(pretrained), head, pretrained) if isinstance(pretrained, Path) else []
    prepared: Mapping[str, Any] = net.pretrained_cfg  # type: ignore[assignment]
    size = _features(net, prepared["input_size"], arch)
    scale = (mean or prepared["mean"], std or prepared["std"])
    return PretrainedBackbone(net, size, norm, where, arch, scale, notes, by_blocks=by_blocks, keep_eps=keep_eps)


def _build(arch: str, pretrained: bool, options: Mapping[str, Any]) -> nn.Module:
    import timm

    try:
        net: nn.Module = timm.create_model(arch, pretrained=pretrained, **options)
    except (TypeError, AssertionError, ValueError) as error:
        raise RecipeError(f"model.backbone.options: {arch} does not take {dict(options)} ({error})") from error
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise DataError(
            f"the pretrained weights of {arch} cannot be had: {str(error).partition(chr(10))[0]}; download them where "
            "there is a network, into the folder that HF_HOME names, name a file of them, or set pretrained: false"
        ) from error
    return net


@torch.no_grad()
def _features(net: nn.Module, input_size: Sequence[int], arch: str) -> int:
    """Return how many features a network gives, by one without numbers: no attribute tells it of every network."""
    shapes = copy.deepcopy(net).to("meta").eval()
    features = shapes(torch.empty(1, *_size_of(net, input_size), device="meta"))
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        raise RecipeError(f"model.backbone.arch: {arch} gives no feature vector, so it cannot be a backbone")
    return features.shape[1]


def _size_of(net: nn.Module, input_size: Sequence[int]) -> Sequence[int]:
    """Return the image size that a network takes: a transformer is made for one, which ``options`` may have changed."""
    made_for = getattr(getattr(net, "patch_embed", None), "img_size", None)
    return input_size if made_for is None else (input_size[0], *made_for)
