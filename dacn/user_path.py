"""Paths as a user writes them.

The rule, for every path in a recipe: ``~`` and variables (``$DATA``, ``${DATA}``) are expanded, and a relative path
starts at the working directory of whoever reads the recipe, wherever the file itself lies. A run's own recipe.yaml has
the absolute paths that came of it, so that it means the same from anywhere.
"""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|(\w+))")


def expand(path: Path) -> Path:
    """Return ``path`` with ``~`` and variables of the environment expanded; one that exists as it is, as it is.

    Raises:
        ValueError: a variable that is not set, or is empty; the message names it.
    """
    text = str(path)
    if _VARIABLE.search(text) and path.exists():
        return path
    names = [braced or bare for braced, bare in _VARIABLE.findall(text)]
    unset = dict.fromkeys(name for name in names if not os.environ.get(name))
    if unset:
        raise ValueError(
            f"the environment has no {' and no '.join(unset)} to put in; set it, or write the folder out "
            "(a path may hold variables, $NAME or ${NAME}, and begin with ~)"
        )
    home = os.path.expanduser(text)
    return Path(_VARIABLE.sub(lambda found: os.environ[found[1] or found[2]], home))


UserPath = Annotated[Path, AfterValidator(expand)]
"""A path with ``~``, ``$NAME`` and ``${NAME}`` expanded; a relative one starts at the working directory."""
