"""Any classification network of torchvision, with the recipe's norm inside."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.config import Config
from dacn.errors import DataError, did_you_mean
from dacn.nn import convert_norm


class TorchvisionConfig(Config):
    """Any classification network of torchvision, such as resnet18 or mobilenet_v3_small."""

    name: Literal["torchvision"] = "torchvision"
    arch: str = Field("resnet18", description="a name that torchvision.models.get_model knows")
    pretrained: bool = Field(False, description="start from torchvision's ImageNet weights, downloaded once")

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
    """A torchvision network without its last layer, each BatchNorm in it replaced by the recipe's norm.

    With pretrained weights, every context of a layer starts at the statistics and the affine map of the BatchNorm it
    replaces. Networks without BatchNorm (ViT, ConvNeXt, Swin, VGG) stay as they are: they keep their LayerNorms.

    The stem is made for images of 224 pixels. Smaller ones pass through all but the ViT, but a ResNet sees 32x32 images
    as 1x1 maps at its end.

    Args:
        norm: makes the normalization layer for a number of channels.
        arch: a name that `torchvision.models.get_model` knows.
        pretrained: start from torchvision's ImageNet weights.

    Shape: x ``(B, 3, H, W)``, context ``(B,)``; returns ``(B, F)``, the input of the layer that was removed.

    Raises:
        DataError: the pretrained weights cannot be had.
    """

    takes_context = True

    def __init__(self, norm: Callable[[int], nn.Module], arch: str = "resnet18", pretrained: bool = False) -> None:
        super().__init__()
        net = _build(arch, pretrained)
        # Every network ends in a linear layer, or (SqueezeNet) in a 1x1 convolution before a mean over positions.
        name, last = [(n, m) for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
        self.out_features = last.in_features if isinstance(last, nn.Linear) else last.in_channels
        net.set_submodule(name, nn.Identity())
        self.normalized = any(isinstance(module, _BatchNorm) for module in net.modules())
        self.net: nn.Module = convert_norm(net, norm) if self.normalized else net

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the feature vectors."""
        features: Tensor = self.net(x, context) if self.normalized else self.net(x)
        return features


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
