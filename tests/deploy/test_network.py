"""A run's network, used without the run's data."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dacn
from dacn.data.known.digits import digits
from dacn.deploy.loading import load_run
from dacn.errors import DacnError, DataError, RecipeError
from dacn.evaluation.matrix import evaluate
from dacn.recipe.recipe import parse_recipe
from dacn.run.evaluation import evaluate_run
from dacn.run.run import train_recipe
from dacn.trainer.checkpoint import load_checkpoint, save_checkpoint
from tests import made_up
from tests.trained import SMALL, a_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_run(tmp_path_factory.mktemp("run") / "tiny")


def changed(run: Path, out: Path, **entries: object) -> Path:
    """Return a copy of a run of whose checkpoint some entries are others; None removes one."""
    shutil.copytree(run, out)
    path = out / "checkpoints" / "selected.pt"
    state = load_checkpoint(path) | entries
    save_checkpoint(path, {key: value for key, value in state.items() if value is not None})
    return out


def test_the_checkpoint_alone_is_enough(run: Path, tmp_path: Path) -> None:
    (tmp_path / "moved" / "checkpoints").mkdir(parents=True)
    shutil.copy(run / "checkpoints" / "selected.pt", tmp_path / "moved" / "checkpoints")
    network = dacn.load_run(tmp_path / "moved", device="cpu")
    assert network.classes == tuple("0123456789")
    assert network.contexts == ("source", "target")
    assert (network.image_size, network.step, network.recipe.name) == (16, 12, "tiny")
    assert not network.model.training


@pytest.mark.parametrize("norm", ["acn", pytest.param("bn", marks=pytest.mark.slow)])
def test_predictions_are_those_that_evaluation_counts(tmp_path: Path, norm: str) -> None:
    network = load_run(a_run(tmp_path, SMALL | {"norm": norm}), device="cpu")
    pair = digits(16)
    assert pair.target_test is not None
    assert pair.target_test.labels is not None
    matrix = evaluate(network.model, pair, uses_target=True).matrix
    for context in ("source", "target", "unknown"):
        probabilities = network.predict(pair.target_test.images, context)
        right = (probabilities.argmax(dim=1) == pair.target_test.labels).float().mean()
        assert 100 * float(right) == matrix[f"target_data/{context}_context"]
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(probabilities)))
    by_default = network.predict(pair.target_test.images[:9])
    assert torch.equal(by_default, network.predict(pair.target_test.images[:9], "target"))


def test_pil_images_are_fitted(run: Path) -> None:
    network = load_run(run, device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    expected = network.predict(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    torch.testing.assert_close(network.predict([Image.fromarray(image) for image in pixels]), expected)
    enlarged = Image.fromarray(pixels[0]).resize((64, 64), Image.Resampling.NEAREST)
    assert network.predict([enlarged, Image.new("L", (5, 9))]).shape == (2, 10)


def test_tensors_that_do_not_fit(run: Path) -> None:
    network = load_run(run, device="cpu")
    for images, got in (
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"uint8 \(2, 3, 8, 8\)"),
        (torch.zeros(2, 3, 16, 16), r"float32 \(2, 3, 16, 16\)"),
    ):
        with pytest.raises(DacnError, match=rf"images: got torch.{got}, expected uint8 \(N, 3, 16, 16\), RGB from 0"):
            network.predict(images)


def test_contexts(run: Path) -> None:
    network = load_run(run, device="cpu")
    assert network.context(None) == network.context("target") == "target"
    assert [network.context(name) for name in ("source", "unknown")] == ["source", "unknown"]
    assert [network.fit(name) for name in ("source", "target", "unknown")] == ["digits", "crop", "crop"]
    with pytest.raises(DacnError) as error:
        network.context("targte")
    assert str(error.value) == (
        f"--context targte: {run}/checkpoints/selected.pt knows no such context; did you mean 'target'?; "
        "expected source, target or unknown"
    )


def test_a_context_that_was_not_trained(tmp_path: Path) -> None:
    network = load_run(a_run(tmp_path / "acn", uses_target=False), device="cpu")
    assert network.context(None) == "unknown"  # as evaluation does
    with pytest.raises(DacnError, match="--context target: this network was trained without images of that context; "):
        network.context("target")
    network = load_run(a_run(tmp_path / "bn", {"norm": "bn", "input_norm": "none"}, uses_target=False), device="cpu")
    assert network.context("target") == network.context(None) == "target"  # it makes no difference


def test_several_sources_and_a_single_set(tmp_path: Path) -> None:
    pair = made_up.pair()
    several = replace(pair.source, context=torch.arange(24) % 2)
    run = a_run(tmp_path / "a", pair=replace(pair, source=several, contexts=("reds", "greys", "target"), fits=()))
    network = load_run(run, device="cpu")
    assert [network.context(name) for name in ("reds", "target", None)] == ["reds", "target", "target"]
    assert network.rows(torch.zeros(2, 3, 16, 16, dtype=torch.uint8), "greys").tolist() == [1, 1]
    with pytest.raises(DacnError, match="no such context; expected reds, greys, target or unknown"):
        network.context("source")
    run = a_run(tmp_path / "b", pair=replace(pair, contexts=("cifar10",), fits=()))
    assert load_run(run, device="cpu").context("target") == "cifar10"


@pytest.mark.parametrize(
    ("norm", "kind"),
    [
        ("acn", "cluster"),
        ("bn", "superclass"),
        pytest.param("acn", "superclass", marks=pytest.mark.slow),
        pytest.param("bn", "cluster", marks=pytest.mark.slow),
    ],
)
def test_contexts_that_are_no_domains_are_inferred(tmp_path: Path, kind: str, norm: str) -> None:
    groups = {"few": [str(k) for k in range(4)], "many": [str(k) for k in range(4, 10)]}
    context = (
        {"name": "cluster", "count": 3, "on": "features"} if kind == "cluster" else {"name": kind, "groups": groups}
    )
    tree = {"data": {"dataset": None, "pair": "digits", "image_size": 16, "context": context}}
    tree |= {"model": SMALL | {"norm": norm}, "algorithm": "supervised", "train": {"steps": 3, "source_batch": 16}}
    recipe = parse_recipe(tree, "test")
    train_recipe(recipe, out=tmp_path, device="cpu")
    network, modes = load_run(tmp_path, device="cpu"), evaluate_run(tmp_path, device="cpu")["contexts"]
    assert network.context(None) == "inferred"
    with pytest.raises(DacnError, match=r"knows no such context; expected (cluster0|few), .*inferred or unknown"):
        network.context("target")
    test = digits(16).target_test
    assert test is not None
    assert test.labels is not None
    for mode in ("inferred", "unknown"):
        right = (network.predict(test.images, mode).argmax(dim=1) == test.labels).float().mean()
        assert 100 * float(right) == modes["target"][mode]


def test_images_that_are_no_squares(tmp_path: Path) -> None:
    pair = made_up.pair()
    wide = {name: replace(getattr(pair, name), images=getattr(pair, name).images[:, :, :12]) for name in
            ("source", "target", "source_test", "target_test")}  # fmt: skip
    network = load_run(a_run(tmp_path, pair=replace(pair, **wide)), device="cpu")
    assert network.predict(wide["target"].images).shape == (24, 2)
    with pytest.raises(DacnError, match="takes images of 12 x 16 pixels, which no file is fitted to"):
        _ = network.image_size


def test_what_is_not_there(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tinny: no such run; did you mean 'tiny'\?"):
        load_run(run.with_name("tinny"))
    with pytest.raises(DataError, match=r"recipe\.yaml: is a file, expected the folder of a run"):
        load_run(run / "recipe.yaml")
    with pytest.raises(DataError, match="not a run folder, it has no checkpoints; `dacn train` writes them"):
        load_run(tmp_path)
    with pytest.raises(DataError, match="tiny: has no checkpoint 'last' yet; give --checkpoint selected"):
        load_run(run, "last")


def test_checkpoints_that_do_not_hold_together(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not say which classes it knows; it is of an older dacn"):
        load_run(changed(run, tmp_path / "a", network=None))
    with pytest.raises(DataError, match="does not say which recipe wrote it"):
        load_run(changed(run, tmp_path / "b", origin=3))
    with pytest.raises(DataError, match=r"its weights are not those of the network it describes \('model'\)"):
        load_run(changed(run, tmp_path / "c", model=None))
    fewer = load_checkpoint(run / "checkpoints" / "selected.pt")["network"] | {"classes": ["a", "b"]}
    with pytest.raises(DataError, match="its weights are not those of the network it describes"):
        load_run(changed(run, tmp_path / "d", network=fewer))
    origin = {"dacn": "9.0", "recipe": {"model": {"norm": "new"}}}
    with pytest.raises(RecipeError, match=r"selected\.pt \(written by dacn 9\.0\): 1 problem\n  model\.norm"):
        load_run(changed(run, tmp_path / "e", origin=origin))


def test_pretrained_weights_are_not_fetched_for_a_trained_network(tmp_path: Path) -> None:
    model = {"backbone": {"name": "torchvision", "arch": "squeezenet1_1", "pretrained": False}}
    run = a_run(tmp_path / "a", model, pair=made_up.pair(size=32))
    origin = load_checkpoint(run / "checkpoints" / "selected.pt")["origin"]
    origin["recipe"]["model"]["backbone"]["pretrained"] = True
    network = load_run(changed(run, tmp_path / "b", origin=origin), device="cpu")
    images = made_up.pair(size=32).target.images
    assert torch.equal(network.predict(images), load_run(run, device="cpu").predict(images))


def test_files_folders_and_arrays_are_fitted_as_predict_does(run: Path, tmp_path: Path) -> None:
    network = load_run(run, device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), np.uint8)
    paths = [tmp_path / "new" / f"{index}.png" for index in range(3)]
    paths[0].parent.mkdir()
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    (tmp_path / "new" / "notes.txt").write_text("no image")
    np.savez(tmp_path / "new.npz", images=pixels)
    expected = network.predict([Image.fromarray(image) for image in pixels])
    rows = dacn.predict_run(run, tmp_path / "new", device="cpu")["predictions"]
    assert [row["class"] for row in rows] == [network.classes[i] for i in expected.argmax(dim=1)]
    for given in (pixels, tmp_path / "new", str(tmp_path / "new"), paths, [*map(str, paths)], tmp_path / "new.npz"):
        torch.testing.assert_close(network.predict(given), expected)
    torch.testing.assert_close(network.predict(paths[1]), expected[1:2])
    torch.testing.assert_close(network.predict(paths[::-1], "source"), network.predict(pixels[::-1], "source"))
    grey = network.predict(pixels[..., 0])
    torch.testing.assert_close(network.predict(pixels[..., :1]), grey)
    assert network.predict([]).shape == (0, 10)


def test_what_cannot_be_predicted_on_is_named(run: Path, tmp_path: Path) -> None:
    network = load_run(run, device="cpu")
    for array in (np.zeros((2, 3, 16, 16), np.uint8), np.zeros((2, 16, 16)), np.zeros((16, 16), np.uint8)):
        with pytest.raises(DacnError, match=r"images: got an array of .*, expected uint8 \(N, H, W\) or "):
            network.predict(array)
    with pytest.raises(DataError, match=r"gone: no such file or folder"):
        network.predict(tmp_path / "gone")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(DataError, match=r"bad.png: .*on_bad_image='skip'"):
        network.predict([tmp_path / "bad.png"])
