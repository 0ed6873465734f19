import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dacn.cli import main
from dacn.cli.data_prepare import DATA_SETS
from dacn.data.known.sets import SETS

SCRIPTS = Path(__file__).parents[2] / "data_scripts"


def test_one_script_a_data_set_and_each_in_the_catalogue() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.py")} == DATA_SETS.keys()
    assert {name for name, entry in SETS.items() if entry.get == f"dacn data prepare {name}"} == DATA_SETS.keys()


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_data_set_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(main, ["data", "prepare", name, "--help"])
    assert result.exit_code == 0
    assert f"Example:\n    dacn data prepare {name}" in result.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from dacn.cli import main\n"
        "try: main(['data', 'prepare', 'svhn_crops', '--help'])\n"
        "except SystemExit: print(sorted({'torch', 'pydantic'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_group_says_what_each_makes() -> None:
    text = CliRunner().invoke(main, ["data", "prepare", "--help"]).stdout
    for name, (_, sentence) in DATA_SETS.items():
        assert f"  {name:<16}  {sentence}" in text


def test_a_script_runs_from_a_clone_without_an_install(tmp_path: Path) -> None:
    """From another folder and with nothing on the path but what the script itself adds."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for arguments, code in ((["--limit", "2", "--root", "data"], 0), (["--limit", "0"], 2)):
        command = [sys.executable, str(SCRIPTS / "syn_digits.py"), *arguments]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert result.returncode == code, result.stderr
    assert (tmp_path / "data/syn_digits/test.npz").is_file()


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_script_is_its_command(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [f"data_scripts/{name}.py", "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
    assert caught.value.code == 0
    assert f"Usage: dacn data prepare {name} [OPTIONS]" in capsys.readouterr().out


def test_an_unknown_data_set() -> None:
    result = CliRunner().invoke(main, ["data", "prepare", "mnistm"])
    assert result.exit_code == 2
    assert "No such command 'mnistm'; did you mean 'mnist_m'?" in result.stderr
