"""``dacn doctor`` through the real command."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dacn.cli import main
from dacn.doctor.diagnose import CHECKS

RECIPE = """
data: {pair: digits, image_size: 16}
model: {backbone: {name: small_cnn, width: 4}}
train: {steps: 1000, source_batch: 8, target_ratio: 2, ema: 0.99}
optimizer: {name: adamw, lr: 2e-3}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(RECIPE)
    return "tiny.yaml"


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments, "--steps", "3", "--device", "cpu"], catch_exceptions=False)


def test_nothing_found(path: str) -> None:
    result = doctor(path)
    assert (result.exit_code, result.stderr) == (0, "")
    takes, last = result.stdout.splitlines()
    assert re.fullmatch(r"Training will take about \d+ (seconds|minutes): 1,000 steps at .*, as measured\.", takes)
    assert last == f"tiny: {len(CHECKS)} checks, nothing found"
    assert [file.name for file in Path().iterdir()] == ["tiny.yaml"]


def test_warnings_leave_the_exit_code_at_0(path: str) -> None:
    result = doctor(path, "--set", "data.flips=true", "--set", "augment.shift=0")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("warning: mirrored signs: images are mirrored, and the classes are signs ('0', '1', '2'")
    assert lines[1].startswith("  why: ")
    assert lines[2] == "  fix: data.flips: false"
    assert lines[-1] == f"tiny: {len(CHECKS)} checks, 2 findings"


def test_errors_make_it_1(path: str) -> None:
    result = doctor(path, "--set", "optimizer={name: sgd, lr: 100}", "--set", "model={norm: none, input_norm: none}")
    assert result.exit_code == 1
    assert "error: learning rate: the loss" in result.stdout
    assert "  fix: optimizer.lr: 1.0e+01" in result.stdout


def test_json_and_nothing_else(path: str) -> None:
    result = doctor(path, "--json", "--set", "augment.shift=0")
    assert (result.exit_code, result.stderr) == (0, "")
    tree = json.loads(result.stdout)
    assert (tree["recipe"], tree["checks"], tree["notes"]) == ("tiny", [*CHECKS], tree["notes"][:1])
    assert tree["notes"][0].startswith("Training will take about")
    (finding,) = tree["findings"]
    assert {key: finding[key] for key in ("check", "severity", "key", "value")} == {
        "check": "weak views", "severity": "warning", "key": "augment.shift", "value": "0.125"
    }  # fmt: skip
    failing = doctor(path, "--json", "--set", "data={pair: mnist_usps, root: nowhere}")
    assert failing.exit_code == 1
    assert [finding["check"] for finding in json.loads(failing.stdout)["findings"]] == ["data"]


def test_a_wrong_recipe_is_the_users_mistake(path: str) -> None:
    result = doctor(path, "--set", "train.stepz=3")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "unknown key; did you mean 'steps'?" in result.stderr
