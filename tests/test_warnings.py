"""Which warnings fail the tests: those that dacn or a test is the cause of, and nobody else's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
OTHERS = """
import warnings
def deprecated_inside():
    warnings.warn("I will change", DeprecationWarning)
def deprecated_for_the_caller():
    warnings.warn("do not call me", DeprecationWarning, stacklevel=2)
def calls_what_is_deprecated():
    deprecated_for_the_caller()
"""
TESTS = """
import types
import pytest
import others

def made_up_module(name):  # one of that name, which calls what others deprecate, and warns itself
    module = types.ModuleType(name)
    source = "import others, warnings\\ndef calls(): others.{}()\\ndef warns(): warnings.warn('mine')\\n"
    exec(source.format("deprecated_for_the_caller"), module.__dict__)
    return module

def test_others_inside(): others.deprecated_inside()
def test_others_call(): others.calls_what_is_deprecated()
def test_others_named_alike(): made_up_module("dacnet.nn").warns()
@pytest.mark.parametrize("name", ["dacn", "dacn.made_up", "tests.test_made_up"])
def test_ours_warns(name): made_up_module(name).warns()
@pytest.mark.parametrize("name", ["dacn", "dacn.made_up", "tests.test_made_up"])
def test_ours_calls(name): made_up_module(name).calls()
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Lines of a pytest run, under this project's configuration, of tests that warn in every way."""
    folder = tmp_path_factory.mktemp("warns")
    (folder / "others.py").write_text(OTHERS)
    (folder / "test_made_up.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-c", PROJECT / "pyproject.toml", "--rootdir", folder, folder]
    command += ["-rA", "--tb=no", "-p", "no:cacheprovider", "-p", "no:randomly", "-n", "0"]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTEST_ADDOPTS": "", "PYTHONWARNINGS": ""}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert run.returncode == 1, run.stdout + run.stderr  # some failed; nothing worse
    return run.stdout.splitlines()


def outcomes(report: list[str], word: str) -> list[str]:
    return [line.split("::")[1].split(" ")[0] for line in report if line.startswith(word)]


def test_what_others_deprecate_passes(report: list[str]) -> None:
    expected = ["test_others_inside", "test_others_call", "test_others_named_alike"]
    assert outcomes(report, "PASSED") == expected


def test_what_dacn_or_a_test_warns_of_fails(report: list[str]) -> None:
    names = ("dacn", "dacn.made_up", "tests.test_made_up")
    assert outcomes(report, "FAILED") == [f"test_ours_{how}[{name}]" for how in ("warns", "calls") for name in names]
