"""Whole runs on a made-up pair: the run folder, repetition, resuming, honesty."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import dacn
from dacn.errors import DataError, Interrupted, NonFiniteLossError, RecipeError
from dacn.evaluation.config import EvaluateConfig
from dacn.evaluation.validators import VALIDATORS
from dacn.recipe.recipe import load_recipe, parse_recipe
from dacn.run.evaluation import evaluate_run
from dacn.run.run import train_recipe
from tests import made_up
from tests.interrupting import interrupt_after

TREE: dict[str, Any] = {
    "name": "tiny",
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"steps": 6, "source_batch": 4, "target_ratio": 2, "log_every": 2, "ema": 0.9},
    "evaluate": {"every": 3},
}


def run(out: Path, tree: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    options.setdefault("pair", made_up.pair())
    return train_recipe(parse_recipe(TREE | (tree or {}), "test"), out=out, device="cpu", **options)


def weights(out: Path, checkpoint: str = "last") -> dict[str, torch.Tensor]:
    model: dict[str, torch.Tensor] = torch.load(out / "checkpoints" / f"{checkpoint}.pt", weights_only=True)["model"]
    return model


def assert_same_numbers(a: dict[str, Any], b: dict[str, Any]) -> None:
    timing = ("seconds", "training_seconds", "evaluation_seconds", "images_per_second", "em_seconds")
    assert {k: v for k, v in a.items() if k not in timing} == {k: v for k, v in b.items() if k not in timing}


@pytest.mark.pictures
def test_run_folder_holds_what_the_contract_names(tmp_path: Path) -> None:
    summary = run(tmp_path, command=["dacn", "train"])

    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert {"recipe", "seed", "steps", "seconds", "images_per_second", "source", "target", "matrix"} <= summary.keys()
    assert summary["steps"] == 6
    assert set(summary["target"]) == {"last", "selected", "oracle", "gap"}
    assert len(summary["matrix"]) == len(summary["raw_matrix"]) == 6
    assert None not in summary["matrix"].values()
    assert summary["label_free"].keys() == summary["validators"].keys() == {*VALIDATORS, "source_accuracy"}
    assert set(summary["ece"]) == {"source", "target"}
    assert [len(summary["per_class"]["target"][score]) for score in ("precision", "recall", "f1")] == [2, 2, 2]
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["command"] == ["dacn", "train"]
    assert set(environment) >= {"commit", "device", "threads", "norm_passes", "started", "seed"}
    assert environment["libraries"]["torch"] == torch.__version__.split("+")[0]
    figures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert figures >= {f"{name}.png" for name in ("pair", "views", "curves", "validators", "reliability", "classes")}
    assert figures >= {"confusion_target.png", "predictions_target.png", "feature_map.png"}
    assert not list(tmp_path.rglob("*.partial"))

    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 3, 4, 6]
    assert {"loss", "loss/source", "loss/target", "kept", "threshold", "p_source", "p_target"} <= rows[0].keys()
    assert {"learning_rate", "images_per_second", "target_weight"} <= rows[0].keys()
    assert rows[1]["oracle/pseudo_label_kept"] <= 1
    assert {f"label_free/{name}" for name in summary["label_free"]} <= rows[1].keys()
    assert {f"raw/{cell}" for cell in summary["raw_matrix"]} <= rows[1].keys()
    assert {"a_distance", "ece/source", "oracle/ece_target", "contexts/apart/mean"} <= rows[1].keys()
    assert rows[1]["contexts/moved/target/mean"] > 0

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    shown = {"loss/source", "p_source/class0", "p_target/class1", "scores without labels/mutual_information"}
    assert shown <= set(events.Tags()["scalars"])
    assert {"views", "figures/confusion_target", "figures/feature_map"} <= set(events.Tags()["images"])
    assert not {"figures/curves", "figures/validators"} & set(events.Tags()["images"]), "they are there as scalars"
    assert "recipe/text_summary" in events.Tags()["tensors"]
    assert len(list((tmp_path / "tensorboard").glob("events*"))) == 1
    assert "context_1/backbone.layers.1/mean" in events.Tags()["histograms"]


def test_same_seed_gives_the_same_numbers_and_another_seed_does_not(tmp_path: Path) -> None:
    first, again = run(tmp_path / "a"), run(tmp_path / "b")
    assert_same_numbers(first, again)
    torch.testing.assert_close(weights(tmp_path / "a"), weights(tmp_path / "b"), rtol=0, atol=0)
    run(tmp_path / "c", {"seed": 1})
    assert not torch.equal(weights(tmp_path / "a")["head.weight"], weights(tmp_path / "c")["head.weight"])


def test_resolved_recipe_repeats_the_run(tmp_path: Path) -> None:
    tree = TREE | {"data": {"pair": "digits"}, "train": TREE["train"] | {"steps": 2}}
    first = train_recipe(parse_recipe(tree, "test"), out=tmp_path / "a", device="cpu")
    again = train_recipe(load_recipe(tmp_path / "a" / "recipe.yaml"), out=tmp_path / "b", device="cpu")
    assert_same_numbers(first, again)


def test_seconds_of_em_are_logged_and_summed_where_there_are_any(tmp_path: Path) -> None:
    mn = {"name": "mn", "refit_every": 2}
    summary = run(tmp_path / "mn", {"model": TREE["model"] | {"norm": mn, "input_norm": mn}})
    rows = [json.loads(line) for line in (tmp_path / "mn" / "metrics.jsonl").read_text().splitlines()]
    assert [row["em_fits"] for row in rows] == [7, 7, 0, 7]  # 7 layers, at steps 1, 3 and 5 of 2, 3, 4 and 6
    assert summary["em_fits"] == 21
    assert summary["em_seconds"] == pytest.approx(sum(row["em_seconds"] for row in rows), abs=1e-3)
    assert 0 < summary["em_seconds"] < summary["seconds"]
    assert not {"em_fits", "em_seconds"} & set(run(tmp_path / "acn"))


@pytest.mark.parametrize(
    "norm",
    [
        pytest.param("acn", id="acn"),
        pytest.param({"name": "mn", "refit_every": 2}, id="mn"),
        pytest.param("acn_latent", id="acn_latent", marks=pytest.mark.slow),
    ],
)
def test_interrupted_and_resumed_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norm: object
) -> None:
    tree = {"model": TREE["model"] | {"norm": norm}}
    whole = run(tmp_path / "whole", tree)
    interrupt_after(monkeypatch, 4)
    with pytest.raises(Interrupted, match=r"stopped after step 5 of 6; saved .*last.pt, go on with --resume") as stop:
        run(tmp_path / "cut", tree)
    assert stop.value.exit_code == 130
    assert not (tmp_path / "cut" / "summary.json").exists()
    monkeypatch.undo()

    resumed = run(tmp_path / "cut", tree, resume=True)
    assert_same_numbers(whole, resumed)
    for checkpoint in ("last", "selected"):
        a, b = weights(tmp_path / "whole", checkpoint), weights(tmp_path / "cut", checkpoint)
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = run(tmp_path)
    final = weights(tmp_path)
    (tmp_path / "summary.json").unlink()
    last = tmp_path / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-2000])
    resumed = run(tmp_path, resume=True)
    assert "last.pt: damaged" in capsys.readouterr().out
    assert len(resumed["warnings"]) == 1
    assert_same_numbers(whole | {"warnings": []}, resumed | {"warnings": []})
    torch.testing.assert_close(final, weights(tmp_path), rtol=0, atol=0)


@pytest.mark.parametrize("norm", ["acn", pytest.param("bn", marks=pytest.mark.slow)])
def test_evaluate_repeats_the_summary(tmp_path: Path, norm: str) -> None:
    tree = TREE | {"data": {"pair": "digits"}, "model": TREE["model"] | {"norm": norm}}
    tree = tree | {"train": TREE["train"] | {"steps": 2}, "evaluate": {"every": 1}}
    summary = train_recipe(parse_recipe(tree, "test"), out=tmp_path, device="cpu")
    for checkpoint in ("last", "selected"):
        result = evaluate_run(tmp_path, checkpoint, "cpu")
        assert result["target"] == summary["target"][checkpoint]
    assert result["matrix"] == summary["matrix"]
    assert result["per_class"] == summary["per_class"]


SELECT = get_args(EvaluateConfig.model_fields["select"].annotation)


@pytest.mark.parametrize(
    "select",
    [
        pytest.param(name, marks=[] if name in ("mutual_information", "source_accuracy") else pytest.mark.slow)
        for name in SELECT
    ],
)
def test_target_labels_change_no_step_and_no_selection(tmp_path: Path, select: str) -> None:
    honest = made_up.pair()
    assert honest.target_test is not None
    assert honest.target_test.labels is not None
    lied = replace(
        honest,
        target=replace(honest.target, labels=torch.zeros(24, dtype=torch.int64)),  # dropped when the pair is built
        target_test=replace(honest.target_test, labels=1 - honest.target_test.labels),
    )
    tree = {"evaluate": {"every": 2, "select": select}, "train": TREE["train"] | {"steps": 8}}
    a, b = run(tmp_path / "a", tree, pair=honest), run(tmp_path / "b", tree, pair=lied)
    assert a["select"] == select
    assert a["selected_step"] == b["selected_step"]
    assert a["label_free"] == b["label_free"]
    for name, choice in a["validators"].items():
        assert {k: choice[k] for k in ("score", "step")} == {k: b["validators"][name][k] for k in ("score", "step")}
    assert a["target"]["last"] == pytest.approx(100 - b["target"]["last"])  # the report did see other labels
    for checkpoint in ("last", "selected"):
        torch.testing.assert_close(
            weights(tmp_path / "a", checkpoint), weights(tmp_path / "b", checkpoint), rtol=0, atol=0
        )
    steps = [[json.loads(line) for line in (tmp_path / out / "metrics.jsonl").read_text().splitlines()] for out in "ab"]
    for row_a, row_b in zip(*steps, strict=True):
        trained = {"loss", "loss/source", "loss/target", "kept", "threshold", "p_source", "p_target", "a_distance"}
        assert {k: v for k, v in row_a.items() if k in trained} == {k: v for k, v in row_b.items() if k in trained}


def test_selection_in_summary_and_checkpoint_agree(tmp_path: Path) -> None:
    summary = run(tmp_path, {"evaluate": {"every": 1, "select": "source_accuracy"}})
    saved = torch.load(tmp_path / "checkpoints" / "selected.pt", weights_only=True)
    assert saved["step"] == summary["selected_step"] == summary["validators"]["source_accuracy"]["step"]
    assert summary["validators"]["source_accuracy"]["target"] == summary["target"]["selected"]
    assert summary["target"]["gap"] == summary["target"]["oracle"] - summary["target"]["selected"]
    assert summary["source_accuracy_of"] == "source test set"
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for name, choice in summary["validators"].items():
        scores = {row["step"]: row[f"label_free/{name}"] for row in rows}
        assert choice["score"] == max(scores.values()) == scores[choice["step"]]
        assert choice["target"] == next(row["accuracy/target"] for row in rows if row["step"] == choice["step"])
    raw = next(row for row in rows if row["step"] == summary["selected_step"])
    assert {cell: raw[f"raw/{cell}"] for cell in summary["raw_matrix"]} == summary["raw_matrix"]


def test_without_a_source_test_set_source_accuracy_is_of_training_images(tmp_path: Path) -> None:
    summary = run(tmp_path, {"evaluate": {"select": "source_accuracy"}}, pair=replace(made_up.pair(), source_test=None))
    assert summary["source_accuracy_of"] == "source training images"
    assert 0 <= summary["label_free"]["source_accuracy"] <= 100
    assert summary["source"] == {"last": None, "selected": None}
    assert any("source_accuracy" in warning for warning in summary["warnings"])


@pytest.mark.pictures
def test_without_target_labels_the_target_numbers_are_null(tmp_path: Path) -> None:
    summary = run(tmp_path, pair=replace(made_up.pair(), target_test=None))
    assert summary["target"] == {"last": None, "selected": None, "oracle": None, "gap": None}
    assert set(summary["ece"]) == {"source"}
    assert summary["matrix"]["target_data/target_context"] is None
    assert summary["source"]["last"] is not None
    assert summary["label_free"]["mutual_information"] >= 0
    figures = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"feature_map", "validators", "classes", "confusion_source"} <= figures
    assert [name for name in figures if name.endswith("_target")] == ["predictions_target"], "without labels"


def test_source_only_evaluates_the_target_under_an_unknown_context(tmp_path: Path) -> None:
    summary = run(tmp_path, {"algorithm": "source_only"})
    assert summary["matrix"]["target_data/target_context"] is None  # that context was never trained
    assert summary["target"]["selected"] == summary["matrix"]["target_data/unknown_context"]


def test_adabn_and_the_ceiling_run_and_the_ceiling_is_marked(tmp_path: Path) -> None:
    tree = {"algorithm": {"name": "source_only", "adabn": True}, "model": TREE["model"] | {"norm": "cn"}}
    summary = run(tmp_path / "adabn", tree)
    assert summary["target"]["selected"] == summary["matrix"]["target_data/target_context"]
    ceiling = {"data": {"pair": "digits", "oracle": True}, "algorithm": "supervised"}
    ceiling |= {"train": TREE["train"] | {"steps": 2}, "evaluate": {"every": 2}}
    summary = run(tmp_path / "ceiling", ceiling, pair=None)
    assert summary["warnings"] == ["data.oracle: trained on the target's own labels; an upper bound, not adaptation"]


def test_selecting_the_last_checkpoint(tmp_path: Path) -> None:
    summary = run(tmp_path, {"evaluate": {"every": 2, "select": "last"}})
    assert summary["selected_step"] == 6
    assert summary["target"]["selected"] == summary["target"]["last"]
    assert summary["target"]["oracle"] >= summary["target"]["last"]


def test_non_finite_loss_stops_and_names_the_term(tmp_path: Path) -> None:
    with pytest.raises(
        NonFiniteLossError, match=r"loss/source is not finite at step \d+.*smaller optimizer.lr"
    ) as error:
        run(
            tmp_path,
            {"optimizer": {"name": "sgd", "lr": 100.0}, "model": {"norm": "none", "input_norm": "none"}}
            | {"train": TREE["train"] | {"steps": 60}},
        )
    assert error.value.exit_code == 1
    assert not (tmp_path / "summary.json").exists()


def test_long_run_on_a_cpu_is_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("dacn.trainer.estimate.LONG_SECONDS", 0.0)
    summary = run(tmp_path, faster=Path("recipes/tiny_small.yaml"))
    assert "recipes/tiny_small.yaml is the recipe for two CPU cores" in " ".join(capsys.readouterr().out.split())
    assert "this will take about" in summary["warnings"][0]


def test_mistakes_leave_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="data: missing; this recipe's pair was built in Python"):
        run(tmp_path / "out", pair=None)
    assert not (tmp_path / "out").exists()
    if not torch.cuda.is_available():
        with pytest.raises(RecipeError, match="torch sees no GPU here; use --device cpu or auto"):
            train_recipe(parse_recipe(TREE, "test"), out=tmp_path / "out", device="cuda", pair=made_up.pair())
    with pytest.raises(DataError, match=r"not a run folder, it has no recipe\.yaml"):
        evaluate_run(tmp_path)


def test_training_from_python(tmp_path: Path) -> None:
    summary = dacn.train(
        made_up.pair(),
        algorithm={"name": "adamatch", "threshold": 0.8},
        model={"backbone": {"name": "small_cnn", "width": 4}, "norm": "cn"},
        steps=2,
        out=tmp_path,
        train={"source_batch": 4},
    )
    assert summary["recipe"] == "made_up"
    assert load_recipe.__name__ in dir(dacn)
    with pytest.raises(RecipeError, match=r"dacn.train: 1 problem"):
        dacn.train(made_up.pair(), model={"nrom": "bn"}, out=tmp_path / "b")


def test_training_learns_the_made_up_pair(tmp_path: Path) -> None:
    summary = run(
        tmp_path,
        {
            "train": TREE["train"] | {"steps": 60, "source_batch": 8},
            "evaluate": {"every": 30},
            "augment": {"shift": 0.0, "operations": 0, "cutout": 0.0},
        },
    )
    assert summary["source"]["last"] == 100
    assert summary["target"]["last"] >= 90
