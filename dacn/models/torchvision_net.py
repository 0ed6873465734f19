"""Any classification network of torchvision, with the recipe's norm inside."""

from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.config import Config
from dacn.errors import DataError, RecipeError, did_you_mean
from dacn.nn import convert_norm
from dacn.nn.convert.layout import norm_layers


class TorchvisionConfig(Config):
    """Any classification network of torchvision, such as resnet18 or mobilenet_v3_small."""

    name: Literal["torchvision"] = "torchvision"
    arch: str = Field("resnet18", description="a name that torchvision.models.get_model knows")
    pretrained: bool = Field(False, description="start from torchvision's ImageNet weights, downloaded once")
    where: tuple[str, ...] | None = Field(
        None,
        description="norm layers that model.norm replaces: class names such as LayerNorm, or names in the network such "
        "as features.*; null: every BatchNorm; []: none",
        examples=[["LayerNorm"]],
    )

    @field_validator("arch")
    @classmethod
    def _known(cls, arch: str) -> str:
        from torchvision import models

        known = models.list_models(module=models)  # this module alone holds the classification networks
        if arch not in known:
            raise ValueError(
                f"torchvision has no classification network {arch!r}{did_you_mean(arch, known)} "
                f"(it has {', '.join(known[:4])} and {len(known) - 4} more)"
            )
        return arch


class TorchvisionNet(nn.Module):
    """A torchvision network without its last layer, norm layers in it replaced by the recipe's norm.

    With pretrained weights, every context of a layer starts at the affine map and, from a BatchNorm, at the statistics
    of the layer it replaces. A LayerNorm has no statistics to hand on: replacing one changes a pretrained network.

    The stem is made for images of 224 pixels. Smaller ones pass through all but the ViT, but a ResNet sees 32x32 images
    as 1x1 maps at its end. Pretrained weights expect channels of mean 0 and variance 1, which an input norm gives.

    Args:
        norm: makes the normalization layer for a number of channels.
        arch: a name that `torchvision.models.get_model` knows.
        pretrained: start from torchvision's ImageNet weights.
        where: which norm layers are replaced: class names and names in the network, ``*`` for any part of one. None:
            every BatchNorm. Empty: none.

    Shape: x ``(B, 3, H, W)``, context ``(B,)``; returns ``(B, F)``, the input of the layer that was removed.

    Raises:
        DataError: the pretrained weights cannot be had.
        RecipeError: a norm layer named in ``where`` is not there or cannot be replaced; or the network has norm layers
            but no BatchNorm (ConvNeXt, Swin, ViT) and ``where`` does not choose.
    """

    takes_context = True

    def __init__(
        self,
        norm: Callable[[int], nn.Module],
        arch: str = "resnet18",
        pretrained: bool = False,
        where: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        net = _build(arch, pretrained)
        # Every network ends in a linear layer, or (SqueezeNet) in a 1x1 convolution before a mean over positions.
        name, last = [(n, m) for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
        self.out_features = last.in_features if isinstance(last, nn.Linear) else last.in_channels
        net.set_submodule(name, nn.Identity())
        chosen = _choose(arch, norm_layers(net), where)
        self.converted = bool(chosen)
        try:
            self.net: nn.Module = convert_norm(net, norm, where=chosen) if chosen else net
        except ValueError as error:
            raise RecipeError(f"model.backbone: {arch}: {error}") from error

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the feature vectors."""
        features: Tensor = self.net(x, context) if self.converted else self.net(x)
        return features


def _choose(arch: str, present: dict[str, nn.Module], where: Sequence[str] | None) -> list[str]:
    """Return the names of the norm layers that ``where`` means."""
    kinds = Counter(type(layer).__name__ for layer in present.values())
    listed = ", ".join(f"{kind} ({count})" for kind, count in kinds.items()) or "none"
    if where is None:
        chosen = [name for name, layer in present.items() if isinstance(layer, _BatchNorm)]
        if present and not chosen:
            raise RecipeError(
                f"model.backbone.where: {arch} has no BatchNorm, say which norm layers model.norm replaces: "
                f"class names ({listed}), names in the network ({next(iter(present))}), or [] for none"
            )
        return chosen
    found = {
        pattern: {n for n, layer in present.items() if type(layer).__name__ == pattern or fnmatchcase(n, pattern)}
        for pattern in where
    }
    for pattern, names in found.items():
        if not names:
            hint = did_you_mean(pattern, [*kinds, *present])
            raise RecipeError(f"model.backbone.where: {arch} has no norm layer {pattern!r}{hint} (it has {listed})")
    return [name for name in present if any(name in names for names in found.values())]


def _build(arch: str, pretrained: bool) -> nn.Module:
    from torchvision import models

    # These two give more than one output in training unless told otherwise, and warn about their slow start.
    options: dict[str, Any] = {}
    if arch in ("googlenet", "inception_v3"):
        options = {"aux_logits": False} | ({} if pretrained else {"init_weights": True})
    try:
        net: nn.Module = models.get_model(arch, weights="DEFAULT" if pretrained else None, **options)
    except OSError as error:
        raise DataError(
            f"the pretrained weights of {arch} cannot be had: {error}; download them where there is a network, into "
            "the folder that torch.hub.get_dir() names, or set pretrained: false"
        ) from error
    return net
