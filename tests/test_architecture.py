"""Imports point only downward in the house, and the layers stand on torch alone."""

import ast
import sys
from pathlib import Path

import pytest

import dacn

PACKAGE = Path(dacn.__file__).parent

# From the roof to the cellar; names on one line are neighbours and may import each other.
HOUSE = [
    {"dacn", "__main__"},
    {"cli"},
    {"bench"},
    {"domain_adapter"},
    {"api", "recommend"},
    {"compare"},
    {"report"},
    {"deploy", "doctor"},
    {"run"},
    {"recipe"},
    {"machine"},
    {"trainer"},
    {"evaluation"},
    {"algorithms"},
    {"data"},
    {"models"},
    {"losses"},
    {"batch"},
    {"nn"},
    {"config", "named_function", "user_path"},
    {"errors"},
]
FLOOR = {name: floor for floor, names in enumerate(HOUSE) for name in names}

# The loop and the evaluation know no algorithm and no data set by name.
NAMELESS = {"trainer", "evaluation"}
NAMELESS_MAY_SEE = {
    *(
        "dacn.algorithms.base",
        "dacn.data.domain",
        "dacn.data.read.images",
        "dacn.data.views.loader",
        "dacn.data.views.augment",
    )
}

# The layers stand on torch alone, but for the fit of a mixture.
NN_MAY_SEE = {"dacn.nn.mixture.expectation_maximization": {"sklearn"}}


def module_of(path: Path) -> str:
    """``.../dacn/nn/context.py`` is ``dacn.nn.context``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """``dacn.nn.context`` lies in ``nn``, ``dacn`` itself in ``dacn``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "dacn"


def imports(source: str, modules: set[str]) -> list[str]:
    """Full names of all modules that the source imports, wherever in it the import stands."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: imports are absolute in this house"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full != "dacn.__version__":  # a constant, which does not lean on what the package exports
                    found.append(full if full in modules else str(node.module))
    return found


def offences(importer: str, imported: list[str]) -> list[str]:
    """The imports of a module that the house forbids, each with the reason."""
    found = []
    for name in imported:
        if name.split(".")[0] != "dacn":
            allowed = sys.stdlib_module_names | {"torch"} | NN_MAY_SEE.get(importer, set())
            if room(importer) == "nn" and name.split(".")[0] not in allowed:
                found.append(f"{importer} imports {name}: nn stands on torch alone")
        elif FLOOR[room(name)] < FLOOR[room(importer)]:
            found.append(f"{importer} imports {name}, which is above it")
        elif room(importer) == "nn" and room(name) not in ("nn", "errors"):
            found.append(f"{importer} imports {name}: nn stands on torch alone")
        elif room(importer) in NAMELESS and room(name) in ("algorithms", "data") and name not in NAMELESS_MAY_SEE:
            found.append(f"{importer} imports {name}: it knows no algorithm and no data set by name")
    return found


PATHS = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_of(path) for path in PATHS}


@pytest.mark.parametrize("path", PATHS, ids=module_of)
def test_imports_point_downward(path: Path) -> None:
    importer = module_of(path)
    assert room(importer) in FLOOR, f"{importer} has no place in the house yet: add it to HOUSE in this test"
    assert offences(importer, imports(path.read_text("utf-8"), MODULES)) == []


@pytest.mark.parametrize("path", PATHS, ids=module_of)
def test_file_is_named_after_its_idea(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "helpers", "helper", "misc"}


def test_every_room_is_there() -> None:
    assert set(FLOOR) <= {room(module) for module in MODULES}


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("dacn.losses", "from dacn.models.classifier import Classifier"),
        ("dacn.nn.context", "from dacn.config import Config"),
        ("dacn.nn.context", "import numpy as np"),
        ("dacn.nn.mixture_norm", "import sklearn.mixture"),
        ("dacn.evaluation.figures", "from dacn.trainer import tracking"),
        ("dacn.trainer.trainer", "def f():\n    from dacn.algorithms.adamatch import AdaMatch"),
        ("dacn.trainer.trainer", "from dacn.algorithms import ALGORITHMS"),
        ("dacn.evaluation.matrix", "from dacn.data.known.digits import digits"),
        ("dacn.recipe.recipe", "import dacn.run.run"),
        ("dacn.cli.train", "from dacn import train"),
    ],
)
def test_this_test_can_fail(importer: str, source: str) -> None:
    assert len(offences(importer, imports(source, MODULES))) == 1
