"""The pictures of whole runs: which there are, in the folder and in TensorBoard."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dacn.recipe.recipe import parse_recipe
from dacn.run.run import train_recipe
from tests import made_up

pytestmark = pytest.mark.pictures
ALWAYS = {"pair", "views", "curves", "validators"}
OF_A_TEST_SET = {"confusion", "predictions"}


def run(out: Path, tree: dict[str, Any]) -> set[str]:
    """Return the names of the pictures that a run leaves, having opened each."""
    base = {
        "model": {"backbone": {"name": "small_cnn", "width": 4}},
        "train": {"steps": 2, "source_batch": 4, "target_ratio": 2},
        "augment": {"operations": 0},
    }
    train_recipe(parse_recipe(base | tree, "test"), out=out, device="cpu", pair=made_up.pair())
    for path in (out / "figures").iterdir():
        with Image.open(path) as image:
            assert min(image.size) > 100
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 10, f"{path.name} shows nothing"
    return {path.stem for path in (out / "figures").iterdir()}


def test_a_method_with_pseudo_labels(tmp_path: Path) -> None:
    names = run(tmp_path, {})
    tests = {f"{name}_{domain}" for name in OF_A_TEST_SET for domain in ("source", "target")}
    assert names - {"mistakes_source", "mistakes_target"} == ALWAYS | tests | {"reliability", "classes", "feature_map"}
    shown = set(EventAccumulator(str(tmp_path / "tensorboard")).Reload().Tags()["images"])
    assert shown == {"views", *(f"figures/{name}" for name in names - {"curves", "validators"})}
    metadata = (tmp_path / "tensorboard/00002/features/metadata.tsv").read_text().splitlines()
    assert metadata[0] == "domain\tclass\tpredicted\tconfidence"
    assert len(metadata) == 1 + 48
    assert [line.split("\t")[0] for line in metadata[1:]] == ["source"] * 24 + ["target"] * 24
    assert {line.split("\t")[1] for line in metadata[1:]} == {"class0", "class1"}


def test_a_method_that_looks_at_no_target_and_has_no_marginals(tmp_path: Path) -> None:
    names = run(
        tmp_path, {"algorithm": "supervised", "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": "bn"}}
    )
    assert {"views", "classes", "reliability", "feature_map", "confusion_target"} <= names


@pytest.mark.slow
def test_a_resumed_run_that_was_finished_leaves_the_same(tmp_path: Path) -> None:
    names = run(tmp_path, {})
    (tmp_path / "summary.json").unlink()
    tree = {
        "model": {"backbone": {"name": "small_cnn", "width": 4}},
        "train": {"steps": 2, "source_batch": 4, "target_ratio": 2},
        "augment": {"operations": 0},
    }
    train_recipe(parse_recipe(tree, "test"), out=tmp_path, device="cpu", pair=made_up.pair(), resume=True)
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == names
    assert [path.name for path in (tmp_path / "tensorboard").glob("0*")] == ["00002"]
