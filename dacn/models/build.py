"""The model part of a recipe, and the network it describes."""

from functools import partial
from typing import Annotated, Any

import torch
from pydantic import Field, field_validator
from torch import nn

from dacn.config import Config, Word
from dacn.errors import RecipeError
from dacn.models.classifier import Classifier
from dacn.models.norms import AcnConfig, AnyNormConfig, build_norm
from dacn.models.small_cnn import SmallCnn, SmallCnnConfig
from dacn.models.torchvision_net import TorchvisionConfig, TorchvisionNet
from dacn.models.vit import Vit, VitConfig
from dacn.models.wide_resnet import WideResNet, WideResNetConfig

BACKBONES: dict[str, tuple[type[nn.Module], type[Config]]] = {
    "small_cnn": (SmallCnn, SmallCnnConfig),
    "torchvision": (TorchvisionNet, TorchvisionConfig),
    "vit": (Vit, VitConfig),
    "wide_resnet": (WideResNet, WideResNetConfig),
}


class ModelConfig(Config):
    """The network: its backbone, the norm at its input and the norm of every layer inside.

    A norm or backbone may be written as one word, ``norm: acn``, which stands for ``norm: {name: acn}``.
    """

    backbone: Annotated[
        SmallCnnConfig | TorchvisionConfig | VitConfig | WideResNetConfig, Field(discriminator="name"), Word()
    ] = Field(SmallCnnConfig(), description="what turns images into features")
    input_norm: Annotated[AnyNormConfig, Word()] = Field(
        AcnConfig(), validate_default=True, description="the norm of the images themselves"
    )
    norm: Annotated[AnyNormConfig, Word()] = Field(
        AcnConfig(), validate_default=True, description="the norm of every layer inside the backbone"
    )

    @field_validator("input_norm")
    @classmethod
    def _task_at_the_input(cls, norm: Any) -> Any:
        return norm.model_copy(update={"fit": "task"}) if isinstance(norm, AcnConfig) and norm.fit is None else norm

    @field_validator("norm")
    @classmethod
    def _likelihood_inside(cls, norm: Any) -> Any:
        return (
            norm.model_copy(update={"fit": "likelihood"}) if isinstance(norm, AcnConfig) and norm.fit is None else norm
        )


def build_model(
    config: ModelConfig, num_classes: int, num_contexts: int, context_net: nn.Module | None = None
) -> Classifier:
    """Return the network that ``config`` describes, freshly initialized.

    >>> model = build_model(ModelConfig(norm="cn"), num_classes=10, num_contexts=2)
    >>> type(model.backbone).__name__
    'SmallCnn'
    """
    backbone_class, _ = BACKBONES[config.backbone.name]
    norm = partial(build_norm, config.norm, num_contexts=num_contexts)
    backbone = backbone_class(norm, **config.backbone.model_dump(exclude={"name"}))
    return Classifier(build_norm(config.input_norm, 3, num_contexts), backbone, num_classes, context_net)


@torch.no_grad()
def require_image_size(model: nn.Module, height: int, width: int) -> None:
    """Pass one image through a network in evaluation, which leaves it as it was.

    Raises:
        RecipeError: the network does not take images of this size.
    """
    like, training = next(model.parameters()), model.training
    context = torch.zeros(1, dtype=torch.int64, device=like.device)
    try:
        model.eval()(like.new_zeros(1, 3, height, width), context)
    except (AssertionError, RuntimeError, ValueError) as error:
        if "Allocator" in str(error):  # too little memory, which is not about the size
            raise
        raise RecipeError(
            f"data.image_size: the backbone cannot take images of {height}x{width} pixels ({str(error).strip()}); set "
            "another data.image_size or model.backbone"
        ) from error
    finally:
        model.train(training)
