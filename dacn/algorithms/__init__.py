"""The adaptation methods, one file each, written in the order of its paper; `ALGORITHMS` lists them.

May import `models`, `losses`, `batch`, `nn` and `dacn.data.domain`.
"""

from typing import Annotated

from pydantic import Field

from dacn.algorithms.adamatch import AdaMatch, AdaMatchConfig
from dacn.algorithms.adamatch_ablation import AblatedAdaMatch, AblatedAdaMatchConfig
from dacn.algorithms.adamatch_flawed import FlawedAdaMatch, FlawedAdaMatchConfig
from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.dann import Dann, DannConfig
from dacn.algorithms.fixmatch import FixMatch, FixMatchConfig
from dacn.algorithms.source_only import SourceOnly, SourceOnlyConfig
from dacn.algorithms.supervised import Supervised, SupervisedConfig
from dacn.config import Config

ALGORITHMS: dict[str, tuple[type[Algorithm], type[Config]]] = {
    "adamatch": (AdaMatch, AdaMatchConfig),
    "adamatch_ablation": (AblatedAdaMatch, AblatedAdaMatchConfig),
    "adamatch_flawed": (FlawedAdaMatch, FlawedAdaMatchConfig),
    "dann": (Dann, DannConfig),
    "fixmatch": (FixMatch, FixMatchConfig),
    "source_only": (SourceOnly, SourceOnlyConfig),
    "supervised": (Supervised, SupervisedConfig),
}
AnyAlgorithmConfig = Annotated[
    AdaMatchConfig
    | AblatedAdaMatchConfig
    | FlawedAdaMatchConfig
    | DannConfig
    | FixMatchConfig
    | SourceOnlyConfig
    | SupervisedConfig,
    Field(discriminator="name"),
]

__all__ = [
    "ALGORITHMS",
    "AblatedAdaMatch",
    "AblatedAdaMatchConfig",
    "AdaMatch",
    "AdaMatchConfig",
    "Algorithm",
    "AnyAlgorithmConfig",
    "Dann",
    "DannConfig",
    "FixMatch",
    "FixMatchConfig",
    "FlawedAdaMatch",
    "FlawedAdaMatchConfig",
    "Losses",
    "SourceOnly",
    "SourceOnlyConfig",
    "Supervised",
    "SupervisedConfig",
]
