"""Weights & Biases and MLflow beside TensorBoard, offline, through the command.

wandb is a stand-in that keeps what it is told; MLflow is itself, with its folder of files, where it is installed.
"""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dacn.cli import main
from tests.cli.test_mistakes import draw

RECIPE = """
data: {source: {folder: photos}, target: {folder: sketches}, image_size: 16}
model: {backbone: {name: small_cnn, width: 4}, input_norm: none, norm: bn}
algorithm: source_only
train: {source_batch: 4, target_ratio: 1, steps: 2}
schedule: constant
evaluate: {every: 2, figures: false}
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text(RECIPE)
    for seed, name in enumerate(("photos", "sketches")):
        draw(tmp_path / name, ("cat", "dog"), seed=seed)
    return tmp_path


def train(tracking: str, *arguments: str) -> Result:
    command = ["train", "own.yaml", "--out", "run", "--device", "cpu", "--set", f"tracking={tracking}", *arguments]
    return CliRunner().invoke(main, command)


class WandbStandIn(types.ModuleType):
    """Keeps what it is told, as the parts of wandb that are used."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: list[Any] = []

    def init(self, **settings: Any) -> Any:
        run = types.SimpleNamespace(settings=settings, logged=[], config={}, summary={}, finished=0)
        config = types.SimpleNamespace(update=lambda given, allow_val_change: run.config.update(given))
        self.runs.append(run)

        def finish() -> None:
            run.finished += 1

        return types.SimpleNamespace(
            log=lambda values, step: run.logged.append((step, values)), config=config,
            summary=types.SimpleNamespace(update=run.summary.update), finish=finish,
        )  # fmt: skip

    def Image(self, pixels: Any) -> tuple[int, ...]:  # noqa: N802 - wandb's name
        return tuple(pixels.shape)


def test_wandb_is_told_what_the_run_measures(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = WandbStandIn()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    result = train("[tensorboard, wandb]")
    assert result.exit_code == 0, result.output
    (run,) = wandb.runs
    assert (run.settings["project"], run.settings["name"], run.settings["resume"]) == ("dacn", "run", "allow")
    assert run.finished == 1
    logged = {name: value for step, values in run.logged if step == 2 for name, value in values.items()}
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert logged["loss"] == pytest.approx(rows[-1]["loss"])
    assert run.config["train.steps"] == 2
    assert run.summary
    assert [*Path("run/tensorboard").glob("events.out.tfevents.*")]
    # A resumed run goes on as the same one there, one that begins anew is another.
    assert train("[wandb]", "--set", "train.steps=4", "--resume").exit_code == 0
    assert train("[wandb]", "--force").exit_code == 0
    first, resumed, anew = (run.settings["id"] for run in wandb.runs)
    assert first == resumed != anew
    assert not [*Path("run/tensorboard").glob("events.out.tfevents.*")], "and TensorBoard's files are left out"


def test_what_is_not_installed_is_told_with_the_command_before_anything_is_written(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dacn.trainer.recorders.find_spec", lambda name: None)
    result = train("[tensorboard, wandb]")
    assert result.exit_code == 2
    assert "tracking: wandb is not installed here: pip install 'dacn[wandb]'" in result.stderr
    assert not Path("run").exists()
    result = train("[wandbb]")
    assert (
        "tracking[0]: got 'wandbb', expected one of tensorboard, wandb, mlflow; did you mean 'wandb'?" in result.stderr
    )


def test_mlflow_keeps_numbers_and_settings(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="needs pip install 'dacn[mlflow]'")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (work / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    result = train("[mlflow]")
    assert result.exit_code == 0, result.output
    client = MlflowClient()
    experiment = client.get_experiment_by_name("dacn")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "run"
    assert run.info.status == "FINISHED"
    assert run.data.params["train.steps"] == "2"
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert run.data.metrics["loss"] == pytest.approx(rows[-1]["loss"])
    assert train("[mlflow]", "--set", "train.steps=4", "--resume").exit_code == 0
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["train.steps"] == "4"
    assert [each.step for each in client.get_metric_history(run.info.run_id, "loss")] == [2, 4]
