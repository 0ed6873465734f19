"""`dacn export` through the real command."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dacn.cli import main
from tests.trained import a_run


def dacn(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return a_run(Path("run")).absolute().parent


def test_the_target_s_network_as_onnx(work: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs pip install 'dacn[export]'")
    result = dacn("run")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "tiny, selected checkpoint, step 12, context target"
    assert lines[1:3] == ["takes  images: uint8 (batch, 3, 16, 16)", "gives  probabilities: float32 (batch, 10)"]
    assert lines[3].startswith("check  64 images of digits_photo: probabilities differ from the network's by ")
    assert lines[-1] == "The network is in tiny-target.onnx, facts about it in tiny-target.onnx.json"
    assert result.stderr == ""
    assert sorted(file.name for file in work.iterdir()) == ["run", "tiny-target.onnx", "tiny-target.onnx.json"]


def test_json_and_nothing_else(work: Path) -> None:
    result = dacn("run", "--format", "exported", "--context", "source", "--out", "new/a.pt2", "--json")
    printed = json.loads(result.stdout)
    assert (printed["out"], printed["context"], printed["format"]) == ("new/a.pt2", "source", "exported")
    assert printed == json.loads(Path("new/a.pt2.json").read_text()) | {"out": "new/a.pt2"}
    result = dacn("run", "--format", "state_dict", "--json")
    assert json.loads(result.stdout)["out"] == "tiny-target.pt"
    assert Path("tiny-target.pt").is_file()


def test_packages_that_are_missing(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "dacn.deploy.export.find_spec", lambda name: None if name in ("onnxscript", "onnxruntime") else find("json")
    )
    result = dacn("run")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: --format onnx needs onnxscript and onnxruntime, not installed here: pip install 'dacn[export]'\n"
    )
    assert dacn("run", "--format", "state_dict").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["runn"], "runn: no such run; did you mean 'run'?"),
        (["run", "--context", "tarqet"], "knows no such context; did you mean 'target'?; expected source, target or"),
        (["run", "--format", "onx"], "'onx' is not one of 'onnx', 'exported', 'state_dict'"),
        (["run", "--format", "state_dict", "--context", "unknown"], "the weights alone do not make the network"),
        (["run", "--checkpoint", "last"], "run: has no checkpoint 'last' yet; give --checkpoint selected"),
        (["run", "--format", "exported", "--out", "run"], "--out run: is a folder; name a file in it"),
        (["run", "--format", "exported", "--images", "nowhere"], "nowhere: no such file or folder"),
    ],
)
def test_mistakes(work: Path, arguments: list[str], text: str) -> None:
    result = dacn(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert text in result.stderr
    assert [file.name for file in work.iterdir()] == ["run"]
