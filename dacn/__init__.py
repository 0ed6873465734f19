"""dacn: unsupervised domain adaptation of image classifiers with Adaptive Context Normalization.

The public names are imported on first use, so that ``import dacn`` and ``dacn --help`` do not wait for torch.

Example::

    import dacn

    pair = dacn.DomainPair(source="photos", target="sketches", flips=True)
    run = dacn.train(pair, algorithm="adamatch", model={"norm": "acn"}, steps=2000)
    probabilities = run.network.predict("new photographs")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dacn import losses as losses
    from dacn import nn as nn
    from dacn.api import TrainedRun as TrainedRun
    from dacn.api import train as train
    from dacn.data.domain import Domain as Domain
    from dacn.data.domain import DomainPair as DomainPair
    from dacn.data.pair.pairs import DataConfig as DataConfig
    from dacn.data.pair.pairs import build_pair as build_pair
    from dacn.data.read.folder import folder as folder
    from dacn.data.read.npz import npz as npz
    from dacn.deploy.adapt.adapt import adapt_run as adapt_run
    from dacn.deploy.evaluation import evaluate_run as evaluate_run
    from dacn.deploy.export import export_run as export_run
    from dacn.deploy.loading import load_run as load_run
    from dacn.deploy.prediction import predict_run as predict_run
    from dacn.domain_adapter import DomainAdapter as DomainAdapter
    from dacn.errors import DacnError as DacnError
    from dacn.recipe.recipe import Recipe as Recipe
    from dacn.recipe.recipe import load_recipe as load_recipe
    from dacn.run.run import train_recipe as train_recipe

__version__ = "0.1.0"

_HOMES = {
    "DomainAdapter": "dacn.domain_adapter",
    "DacnError": "dacn.errors",
    "DataConfig": "dacn.data.pair.pairs",
    "Domain": "dacn.data.domain",
    "DomainPair": "dacn.data.domain",
    "Recipe": "dacn.recipe.recipe",
    "adapt_run": "dacn.deploy.adapt.adapt",
    "build_pair": "dacn.data.pair.pairs",
    "evaluate_run": "dacn.deploy.evaluation",
    "export_run": "dacn.deploy.export",
    "folder": "dacn.data.read.folder",
    "load_recipe": "dacn.recipe.recipe",
    "load_run": "dacn.deploy.loading",
    "npz": "dacn.data.read.npz",
    "predict_run": "dacn.deploy.prediction",
    "TrainedRun": "dacn.api",
    "train": "dacn.api",
    "train_recipe": "dacn.run.run",
}
_PACKAGES = ("losses", "nn")
__all__ = sorted([*_HOMES, *_PACKAGES])


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"dacn.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'dacn' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
