import json
import sys
import types
from pathlib import Path

import pytest
from click.testing import CliRunner

from dacn.cli import main

RESULT = {
    "recipe": "trial",
    "seed": 3,
    "checkpoint": "last",
    "step": 120,
    "source": 98.0,
    "target": None,
    "contexts": {"kind": "domain", "names": ["source", "target"], "leaks": False},
    "matrix": {
        "source_data/source_context": 98.0,
        "source_data/target_context": 7.0,
        "target_data/target_context": None,
    },
    "label_free": {"mutual_information": 2.1},
    "warnings": [],
    "per_class": {"source": {"precision": [1.0], "recall": [1.0], "f1": [1.0]}},
}


@pytest.fixture
def calls(monkeypatch):
    calls = []

    def evaluate_run(run, checkpoint, device, overrides, *, other_data):
        calls.append((run, checkpoint, device, overrides, other_data))
        return RESULT

    monkeypatch.setitem(sys.modules, "dacn.deploy.evaluation", types.SimpleNamespace(evaluate_run=evaluate_run))
    return calls


def test_the_context_matrix(calls):
    result = CliRunner().invoke(main, ["evaluate", "runs/trial", "--checkpoint", "last", "--device", "cpu"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert calls == [(Path("runs/trial"), "last", "cpu", (), False)]
    lines = result.stdout.splitlines()
    assert lines[0] == "trial, seed 3: last checkpoint, step 120"
    assert lines[2].split("   ")[0] == "accuracy by context, %"
    assert lines[2].split()[-6:] == ["source", "context", "target", "context", "unknown", "context"]
    assert [line.split() for line in lines[3:]] == [
        ["source", "data", "98.00", "7.00", "-"],
        ["target", "data", "-", "-", "-"],
    ]


def test_json_and_nothing_else(calls):
    result = CliRunner().invoke(main, ["evaluate", "runs/trial", "--json"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == RESULT
    assert calls == [(Path("runs/trial"), "selected", "auto", (), False)]


def test_contexts_that_are_no_domains_have_three_numbers(calls, monkeypatch):
    modes = {"known": 99.0, "inferred": 81.5, "unknown": None}
    contexts = {"kind": "superclass", "names": ["animal", "vehicle"], "leaks": True, "target": modes}
    monkeypatch.setitem(RESULT, "contexts", contexts)
    lines = CliRunner().invoke(main, ["evaluate", "runs/trial"]).stdout.splitlines()
    assert "accuracy by superclass, %" in lines[2]
    assert "known (leaks the label)" in lines[2]
    assert lines[3].split() == ["target", "data", "99.00", "81.50", "-"]
