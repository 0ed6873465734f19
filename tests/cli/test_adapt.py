"""`dacn adapt` through its entry point, and every command on the folder that it leaves."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import dacn
from dacn.cli import main
from dacn.data.known.digits import digits
from dacn.deploy.loading import load_run
from tests.trained import a_run


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, images, labelled images, and the run adapted to the images."""
    place = tmp_path_factory.mktemp("adapt")
    a_run(place / "run")
    pair = digits(16)
    assert pair.target_test is not None
    assert pair.target_test.labels is not None
    for index in range(24):
        label = int(pair.target_test.labels[index])
        for folder, images in (("b", pair.target.images), (f"b_test/{label}", pair.target_test.images)):
            (place / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[index : index + 1][0].permute(1, 2, 0).numpy()).save(place / folder / f"{index}.png")
    before = files(place / "run")
    result = call(place, "adapt", "run", "b", "--name", "hospital_b", "--test", "b_test")
    assert files(place / "run") == before  # the run stays as it was
    (place / "output.txt").write_text(result)
    return place


def call(place: Path, *arguments: str, code: int = 0) -> str:
    """Call dacn in a folder, and return what it printed."""
    here = Path.cwd()
    os.chdir(place)
    try:
        result = CliRunner().invoke(main, [*arguments])
    finally:
        os.chdir(here)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def test_what_is_printed(place: Path) -> None:
    output = (place / "output.txt").read_text()
    assert "24 images became the context hospital_b, by context" in output
    assert "started at " in output
    assert "classes in use" in output
    assert "test accuracy under the context, %" in output
    assert "The adapted run is in run-hospital_b" in output


def test_the_folder_is_whole(place: Path) -> None:
    out = place / "run-hospital_b"
    assert set(files(out)) == {
        *("recipe.yaml", "environment.json", "summary.json"),
        *("checkpoints/selected.pt", "checkpoints/frozen.pt"),
    }
    frozen = place / "run" / "checkpoints" / "selected.pt"
    assert (out / "checkpoints" / "frozen.pt").read_bytes() == frozen.read_bytes()
    assert not [path for path in place.iterdir() if "partial" in path.name]


def test_known_contexts_are_what_they_were(place: Path) -> None:
    images = digits(16).target.images[:20]
    before, after = (load_run(place / name, device="cpu") for name in ("run", "run-hospital_b"))
    for context in ("source", "target"):
        assert torch.equal(after.predict(images, context), before.predict(images, context))
    assert not torch.equal(after.predict(images), before.predict(images))


def test_predict_takes_the_new_context(place: Path) -> None:
    for options in ([], ["--context", "hospital_b"]):
        output = call(place, "predict", "run-hospital_b", "b", "--json", *options)
        assert json.loads(output)["context"] == "hospital_b"
    assert json.loads(call(place, "predict", "run-hospital_b", "b", "--json", "--context", "source"))["images"] == 24


def test_evaluate_needs_no_data_of_the_training(place: Path) -> None:
    result = json.loads(call(place, "evaluate", "run-hospital_b", "--json"))
    summary = json.loads((place / "run-hospital_b" / "summary.json").read_text())
    assert result["target"] == summary["target"]["selected"] == summary["accuracy"]["after"]["hospital_b"]
    assert set(result["matrix"]) == {f"target_data/{name}" for name in ("source", "target", "hospital_b", "unknown")}
    assert result["matrix"]["target_data/source"] == summary["accuracy"]["before"]["source"]
    assert "images of hospital_b" in call(place, "evaluate", "run-hospital_b")
    assert dacn.evaluate_run(place / "run-hospital_b")["target"] == result["target"]
    with pytest.raises(dacn.DacnError, match=r"--set train\.steps=1: of an adapted run only"):
        dacn.evaluate_run(place / "run-hospital_b", overrides=["train.steps=1"])


def test_report_export_and_adapt_go_on(place: Path) -> None:
    assert "tiny-hospital_b" in call(place, "report", "run-hospital_b")
    call(place, "export", "run-hospital_b", "--format", "exported", "--images", "b", "--out", "b.pt2")
    assert json.loads((place / "b.pt2.json").read_text())["context"] == "hospital_b"
    result = json.loads(call(place, "adapt", "run-hospital_b", "b", "--name", "again", "--method", "tent", "--json"))
    assert result["adapted"]["start"] == "hospital_b"
    assert result["out"] == "run-hospital_b-again"
    assert result["target"]["selected"] is None
    assert load_run(place / "run-hospital_b-again").contexts == ("source", "target", "hospital_b", "again")
    assert "was adapted without labelled images" in call(place, "evaluate", "run-hospital_b-again", code=2)
    moved = "data.target_test.folder=b_test"
    assert json.loads(call(place, "evaluate", "run-hospital_b-again", "--set", moved, "--json"))["target"] is not None


def test_mistakes(place: Path) -> None:
    assert "is there already" in call(place, "adapt", "run", "b", "--name", "hospital_b", code=2)
    assert "no such run" in call(place, "adapt", "rum", "b", code=2)
    assert "no such file or folder" in call(place, "adapt", "run", "c", code=2)
    assert "leaves no network behind" in call(place, "adapt", "run", "b", "--method", "lame", code=2)
    assert "has no labels" in call(place, "adapt", "run", "b", "--name", "x", "--test", "b", code=2)
    (place / "other" / "cat").mkdir(parents=True)
    Image.new("RGB", (16, 16)).save(place / "other" / "cat" / "a.png")
    assert "does not know 'cat'" in call(place, "adapt", "run", "b", "--name", "x", "--test", "other", code=2)
    (place / "bad").mkdir()
    (place / "bad" / "a.png").write_bytes(b"no image")
    assert "a.png" in call(place, "adapt", "run", "bad", "--name", "x", code=2)
    assert not (place / "run-x").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_a_killed_adaptation_leaves_nothing_behind_that_harms(place: Path) -> None:
    before = files(place / "run")
    code = (
        "import sys, time, dacn.deploy.adapt.adapt as a\n"
        "from pathlib import Path\n"
        "write = a.write_run\n"
        "def slow(folder, *args, **kwargs):\n"
        "    write(folder, *args, **kwargs); print('written', flush=True); time.sleep(60)\n"
        "a.write_run = slow\n"
        "a.adapt_run('run', 'b', name='killed')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=place,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert files(place / "run") == before
    assert not (place / "run-killed").exists()
    call(place, "adapt", "run", "b", "--name", "killed")  # what the killed one left is in nobody's way
    assert (place / "run-killed" / "summary.json").is_file()
    assert not [path for path in place.iterdir() if "partial" in path.name]
