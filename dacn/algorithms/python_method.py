"""A method of the user's own: a class that the recipe names."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from dacn.algorithms.base import Algorithm
from dacn.config import Config
from dacn.errors import RecipeError
from dacn.named_function import PATTERN, named_function
from dacn.user_path import UserPath


class PythonMethodConfig(Config):
    """A method of yours: a class that is an `Algorithm`."""

    name: Literal["python"] = "python"
    python: str = Field(pattern=PATTERN, description="module and class", examples=["my_package.methods:Entropy"])
    path: UserPath = Field(
        Path("."), description="the folder that holds the module, where Python would not find it; the working directory"
    )
    options: dict[str, bool | int | float | str] = Field(
        {}, description="what the class's own config takes", examples=[{"weight": 0.1}]
    )


def named_python(value: Any) -> Any:
    """Take ``{python: "module:Class"}``, or in Python a class itself, for ``{name: python, python: ...}``."""
    if isinstance(value, type):
        value = {"python": value}
    if not (isinstance(value, dict) and "python" in value):
        return value
    given = value["python"]
    if isinstance(given, type):
        if "<locals>" in given.__qualname__ or "." in given.__qualname__:
            raise ValueError(f"{given.__qualname__} stands inside another class or function; move it to its module")
        given = f"{given.__module__}:{given.__qualname__}"
    return {"name": "python"} | value | {"python": given}


def python_method(config: PythonMethodConfig) -> tuple[type[Algorithm], Any]:
    """Return the class that a config names, and the class's own config.

    The class says by its attribute ``config_class`` which config its ``options`` make; without one it takes none.

    Raises:
        RecipeError: no such class, one that is no `Algorithm`, or options that its config does not take.
    """
    found: Any = named_function(config.python, config.path, RecipeError)
    if not (isinstance(found, type) and issubclass(found, Algorithm)):
        kind = "a class of another kind" if isinstance(found, type) else type(found).__name__
        raise RecipeError(
            f"algorithm.python: {config.python}: expected a subclass of dacn.algorithms.Algorithm, got {kind}"
        )
    own = found.config_class
    if own is None:
        if config.options:
            raise RecipeError(
                f"algorithm.options: {config.python} has no config_class, which would say what it takes; got "
                f"{', '.join(config.options)}"
            )
        return found, config
    try:
        return found, own(**config.options)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise RecipeError(f"algorithm.options: {config.python} does not take {config.options} ({told})") from error
    except Exception as error:  # a user's own code may raise anything
        raise RecipeError(
            f"algorithm.options: {config.python}: its config failed: {type(error).__name__}: {error}"
        ) from error
