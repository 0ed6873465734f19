"""The adaptation methods, one file each, written in the order of its paper; `ALGORITHMS` lists them.

May import `models`, `losses`, `batch`, `nn` and `dacn.data.domain`.
"""

from typing import Annotated, Any

from pydantic import Field

from dacn.algorithms.adamatch import AdaMatch, AdaMatchConfig
from dacn.algorithms.adamatch_ablation import AblatedAdaMatch, AblatedAdaMatchConfig
from dacn.algorithms.adamatch_flawed import FlawedAdaMatch, FlawedAdaMatchConfig
from dacn.algorithms.base import Algorithm, Losses
from dacn.algorithms.bnm import Bnm, BnmConfig
from dacn.algorithms.cdan import Cdan, CdanConfig
from dacn.algorithms.coral import Coral, CoralConfig
from dacn.algorithms.dann import Dann, DannConfig
from dacn.algorithms.fixmatch import FixMatch, FixMatchConfig
from dacn.algorithms.mcc import Mcc, MccConfig
from dacn.algorithms.mcd import Mcd, McdConfig
from dacn.algorithms.mmd import Mmd, MmdConfig
from dacn.algorithms.python_method import PythonMethodConfig, named_python, python_method
from dacn.algorithms.self_ensembling import SelfEnsembling, SelfEnsemblingConfig
from dacn.algorithms.source_only import SourceOnly, SourceOnlyConfig
from dacn.algorithms.supervised import Supervised, SupervisedConfig
from dacn.config import Config

ALGORITHMS: dict[str, tuple[type[Algorithm], type[Config]]] = {
    "adamatch": (AdaMatch, AdaMatchConfig),
    "adamatch_ablation": (AblatedAdaMatch, AblatedAdaMatchConfig),
    "adamatch_flawed": (FlawedAdaMatch, FlawedAdaMatchConfig),
    "bnm": (Bnm, BnmConfig),
    "cdan": (Cdan, CdanConfig),
    "coral": (Coral, CoralConfig),
    "dann": (Dann, DannConfig),
    "fixmatch": (FixMatch, FixMatchConfig),
    "mcc": (Mcc, MccConfig),
    "mcd": (Mcd, McdConfig),
    "mmd": (Mmd, MmdConfig),
    "self_ensembling": (SelfEnsembling, SelfEnsemblingConfig),
    "source_only": (SourceOnly, SourceOnlyConfig),
    "supervised": (Supervised, SupervisedConfig),
}
AnyAlgorithmConfig = Annotated[
    AdaMatchConfig
    | AblatedAdaMatchConfig
    | FlawedAdaMatchConfig
    | BnmConfig
    | CdanConfig
    | CoralConfig
    | DannConfig
    | FixMatchConfig
    | MccConfig
    | McdConfig
    | MmdConfig
    | SelfEnsemblingConfig
    | SourceOnlyConfig
    | SupervisedConfig
    | PythonMethodConfig,
    Field(discriminator="name"),
]


def method_of(config: Any) -> tuple[type[Algorithm], Any]:
    """Return the class of the method that ``config`` describes, and the config that it takes.

    Raises:
        RecipeError: a class of the user's that is not there, or no method.
    """
    if isinstance(config, PythonMethodConfig):
        return python_method(config)
    return ALGORITHMS[config.name][0], config


__all__ = [
    "ALGORITHMS",
    "AblatedAdaMatch",
    "AblatedAdaMatchConfig",
    "AdaMatch",
    "AdaMatchConfig",
    "Algorithm",
    "AnyAlgorithmConfig",
    "Bnm",
    "BnmConfig",
    "Cdan",
    "CdanConfig",
    "Coral",
    "CoralConfig",
    "Dann",
    "DannConfig",
    "FixMatch",
    "FixMatchConfig",
    "FlawedAdaMatch",
    "FlawedAdaMatchConfig",
    "Losses",
    "Mcc",
    "MccConfig",
    "Mcd",
    "McdConfig",
    "Mmd",
    "MmdConfig",
    "PythonMethodConfig",
    "SelfEnsembling",
    "SelfEnsemblingConfig",
    "SourceOnly",
    "SourceOnlyConfig",
    "Supervised",
    "SupervisedConfig",
    "method_of",
    "named_python",
]
