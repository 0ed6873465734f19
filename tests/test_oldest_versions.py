"""The constraints of the oldest versions are the lower bounds of pyproject.toml, one for each dependency."""

import re
import tomllib
from itertools import chain
from pathlib import Path

PROJECT = Path(__file__).parents[1]
TOOLS = {"ruff", "mypy", "types-PyYAML"}  # of developers, which no test imports
REQUIREMENT = re.compile(r"([\w.-]+)(?:>=([\d.]+))?")


def requirements() -> dict[str, str]:
    """Every third-party requirement and its lower bound."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = {}
    for text in chain(project["dependencies"], *project["optional-dependencies"].values()):
        if text.startswith("dacn["):
            continue
        match = REQUIREMENT.fullmatch(text)
        assert match, f"{text}: expected a name and a lower bound alone, so that newer versions are let in"
        name, bound = match.groups()
        assert bound or name in TOOLS, f"{text} has no lower bound"
        bounds[name] = bound
    return bounds


def test_each_lower_bound_is_pinned_and_nothing_else() -> None:
    lines = (PROJECT / "constraints" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned == {name: bound for name, bound in requirements().items() if name not in TOOLS}
