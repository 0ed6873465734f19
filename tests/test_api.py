"""What `dacn.train` returns: summary.json's content as before, and the run itself."""

import json
import sys
import types
from pathlib import Path

import pytest
import torch

import dacn
from tests import made_up

TINY = {"norm": "bn", "input_norm": "none", "backbone": {"name": "small_cnn", "width": 4}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dacn.TrainedRun:
    return dacn.train(
        made_up.pair(),
        algorithm="source_only",
        model=TINY,
        steps=4,
        out=tmp_path_factory.mktemp("api") / "run",
        device="cpu",
        train={"source_batch": 4, "log_every": 1},
        evaluate={"every": 2, "figures": False},
    )


def test_it_is_the_summary_as_before(run: dacn.TrainedRun) -> None:
    stored = json.loads((run.folder / "summary.json").read_text())
    assert isinstance(run, dict)
    assert json.loads(json.dumps(run)) == stored
    assert run["target"]["selected"] == stored["target"]["selected"]
    assert run.summary == dict(run)
    assert type(run.summary) is dict


def test_the_network_predicts(run: dacn.TrainedRun) -> None:
    images = made_up.pair().target.images[:3]
    assert isinstance(images, torch.Tensor)
    assert run.network.predict(images).shape == (3, 2)
    assert run.network is run.network


def test_figures_are_the_pictures_of_the_folder(run: dacn.TrainedRun) -> None:
    assert run.figures() == {}
    (run.folder / "figures").mkdir()
    (run.folder / "figures" / "feature_map.png").write_bytes(b"")
    assert run.figures() == {"feature_map": run.folder / "figures" / "feature_map.png"}


def test_metrics_are_rows_or_a_table(run: dacn.TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dacn.api.find_spec", lambda name: None)
    rows = run.metrics
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(row["loss"] > 0 for row in rows)

    class Table:
        def __init__(self, rows: list[dict[str, float]]) -> None:
            self.rows = rows

        def set_index(self, name: str) -> tuple[str, list[dict[str, float]]]:
            return name, self.rows

    monkeypatch.setattr("dacn.api.find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=Table))
    assert run.metrics == ("step", rows)


def test_metrics_with_pandas(run: dacn.TrainedRun) -> None:
    pandas = pytest.importorskip("pandas")
    table = run.metrics
    assert isinstance(table, pandas.DataFrame)
    assert [*table.index] == [1, 2, 3, 4]
    assert table.loc[4, "loss"] > 0


def test_layers_and_losses_are_at_hand() -> None:
    import dacn.losses
    import dacn.nn

    assert dacn.nn.AdaptiveContextNorm(3, 2) is not None
    assert dacn.losses.mutual_information is not None


def test_a_pair_of_folders_in_one_line(tmp_path: Path) -> None:
    from tests.cli.test_mistakes import draw

    for seed, name in enumerate(("photos", "sketches")):
        draw(tmp_path / name, ("cat", "dog"), seed=seed)
    pair = dacn.DomainPair(source=str(tmp_path / "photos"), target=str(tmp_path / "sketches"), image_size=16)  # type: ignore[arg-type]
    assert (len(pair.source), len(pair.target), pair.classes) == (6, 6, ("cat", "dog"))
