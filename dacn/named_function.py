"""Functions of the user's own, named in a recipe as ``package.module:function``."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dacn.errors import DacnError, did_you_mean

PATTERN = r"^[\w.]+:\w+$"
"""What such a name looks like."""


def named_function(reference: str, path: Path, error: type[DacnError]) -> Callable[..., Any]:
    """Return the function that ``reference`` names.

    Modules are found as ``python -m`` finds them, with ``path`` in place of the working directory.

    Args:
        reference: ``"package.module:function"``.
        path: the folder that holds the module.
        error: what to raise.

    Raises:
        DacnError: no such module, or no such function in it.
    """
    module_name, _, function_name = reference.partition(":")
    home = path.absolute()
    if str(home) not in sys.path and not ("" in sys.path and home == Path.cwd()):
        sys.path.insert(0, str(home))
    try:
        module = importlib.import_module(module_name)
    except ImportError as problem:
        raise error(
            f"{reference}: cannot import {module_name} ({problem}); looked for in {home} and "
            "where Python finds modules; `path` beside `python` names its folder"
        ) from problem
    except Exception as problem:  # a user's own code may raise anything
        raise error(f"{reference}: importing {module_name} failed: {type(problem).__name__}: {problem}") from problem
    function = getattr(module, function_name, None)
    if not callable(function):
        names = [name for name in vars(module) if callable(getattr(module, name))]
        raise error(f"{reference}: {module_name} has no function {function_name!r}{did_you_mean(function_name, names)}")
    return function  # type: ignore[no-any-return]
