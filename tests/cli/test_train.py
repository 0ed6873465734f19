import json
import sys
import types
from pathlib import Path

import pytest
from click.testing import CliRunner

from dacn.cli import main

SUMMARY = {
    "source": {"last": 98.0, "selected": 98.25},
    "target": {"last": 91.5, "selected": None, "oracle": 94.125, "gap": 2.625},
    "contexts": {"kind": "domain", "names": ["source", "target"], "leaks": False},
    "matrix": {
        "source_data/source_context": 98.25,
        "source_data/target_context": 77.7,
        "target_data/source_context": 12.3,
        "target_data/target_context": 93.21,
        "target_data/unknown_context": None,
    },
    "training_seconds": 12.4,
    "evaluation_seconds": 1.2,
}


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Stand in for training: remember what was asked for and write a summary, as a run does."""
    calls = []

    def train_recipe(recipe, *, out, **options):
        calls.append({"recipe": recipe, "out": out, **options})
        (out / "checkpoints").mkdir(parents=True, exist_ok=True)
        (out / "recipe.yaml").write_text(recipe.to_yaml())
        (out / "summary.json").write_text(json.dumps(SUMMARY))
        return SUMMARY

    monkeypatch.setitem(sys.modules, "dacn.run.run", types.SimpleNamespace(train_recipe=train_recipe))
    monkeypatch.chdir(tmp_path)
    Path("trial.yaml").write_text("{data: {pair: digits}, seed: 3}")
    return calls


def train(*arguments):
    return CliRunner().invoke(main, ["train", *arguments])


def test_what_is_passed_on_and_printed(calls):
    result = train("trial.yaml")
    assert result.exit_code == 0, result.output
    (call,) = calls
    assert (call["recipe"].name, call["recipe"].seed) == ("trial", 3)
    assert call["out"] == Path("runs/trial-seed3")
    assert (call["device"], call["resume"], call["force"], call["faster"]) == ("auto", False, False, None)
    assert call["command"] == ["dacn", "train", "trial.yaml"]
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["source", "98.00", "98.25", "-", "-"] in lines
    assert ["target", "91.50", "-", "94.12", "2.62"] in lines
    assert ["source", "data", "98.25", "77.70", "-"] in lines
    assert ["target", "data", "12.30", "93.21", "-"] in lines
    assert result.stdout.endswith("The run is in runs/trial-seed3\n")
    assert "\x1b" not in result.stdout
    assert "…" not in result.stdout


def test_options(calls):
    arguments = ["trial.yaml", "--set", "train.steps=7", "--set", "name=other", "--seed", "5"]
    arguments += ["--device", "cpu", "--resume"]
    assert train(*arguments).exit_code == 0
    (call,) = calls
    assert (call["recipe"].train.steps, call["recipe"].seed) == (7, 5)
    assert call["out"] == Path("runs/other-seed5")
    assert (call["device"], call["resume"]) == ("cpu", True)
    assert call["command"] == ["dacn", "train", *arguments]


def test_a_narrow_screen_cuts_nothing(calls, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    assert "…" not in train("trial.yaml").stdout


def test_the_small_recipe_beside_it_is_handed_over(calls):
    Path("trial_small.yaml").write_text("data: {pair: digits}")
    assert train("trial.yaml").exit_code == 0
    assert train("trial_small.yaml").exit_code == 0
    assert [call["faster"] for call in calls] == [Path("trial_small.yaml"), None]


def test_the_resolved_recipe_repeats_the_run(calls):
    train("trial.yaml", "--set", "train.steps=7", "--out", "first")
    result = train("first/recipe.yaml", "--out", "second")
    assert result.exit_code == 0, result.output
    assert calls[1]["recipe"] == calls[0]["recipe"]
    assert calls[1]["recipe"].name == "trial"


def test_resume_and_force_exclude_each_other(calls):
    result = train("trial.yaml", "--resume", "--force")
    assert (result.exit_code, calls) == (2, [])
    assert "give one of them" in result.stderr


def test_a_missing_recipe(calls):
    result = train("trail.yaml")
    assert (result.exit_code, calls) == (2, [])
    assert result.stderr == "Error: trail.yaml: no such recipe; did you mean 'trial.yaml'?\n"


def test_a_malformed_override(calls):
    result = train("trial.yaml", "--set", "train.steps:3")
    assert (result.exit_code, calls) == (2, [])
    assert result.stderr == (
        "Error: --set 'train.steps:3': expected --set key.path=value, for example --set train.steps=500\n"
    )
