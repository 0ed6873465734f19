"""The model part of a recipe, and the network it describes."""

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Self, cast

import torch
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from torch import nn

from dacn.config import Config, Word, plainly
from dacn.errors import RecipeError
from dacn.models.bottleneck import Bottleneck
from dacn.models.checkpointing import checkpoint_blocks
from dacn.models.classifier import Classifier
from dacn.models.input_scale import InputScale
from dacn.models.norms import AcnConfig, AnyNormConfig, InConfig, NoNormConfig, build_norm, norm_hint
from dacn.models.pretrained.backbone import PretrainedBackbone
from dacn.models.pretrained.config import PretrainedConfig
from dacn.models.pretrained.python_net import PythonConfig, python_net
from dacn.models.pretrained.timm_net import TimmConfig, timm_net
from dacn.models.pretrained.torchvision_net import TorchvisionConfig, architectures, torchvision_net
from dacn.models.small_cnn import SmallCnn, SmallCnnConfig
from dacn.models.vit import Vit, VitConfig
from dacn.models.wide_resnet import WideResNet, WideResNetConfig

BACKBONES: dict[str, tuple[Callable[..., nn.Module], type[Config]]] = {
    "python": (python_net, PythonConfig),
    "small_cnn": (SmallCnn, SmallCnnConfig),
    "timm": (timm_net, TimmConfig),
    "torchvision": (torchvision_net, TorchvisionConfig),
    "vit": (Vit, VitConfig),
    "wide_resnet": (WideResNet, WideResNetConfig),
}


def _named_python(value: Any) -> Any:
    """Take ``{python: "module:function"}`` for ``{name: python, python: ...}``, as it is in data."""
    return {"name": "python"} | value if isinstance(value, dict) and "python" in value else value


ALSO_CALLED = {"wrn": "wide_resnet", "wideresnet": "wide_resnet", "cnn": "small_cnn", "visiontransformer": "vit"}
"""What others call these, as `dacn.config.plainly` has it."""


def backbone_hint(word: str) -> str | None:
    """Return what a backbone of another name is here; None where it is not known."""
    known = {re.sub("[^a-z0-9]", "", arch): arch for arch in architectures()}
    if arch := known.get(re.sub("[^a-z0-9]", "", word.lower())):
        return f"a network of torchvision: expected {{name: torchvision, arch: {arch}}}"
    name = ALSO_CALLED.get(plainly(word))
    return None if name is None else f"expected {name!r}, as it is called here"


class ModelConfig(Config):
    """The network: its backbone, the norm at its input and the norm of every layer inside.

    A norm or backbone may be written as one word, ``norm: acn``, which stands for ``norm: {name: acn}``.
    """

    backbone: Annotated[
        PythonConfig | SmallCnnConfig | TimmConfig | TorchvisionConfig | VitConfig | WideResNetConfig,
        Field(discriminator="name"),
        Word(backbone_hint),
        BeforeValidator(_named_python),
    ] = Field(SmallCnnConfig(), description="what turns images into features")
    input_norm: Annotated[AnyNormConfig, Word(norm_hint)] = Field(
        cast(Any, None),
        validate_default=True,
        description="the norm of the images themselves; null: acn, or none for a backbone of a library or of yours, "
        "which scales images as its weights expect",
        examples=["acn"],
    )
    norm: Annotated[AnyNormConfig, Word(norm_hint)] = Field(
        AcnConfig(), validate_default=True, description="the norm of every layer inside the backbone"
    )
    bottleneck: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="width of a linear layer with norm and ReLU between backbone and head; features are then what "
        "leaves it; null: none",
        examples=[256],
    )

    @field_validator("input_norm", mode="before")
    @classmethod
    def _as_the_backbone_has_it(cls, norm: Any, info: ValidationInfo) -> Any:
        if norm is not None:
            return norm
        return NoNormConfig() if isinstance(info.data.get("backbone"), PretrainedConfig) else AcnConfig()

    @field_validator("input_norm")
    @classmethod
    def _task_at_the_input(cls, norm: Any) -> Any:
        return norm.model_copy(update={"fit": "task"}) if isinstance(norm, AcnConfig) and norm.fit is None else norm

    @model_validator(mode="after")
    def _norm_of_vectors(self) -> Self:
        if self.bottleneck is not None and isinstance(self.norm, InConfig):
            raise ValueError("bottleneck: a norm over positions (in) has none in a vector; use another model.norm")
        return self

    @field_validator("norm")
    @classmethod
    def _likelihood_inside(cls, norm: Any) -> Any:
        return (
            norm.model_copy(update={"fit": "likelihood"}) if isinstance(norm, AcnConfig) and norm.fit is None else norm
        )


def build_model(
    config: ModelConfig,
    num_classes: int,
    num_contexts: int,
    context_net: nn.Module | None = None,
    *,
    weights: bool = True,
    checkpoint_gradients: bool = False,
) -> Classifier:
    """Return the network that ``config`` describes, freshly initialized.

    Args:
        config: the model part of a recipe.
        num_classes, num_contexts: of the pair.
        context_net: see `Classifier`.
        weights: whether a pretrained backbone takes its weights; False: a checkpoint will replace them, and they need
            not be there. All else is as with them.
        checkpoint_gradients: compute the backbone's blocks anew for the backward pass, in place of keeping what they
            computed.

    Raises:
        DacnError: its parts do not go together, or its weights cannot be had.

    >>> model = build_model(ModelConfig(norm="cn"), num_classes=10, num_contexts=2)
    >>> type(model.backbone).__name__
    'SmallCnn'
    """
    make_backbone, _ = BACKBONES[config.backbone.name]
    norm = partial(build_norm, config.norm, num_contexts=num_contexts)
    options = config.backbone.model_dump(exclude={"name"})
    if isinstance(config.backbone, PretrainedConfig):
        pretrained = options["pretrained"]
        options |= {"pretrained": weights and pretrained, "keep_eps": pretrained is not False}
        options |= {"by_blocks": checkpoint_gradients}
    backbone = make_backbone(norm, **options)
    if checkpoint_gradients:
        checkpoint_blocks(backbone)
    scale = backbone.scale if isinstance(backbone, PretrainedBackbone) else None
    width = cast(int, backbone.out_features)
    return Classifier(
        build_norm(config.input_norm, 3, num_contexts),
        backbone,
        num_classes,
        context_net,
        input_scale=None if scale is None else InputScale(*scale),
        bottleneck=None if config.bottleneck is None else Bottleneck(width, config.bottleneck, norm),
    )


def notes_on(model: Classifier) -> tuple[str, ...]:
    """Return what to tell of the weights that a network started from and of the layers that it kept."""
    return model.backbone.notes if isinstance(model.backbone, PretrainedBackbone) else ()


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
