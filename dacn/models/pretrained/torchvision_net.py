"""Any classification network of torchvision, with the recipe's norm inside."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator
from torch import nn

from dacn.errors import DataError, RecipeError, did_you_mean
from dacn.models.pretrained.backbone import PretrainedBackbone
from dacn.models.pretrained.config import PretrainedConfig
from dacn.models.pretrained.take_weights import take_weights
from dacn.models.pretrained.weights_file import read_weights


def architectures() -> list[str]:
    """Return the names of torchvision's classification networks."""
    from torchvision import models

    names: list[str] = models.list_models(module=models)  # this module alone holds the classification networks
    return names


class TorchvisionConfig(PretrainedConfig):
    """Any classification network of torchvision, such as resnet18 or mobilenet_v3_small."""

    name: Literal["torchvision"] = "torchvision"
    arch: str = Field("resnet18", description="a name that torchvision.models.get_model knows")

    @field_validator("arch")
    @classmethod
    def _known(cls, arch: str) -> str:
        known = architectures()
        if arch not in known:
            raise ValueError(
                f"torchvision has no classification network {arch!r}{did_you_mean(arch, known)} "
                f"(it has {', '.join(known[:4])} and {len(known) - 4} more)"
            )
        return arch


def torchvision_net(
    norm: Callable[[int], nn.Module],
    arch: str = "resnet18",
    pretrained: bool | Path = False,
    where: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    by_blocks: bool = False,
    keep_eps: bool = False,
) -> PretrainedBackbone:
    """Return a torchvision network without its last layer, norm layers in it replaced by the recipe's norm.

    The stem is made for images of 224 pixels. Smaller ones pass through all but the ViT, but a ResNet sees 32x32 images
    as 1x1 maps at its end.

    Args:
        norm: makes the normalization layer for a number of channels.
        arch: a name that `torchvision.models.get_model` knows.
        pretrained: start from torchvision's weights, or from those in a file.
        where: see `PretrainedBackbone`.
        mean, std: in place of those that torchvision's weights were trained with.
        options: further arguments of torchvision's function.
        by_blocks, keep_eps: see `PretrainedBackbone`.

    Raises:
        DataError: the pretrained weights cannot be had, or are another network's.
        RecipeError: ``where`` or ``options`` do not go with this network.
    """
    from torchvision import models

    net = _build(arch, pretrained is True, options or {})
    names = {*net.state_dict()}
    # Every network ends in a linear layer, or (SqueezeNet) in a 1x1 convolution before a mean over positions.
    name, last = [(n, m) for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
    net.set_submodule(name, nn.Identity())
    head = names - {*net.state_dict()}
    notes = take_weights(net, read_weights(pretrained), head, pretrained) if isinstance(pretrained, Path) else []
    prepared = models.get_model_weights(arch).DEFAULT.transforms()
    return PretrainedBackbone(
        net,
        last.in_features if isinstance(last, nn.Linear) else last.in_channels,
        norm,
        where,
        arch,
        (mean or prepared.mean, std or prepared.std),
        notes,
        by_blocks=by_blocks,
        keep_eps=keep_eps,
    )


def _build(arch: str, pretrained: bool, options: Mapping[str, Any]) -> nn.Module:
    from torchvision import models

    # These two give more than one output in training unless told otherwise, and warn about their slow start.
    own: dict[str, Any] = {}
    if arch in ("googlenet", "inception_v3"):
        own = {"aux_logits": False} | ({} if pretrained else {"init_weights": True})
    try:
        net: nn.Module = models.get_model(arch, weights="DEFAULT" if pretrained else None, **own | dict(options))
    except (TypeError, ValueError) as error:
        raise RecipeError(f"model.backbone.options: {arch} does not take {dict(options)} ({error})") from error
    except OSError as error:
        raise DataError(
            f"the pretrained weights of {arch} cannot be had: {error}; download them where there is a network, into "
            "the folder that torch.hub.get_dir() names, name a file of them, or set pretrained: false"
        ) from error
    return net
