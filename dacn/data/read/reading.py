"""How images are read, whatever they are of."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from dacn.config import Config
from dacn.data.fit import Resize
from dacn.data.read.paths import UserPath
from dacn.errors import DataError


class ReadingConfig(Config):
    """Where files lie, how their images are brought to one size, and what is held in memory."""

    root: UserPath = Field(
        Path("data"),
        description="where the files of named and torchvision data sets lie; as every path in a recipe it may hold "
        "~ and $VARIABLES, and a relative one starts at the working directory, wherever the recipe lies",
    )
    download: bool = Field(False, description="fetch files that are absent")
    image_size: int | None = Field(
        None,
        ge=8,
        le=512,
        description="pixels of both sides; null: 32, and for folders the largest of 32, 48 and 64 to which the files "
        "of source and target need not be enlarged, told before training; with resize_size 7/8 of it",
        examples=[64],
    )
    resize_size: int | None = Field(
        None,
        ge=8,
        le=640,
        description="pixels of both sides that images are brought to; training views are cut from these, anything else "
        "sees their centre square of image_size. null: image_size, all of the image",
        examples=[256],
    )
    resize: Resize = Field(
        "crop", description="of images that are no squares. crop: centre; pad: all of it in black margins; stretch"
    )
    range: Literal["auto"] | tuple[float, float] = Field(
        "auto",
        description="[low, high]: what becomes black and what white in images of more than 8 bits. auto: 0 to the "
        "least of 255, 1023, 4095, 16383, 65535 that no 16-bit value of the run exceeds, told before training; signed, "
        "32-bit and float values need it stated",
        examples=[[0, 4095]],
    )
    on_bad_image: Literal["error", "skip"] = Field(
        "error", description="image files that cannot be read. error: name them and stop; skip: name them and go on"
    )
    resident_mb: int = Field(
        1024, ge=0, le=1_000_000, description="MiB of images held in memory; files of more are decoded while training"
    )
    cache: UserPath | None = Field(
        None,
        description="folder that images are kept in decoded, at the size they are read at, where they do not fit in "
        "resident_mb: decoded once for all runs; null: decoded while training",
        examples=["data/cache"],
    )
    workers: int | None = Field(
        None, ge=1, le=64, description="threads that decode files; null: the cores, at most 8", examples=[4]
    )

    @field_validator("range")
    @classmethod
    def _upward(cls, value: Any) -> Any:
        if value != "auto" and not value[0] < value[1]:
            raise ValueError(f"expected [low, high] with low below high, got [{value[0]:g}, {value[1]:g}]")
        return value

    @model_validator(mode="after")
    def _holds_the_crop(self) -> Self:
        if self.resize_size is not None and self.image_size is not None and self.resize_size < self.image_size:
            raise ValueError(
                f"data.resize_size: got {self.resize_size}, but data.image_size is {self.image_size} and is cut out of "
                f"it; expected at least {self.image_size}, usually {round(self.image_size * 8 / 7)}"
            )
        return self

    @property
    def side(self) -> int:
        """Pixels of both sides of what is shown: 7/8 of resize_size, or 32, where nothing is said or chosen."""
        if self.image_size is not None:
            return self.image_size
        return 32 if self.resize_size is None else max(8, round(self.resize_size * 7 / 8))

    @property
    def read_size(self) -> int:
        """Pixels of both sides that images are read at."""
        return self.side if self.resize_size is None else self.resize_size

    @property
    def crop(self) -> int | None:
        """Pixels of both sides of the centre square that is shown, None where that is all of the image."""
        return None if self.resize_size in (None, self.side) else self.side


def reading_config(**values: Any) -> ReadingConfig:
    """Return the config of these values.

    Raises:
        DataError: one of them does not hold; the message names it.
    """
    try:
        return ReadingConfig(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        raise DataError(f"{name}: got {problem['input']!r}; {problem['msg'].lower()}") from error
