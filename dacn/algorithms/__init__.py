"""The methods: each one file, one screen, in its paper's order."""

from typing import Annotated

from pydantic import Field

from dacn.algorithms.adamatch import AdaMatch, AdaMatchConfig
from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.source_only import SourceOnly, SourceOnlyConfig
from dacn.config import Config

ALGORITHMS: dict[str, tuple[type[Algorithm], type[Config]]] = {
    "adamatch": (AdaMatch, AdaMatchConfig),
    "source_only": (SourceOnly, SourceOnlyConfig),
}
AnyAlgorithmConfig = Annotated[AdaMatchConfig | SourceOnlyConfig, Field(discriminator="name")]

__all__ = [
    "ALGORITHMS",
    "AdaMatch",
    "AdaMatchConfig",
    "Algorithm",
    "AnyAlgorithmConfig",
    "Losses",
    "SourceOnly",
    "SourceOnlyConfig",
]
