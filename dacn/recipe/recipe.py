"""The recipe: one file is one run. It composes the configs that lie beside the code they belong to."""

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from dacn.algorithms import AdaMatchConfig, AnyAlgorithmConfig, named_python
from dacn.config import Config, Word
from dacn.data.pair.pairs import DataConfig
from dacn.data.views.augment import AugmentConfig
from dacn.errors import RecipeError
from dacn.evaluation.config import EvaluateConfig
from dacn.models.build import ModelConfig
from dacn.recipe.errors import explain, show
from dacn.recipe.shipped import find_recipe, nearest_recipe
from dacn.recipe.text import text_as_written
from dacn.recipe.yaml import parse_written, plain, to_yaml
from dacn.trainer.config import TrainConfig
from dacn.trainer.optimizer import AnyOptimizerConfig, SgdConfig
from dacn.trainer.recorders import RecorderName
from dacn.trainer.schedule import AnyScheduleConfig, CosineConfig

MOST_BYTES = 1_000_000  # of a recipe file; the longest that ships has 1,500
FORM = "expected --set key.path=value, for example --set train.steps=500"


class Recipe(Config):
    """Everything that decides a run.

    The data are missing (None) only where a pair built in Python is handed over beside the recipe.
    """

    name: str = Field("run", description="what reports and the run's folder are called")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the weights, the order of images and their views")
    data: DataConfig | None = None
    augment: AugmentConfig = AugmentConfig()
    algorithm: Annotated[AnyAlgorithmConfig, Word(), BeforeValidator(named_python)] = Field(
        AdaMatchConfig(), description="the method"
    )
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    optimizer: Annotated[AnyOptimizerConfig, Word()] = Field(SgdConfig(), description="how weights follow gradients")
    schedule: Annotated[AnyScheduleConfig, Word()] = Field(
        CosineConfig(), description="the learning rate over training"
    )
    evaluate: EvaluateConfig = EvaluateConfig()
    tracking: tuple[RecorderName, ...] = Field(
        ("tensorboard",),
        description="where numbers, pictures and settings go, besides the run's own files; wandb and mlflow are extras "
        "to install, and take their own environment variables",
        examples=[["tensorboard", "wandb"]],
    )

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not name.strip(". ") or "/" in name or "\\" in name or not name.isprintable() or len(name) > 100:
            raise ValueError("expected a name for the run and its folder, without slashes, up to 100 characters")
        return name

    def to_yaml(self) -> str:
        """Return the recipe as YAML with every key explicit; it loads again as an equal recipe."""
        return to_yaml(self.model_dump(mode="json"))


def parse_recipe(tree: Mapping[str, Any], where: str) -> Recipe:
    """Check a tree of plain values.

    Args:
        tree: keys as in a recipe file; what is absent takes its default.
        where: what the message calls it.

    Raises:
        RecipeError: all problems at once.

    >>> parse_recipe({"algorithm": "source_only", "train": {"steps": 10}}, "example").algorithm.name
    'source_only'
    """
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(explain(error, where, schema())) from error


def load_recipe(path: Path | str, overrides: Iterable[str] = (), seed: int | None = None) -> Recipe:
    """Read a recipe file.

    Args:
        path: a YAML file, or the bare name of a recipe that comes with dacn. Its stem is the recipe's name unless it
            gives one.
        overrides: ``key.path=value`` each, the value in YAML; applied in order. What stands unquoted where text is
            expected is text, ``010`` and ``no`` too.
        seed: in place of the recipe's own.

    Raises:
        RecipeError: no such file, not YAML, a malformed override, or values that do not hold: all of them at once.
    """
    path = find_recipe(Path(path))
    content = _read(path)
    if len(content) > MOST_BYTES:
        raise RecipeError(f"{path}: this is too large for a recipe; expected at most {MOST_BYTES:,} bytes")
    tree = parse_written(content, str(path))
    if not isinstance(tree, dict):
        got = "nothing" if plain(tree) is None else show(plain(tree))
        raise RecipeError(f"{path}: expected keys such as `data:` and `algorithm:` at the top level, got {got}")
    for override in overrides:
        _apply(tree, override)
    if seed is not None:
        tree["seed"] = seed
    if plain(tree.get("data")) is None:
        tree["data"] = {}  # a file must name its images: DataConfig says how
    return parse_recipe({"name": path.stem} | text_as_written(tree, schema()), str(path))


@functools.cache  # each recipe that is read asks for it
def schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe file, for editors; every call returns the same tree."""
    tree = Recipe.model_json_schema()
    tree["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    tree["required"] = ["data"]
    tree["properties"]["data"] = {"$ref": "#/$defs/DataConfig"}
    for config in tree["$defs"].values():
        if "const" in config["properties"].get("name", {}):
            config["required"] = ["name"]  # it has a default in Python; in a file it says which config this is
    return tree


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)  # /dev/zero has no end
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: no such recipe{nearest_recipe(path)}") from error
    except IsADirectoryError as error:
        inside = path / "recipe.yaml"
        hint = f"; did you mean '{inside}'?" if inside.is_file() else ", expected a YAML file"
        raise RecipeError(f"{path}: is a folder{hint}") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from error


def _apply(tree: dict[str, Any], override: str) -> None:
    """Set one key of a tree of plain values, making the levels above it."""
    key_path, equals, text = override.partition("=")
    keys = key_path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"--set {override!r}: {FORM}")
    value = parse_written(text, f"--set {override!r}")
    level, default = tree, Recipe().model_dump()
    for depth, key in enumerate(keys[:-1], start=1):
        below = default.get(key)
        default = below if isinstance(below, dict) else {}
        if plain(level.get(key)) is None:  # `optimizer.lr=0.1` without an optimizer in the file: the default one
            level[key] = {"name": default["name"]} if "name" in default else {}
        elif isinstance(level[key], str):
            level[key] = {"name": level[key]}
        elif not isinstance(level[key], dict):
            parent = ".".join(keys[:depth])
            raise RecipeError(f"--set {override!r}: {parent} is {show(plain(level[key]))}, which has no keys; {FORM}")
        level = level[key]
    level[keys[-1]] = value
