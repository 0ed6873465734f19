import os
import signal
import subprocess
import sys
import types

import pytest
from click.testing import CliRunner

from dacn.cli import COMMANDS, main
from dacn.errors import DacnError, DataError, Interrupted, NonFiniteLossError


def dacn(*arguments, prelude=None):
    """Run the command line in a process of its own; ``prelude`` is code that runs there first."""
    code = ["-c", f"{prelude}\nfrom dacn.cli import main; main()"] if prelude else ["-m", "dacn"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *code, *arguments], capture_output=True, text=True, env=environment, timeout=120, check=False
    )


RAISES = """
import sys, types
from dacn.errors import *
def evaluate_run(*_, **__):
    raise {error}
sys.modules["dacn.deploy.evaluation"] = types.SimpleNamespace(evaluate_run=evaluate_run)
"""


def test_exit_code_0_and_help_without_the_heavy_imports():
    heavy = {"torch", "pydantic", "numpy", "rich"}
    prelude = f"import atexit, sys; atexit.register(lambda: print('imported', sorted({heavy} & set(sys.modules))))"
    result = dacn("--help", prelude=prelude)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "imported []"
    width = max(map(len, COMMANDS))
    for name, (_, sentence) in COMMANDS.items():
        assert f"  {name:<{width}}  {sentence}" in result.stdout


def test_exit_code_2_for_a_bad_recipe(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("{data: {pair: digits}, train: {stepz: 1, ema: 2}}")
    result = dacn("train", str(path), "--out", str(tmp_path / "out"))
    assert (result.returncode, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert lines[0] == f"Error: {path}: 2 problems"
    assert lines[1] == "  train.ema: got 2, expected a number of at least 0 and below 1"
    assert lines[2].startswith("  train.stepz: unknown key; did you mean 'steps'?; valid keys: steps, ")
    assert len(lines) == 3
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        ("NonFiniteLossError('loss/target is nan at step 3')", 1, "Error: loss/target is nan at step 3\n"),
        ("Interrupted(2, 'stopped after step 7; saved')", 130, "stopped after step 7; saved\n"),
    ],
)
def test_exit_codes_of_a_failed_and_of_an_interrupted_run(error, code, text):
    result = dacn("evaluate", "runs/x", prelude=RAISES.format(error=error))
    assert (result.returncode, result.stdout, result.stderr) == (code, "", text)


def test_version():
    import dacn as package

    result = dacn("--version")
    assert (result.returncode, result.stdout.split()[-1]) == (0, package.__version__)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DacnError("a"), 2, "Error: a\n"),
        (DataError("photos: no such folder"), 2, "Error: photos: no such folder\n"),
        (NonFiniteLossError("loss/target"), 1, "Error: loss/target\n"),
        (Interrupted(signal.SIGTERM, "saved"), 143, "saved\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
    ],
)
def test_errors_become_messages_and_exit_codes(monkeypatch, error, code, text):
    def evaluate_run(*_, **__):
        raise error

    monkeypatch.setitem(sys.modules, "dacn.deploy.evaluation", types.SimpleNamespace(evaluate_run=evaluate_run))
    result = CliRunner().invoke(main, ["evaluate", "runs/x"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", text)


def test_a_bug_is_no_user_mistake(monkeypatch):
    def evaluate_run(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setitem(sys.modules, "dacn.deploy.evaluation", types.SimpleNamespace(evaluate_run=evaluate_run))
    result = CliRunner().invoke(main, ["evaluate", "runs/x"])
    assert (result.exit_code, type(result.exception)) == (1, ZeroDivisionError)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert f"Example:\n    dacn {name}" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["trian"], "No such command 'trian'; did you mean 'train'?"),
        (["zzz"], "No such command 'zzz'; there are train, evaluate, "),
        (["train", "x.yaml", "--sed", "1"], "No such option '--sed'"),
        (["train"], "Missing argument 'RECIPE'"),
        (["train", "x.yaml", "--device", "tpu"], "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
    ],
)
def test_a_wrong_command_line(arguments, text):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert text in result.stderr.replace("No such option: --sed", "No such option '--sed'")  # by click's version
    assert result.stdout == ""
