"""The keys that every backbone from elsewhere has in a recipe."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StrictBool

from dacn.config import Config
from dacn.user_path import UserPath

Channels = tuple[float, float, float]
Deviations = tuple[
    Annotated[float, Field(gt=0)],
    Annotated[float, Field(gt=0)],
    Annotated[float, Field(gt=0)],
]
Pretrained = UserPath | StrictBool


class PretrainedConfig(Config):
    """What a network from elsewhere starts from, which of its layers change, and what images it expects."""

    pretrained: Pretrained = Field(
        False,
        description="start from the library's weights for arch, downloaded once, or from those in a file (.pt, .pth or "
        ".safetensors)",
        examples=[Path("weights/resnet50.pt")],
    )
    where: tuple[str, ...] | None = Field(
        None,
        description="norm layers that model.norm replaces: class names such as LayerNorm, or names in the network such "
        "as features.*; null: every BatchNorm; []: none",
        examples=[["LayerNorm"]],
    )
    mean: Channels | None = Field(
        None,
        description="of the channels of images from 0 to 1, which is taken off them; null: as the weights of arch "
        "expect it",
        examples=[[0.485, 0.456, 0.406]],
    )
    std: Deviations | None = Field(
        None, description="which they are divided by then; null: as the weights of arch expect it",
        examples=[[0.229, 0.224, 0.225]],
    )  # fmt: skip
    options: dict[str, bool | int | float | str] = Field(
        {},
        description="further arguments of the function that makes the network",
        examples=[{"drop_path_rate": 0.1}],
    )
