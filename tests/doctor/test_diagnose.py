"""The whole of the doctor: silent on what ships, clear about what is absent, and without a trace."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dacn.data.domain import Domain
from dacn.doctor.diagnose import CHECKS, diagnose
from dacn.errors import RecipeError
from dacn.recipe.recipe import load_recipe, parse_recipe
from tests import made_up
from tests.doctor.examined import FLAWED, examine, found, recipe, shipped

SMALLER = {
    "name: wide_resnet": "model.backbone={name: wide_resnet, depth: 10, width: 1}",
    "name: vit": "model.backbone={name: vit, depth: 1, width: 48, where: first}",
}


ALWAYS = {"digits_acn", "digits_dann", "mnist_svhn_acn", "cifar10_cnn_mn"}  # the others are among the slow


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[] if path.stem in ALWAYS else pytest.mark.slow, id=path.stem) for path in shipped()],
)
def test_silent_on_every_recipe_that_ships(path: Path) -> None:
    """Its own images where they are embedded, else a made-up pair of their shape; large networks made small."""
    smaller = [override for name, override in SMALLER.items() if name in path.read_text()]
    shipped_recipe = load_recipe(path, [*smaller, "train.source_batch=8"])
    assert shipped_recipe.data is not None
    pair = None if shipped_recipe.data.pair == "digits" else made_up.pair(classes=10, size=32, count=400)
    if shipped_recipe.data.dataset is not None:
        assert pair is not None
        pair = replace(pair, contexts=("one",), fits=())
    diagnosis = diagnose(shipped_recipe, pair, steps=4, patience=2)
    assert {*found(diagnosis)} <= {"length"}, "some are for a GPU"
    assert tuple(diagnosis.done) == CHECKS


def test_the_published_flaws_are_found() -> None:
    """All but two: a source pass by running statistics and evaluation by raw weights are no errors of themselves."""
    pair = replace(made_up.pair(classes=10, size=32, count=400), flips=True, classes=tuple("0123456789"))
    findings = diagnose(load_recipe(FLAWED, ["train.source_batch=8"]), pair, steps=4, patience=2).findings
    assert [check for check, _ in findings if check != "length"] == [
        "mirrored signs",
        "weak views",
        "ramps at the end",
        "alignment",
        "mask",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_silent_on_the_full_network_of_every_recipe_that_ships(path: Path) -> None:
    full = load_recipe(path)
    assert full.data is not None
    pair = made_up.pair(classes=10, size=32, count=400)
    if full.data.dataset is not None:
        pair = replace(pair, contexts=("one",), fits=())
    assert diagnose(full, pair, patience=60).findings == []


def test_without_the_images_the_recipe_is_checked_all_the_same(tmp_path: Path) -> None:
    data = {"pair": "mnist_usps", "root": str(tmp_path / "nowhere")}
    broken = recipe(data=data, train={"ema": 0.9999})
    diagnosis = diagnose(broken)
    assert [*found(diagnosis)] == ["ema", "data"]
    assert "MNIST (train): no intact files in" in found(diagnosis)["data"]
    assert diagnosis.failed
    assert diagnosis.notes == ["Without the images only the checks of the recipe itself were made."]
    assert not (tmp_path / "nowhere").exists()


def test_images_that_the_run_would_fetch_are_no_error_and_stay_where_they_are(tmp_path: Path) -> None:
    diagnosis = diagnose(recipe(data={"pair": "mnist_usps", "root": str(tmp_path), "download": True}))
    assert [*found(diagnosis)] == ["data"]
    assert not diagnosis.failed
    assert not [*tmp_path.iterdir()]


def test_it_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pair = made_up.pair(classes=4, count=40)
    images, state = pair.source.images.clone(), torch.get_rng_state()
    examine(pair)
    assert torch.equal(pair.source.images, images)
    assert torch.equal(torch.get_rng_state(), state)
    assert not [*tmp_path.iterdir()]


def test_parts_that_do_not_go_together_are_the_users_mistake() -> None:
    with pytest.raises(RecipeError, match=r"algorithm\.adabn: true needs layers with batch statistics"):
        examine(algorithm={"name": "source_only", "adabn": True}, model={"norm": "bn"})


def test_several_sources_and_no_test_sets() -> None:
    pair = made_up.pair(classes=4, count=40)
    contexts = torch.arange(40) // 20
    several = replace(
        pair, source=replace(pair.source, context=contexts), contexts=("a", "b", "target"), fits=(),
        source_test=None, target_test=None,
    )  # fmt: skip
    assert examine(several).findings == []


def test_target_images_that_lend_their_labels_are_no_missing_gap() -> None:
    pair = made_up.pair(classes=4, count=40)
    assert pair.source.labels is not None
    lent, labels = pair.target.images[:12], torch.arange(12) % 4
    source = Domain(
        "reds", torch.cat([pair.source.images, lent]), torch.cat([pair.source.labels, labels]),
        context=torch.cat([torch.zeros(40), torch.ones(12)]).long(),
    )  # fmt: skip
    assert examine(replace(pair, source=source)).findings == []


def test_long_steps_are_tried_with_smaller_batches() -> None:
    diagnosis = diagnose(recipe(), made_up.pair(classes=4, count=40), steps=2, patience=0)
    tried, takes = diagnosis.notes
    assert tried == (
        "2 steps were tried with 4 + 8 images each: with the recipe's 16 + 32 the trial itself would take more than "
        "0 seconds."
    )
    assert re.fullmatch(r"Training will take about .*: 1,000 steps at .* a (step|second), as measured\.", takes)
    assert diagnosis.findings == []


def test_a_run_that_takes_hours_is_a_finding_and_not_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dacn.doctor.length_check.LONG_SECONDS", 0.0)
    (finding,) = [finding for check, finding in examine().findings if check == "length"]
    assert "on this CPU: 1,000 steps at" in finding.what
    assert (finding.severity, finding.key) == ("warning", "train")


def test_a_length_that_the_recipe_leaves_open_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dacn.run.length.MEASURED_SECONDS", 0.0)
    diagnosis = examine(train={"steps": None, "minutes": 60})
    assert "unseen images" not in found(diagnosis)
    assert re.search(r"steps: what 60 minutes hold at .*, as measured", diagnosis.notes[0])


def test_what_an_export_will_need_is_told_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dacn.deploy.export.find_spec", lambda name: None if name == "onnxscript" else True)
    nowhere = parse_recipe({"data": {"source": {"folder": "gone"}, "target": {"folder": "gone"}}}, "test")
    assert (
        "dacn export --format onnx needs onnxscript, not installed here: pip install 'dacn[export]'"
        in diagnose(nowhere).notes
    )
    monkeypatch.setattr("dacn.deploy.export.find_spec", lambda name: True)
    assert not [note for note in diagnose(nowhere).notes if "export" in note]
