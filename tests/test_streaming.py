"""Folders that do not fit in memory: the same run to the bit, in little memory."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dacn.errors import Interrupted
from dacn.recipe.recipe import parse_recipe
from dacn.run.evaluation import evaluate_run
from dacn.run.run import train_recipe
from dacn.trainer import trainer as trainer_module
from tests import made_up
from tests.interrupting import interrupt_after

pytestmark = pytest.mark.pictures  # those of files and of memory are compared too

PACS = Path(__file__).parents[1] / "../shared/data/pacs64"
MOST_BYTES = 1.5e9


def save(path: Path, *, seed: int, tint: int, labelled: bool = True) -> dict[str, Path]:
    domain = made_up.domain(path.name, 24, seed=seed, tint=tint, size=16)
    assert domain.labels is not None
    for index, (image, label) in enumerate(zip(domain.images[:], domain.labels.tolist(), strict=True)):
        file = path / (f"class{label}" if labelled else ".") / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)
    return {"folder": path}


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    return {
        "source": [save(tmp_path / "reds", seed=0, tint=0), save(tmp_path / "greens", seed=1, tint=1)],
        "target": save(tmp_path / "blues", seed=2, tint=2, labelled=False),
        "target_test": save(tmp_path / "blues_test", seed=3, tint=2),
        "image_size": 16,
        "test_fraction": 0.25,
    }


def train(
    out: Path, data: dict[str, Any], algorithm: Any = "adamatch", figures: bool = False, **options: Any
) -> dict[str, Any]:
    tree = {
        "name": "tiny",
        "data": data,
        "algorithm": algorithm,
        "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": "cn"},
        "train": {"steps": 6, "source_batch": 4, "target_ratio": 2, "log_every": 2, "ema": 0.9},
        "evaluate": {"every": 3, "batch_size": 7, "figures": figures},
    }
    summary = train_recipe(parse_recipe(tree, "test"), out=out, device="cpu", **options)
    return {key: value for key, value in summary.items() if "second" not in key}


def assert_same_run(first: Path, second: Path) -> None:
    for checkpoint in ("last", "selected"):
        a, b = (torch.load(run / "checkpoints" / f"{checkpoint}.pt", weights_only=True) for run in (first, second))
        torch.testing.assert_close(a["model"], b["model"], rtol=0, atol=0)
    rows = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (first, second)]
    for a, b in zip(*rows, strict=True):
        assert a | {"images_per_second": 0} == b | {"images_per_second": 0}
    figures = [sorted((run / "figures").glob("*.png")) for run in (first, second)]
    for a, b in zip(*figures, strict=True):
        assert a.name == b.name
        if a.stem in ("pair", "views", "predictions_target"):
            assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize(
    "algorithm", ["adamatch", pytest.param({"name": "source_only", "adabn": True}, marks=pytest.mark.slow)]
)
def test_a_run_from_files_is_the_run_from_memory(tmp_path: Path, data: dict[str, Any], algorithm: Any) -> None:
    held = train(tmp_path / "held", data, algorithm, figures=True)
    decoded = train(tmp_path / "decoded", data | {"resident_mb": 0, "workers": 2}, algorithm, figures=True)
    assert held == decoded
    assert_same_run(tmp_path / "held", tmp_path / "decoded")
    assert evaluate_run(tmp_path / "held", device="cpu") == evaluate_run(tmp_path / "decoded", device="cpu")


def test_a_run_from_files_resumes_to_the_bit_even_from_memory(
    tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tmp_path / "whole", data)
    interrupt_after(monkeypatch, 3)
    for name in ("files", "memory"):
        with pytest.raises(Interrupted):
            train(tmp_path / name, data | {"resident_mb": 0})
    monkeypatch.undo()
    assert train(tmp_path / "files", data | {"resident_mb": 0}, resume=True) == whole
    assert train(tmp_path / "memory", data | {"workers": 1}, resume=True) == whole
    for name in ("files", "memory"):
        assert_same_run(tmp_path / "whole", tmp_path / name)


def test_a_file_that_vanishes_while_training_is_named(
    tmp_path: Path, data: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dacn.errors import DataError

    def vanish(self: trainer_module.Trainer, *args: Any) -> Any:
        for file in (tmp_path / "blues").glob("*.png"):
            file.unlink()
        return fit(self, *args)

    fit = trainer_module.Trainer.fit
    monkeypatch.setattr(trainer_module.Trainer, "fit", vanish)
    with pytest.raises(DataError, match=r"blues.*\.png: .*No such file"):
        train(tmp_path / "run", data | {"resident_mb": 0})
    assert "decoded while training: the files of source, target, source_test, target_test" in capsys.readouterr().out


@pytest.mark.parametrize("mb", [0, 1024])
def test_pacs_trains_two_steps(tmp_path: Path, mb: int) -> None:
    if not PACS.is_dir():
        pytest.skip("PACS is not beside this checkout")
    tree = {
        "data": {
            "source": {"folder": PACS / "art_painting"},
            "target": {"folder": PACS / "photo"},
            "image_size": 64,
            "test_fraction": 0.05,
            "classes": ["dog", "horse"],
            "resident_mb": mb,
        },
        "model": {"backbone": {"name": "small_cnn", "width": 4}},
        "train": {"steps": 2, "source_batch": 4, "target_ratio": 2},
    }
    summary = train_recipe(parse_recipe(tree, "test"), out=tmp_path, device="cpu")
    assert summary["steps"] == 2
    assert summary["target"]["last"] is not None
    assert len(summary["per_class"]["target"]["f1"]) == 2


PEAK = """
import resource, sys
from pathlib import Path
from dacn.machine.memory import keep_freed_memory
from dacn.recipe.recipe import load_recipe
from dacn.run.run import train_recipe
keep_freed_memory()  # as the command does
train_recipe(load_recipe(sys.argv[1]), out=Path(sys.argv[2]), device="cpu", resume=True)
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_ten_thousand_photographs_stream_in_little_memory(tmp_path: Path) -> None:
    """10,000 images of 227x227 in each domain, 2.9 GiB as bytes; threads decode, so one process is all there is.

    Half of what remains is torch, the rest the network's activations: a tenth of the images need as much.
    """
    resource = pytest.importorskip("resource")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    random = np.random.default_rng(0)
    coarse = [Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(50)]
    photos = [image.resize((454, 454), Image.Resampling.BICUBIC) for image in coarse]
    for domain in ("photos", "drawings"):
        for index in range(10_000):
            left, top = random.integers(0, 227, 2)
            file = tmp_path / domain / f"class{index % 5}" / f"{index}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            photos[index % 50].crop((left, top, left + 227, top + 227)).save(file, quality=85)
    recipe = tmp_path / "large.yaml"
    recipe.write_text(
        f"data: {{source: {{folder: {tmp_path}/photos}}, target: {{folder: {tmp_path}/drawings}}, image_size: 227,"
        " test_fraction: 0.02}\n"
        "model: {backbone: {name: small_cnn, width: 8}, input_norm: none, norm: cn}\n"
        "train: {steps: 20, source_batch: 8, target_ratio: 3}\nevaluate: {every: 20, batch_size: 50}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(recipe), str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    (peak,) = (int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("peak"))
    assert "decoded while training: the files of source, target" in done.stderr + done.stdout
    assert 1024 * peak < MOST_BYTES


@pytest.mark.slow
def test_twenty_thousand_jpegs_stream_at_224_in_little_memory_and_go_on_after_a_kill(tmp_path: Path) -> None:
    """20,000 files of 500x375, 3.7 GiB as bytes: bounded memory, and the same to the bit after SIGKILL."""
    pytest.importorskip("resource")
    random = np.random.default_rng(0)
    photos = []
    for _ in range(100):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        content = io.BytesIO()
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(content, "JPEG", quality=85)
        photos.append(content.getvalue())
    for index in range(20_000):
        folder = tmp_path / ("photos" if index < 10_000 else "drawings") / f"class{index % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.jpg").write_bytes(photos[index % 100])
    recipe = tmp_path / "large.yaml"
    recipe.write_text(
        f"data: {{source: {{folder: {tmp_path}/photos}}, target: {{folder: {tmp_path}/drawings}}, image_size: 224,"
        " resize_size: 256, flips: true}\naugment: {crop: [0.7, 1.0]}\n"
        "model: {backbone: {name: small_cnn, width: 8}, input_norm: none, norm: cn}\n"
        "train: {steps: 12, source_batch: 8, target_ratio: 1}\nevaluate: {every: 6, batch_size: 50}\n"
    )

    def start(out: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PEAK, str(recipe), str(tmp_path / out)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    peaks = []
    for out, kill in (("whole", False), ("killed", True), ("killed", False)):
        process = start(out)
        if kill:
            while not (tmp_path / out / "checkpoints/last.pt").exists():
                assert process.poll() is None
                time.sleep(0.1)
            process.kill()
        printed, _ = process.communicate()
        if not kill:
            assert process.returncode == 0, printed
            peaks += [int(line.split()[1]) for line in printed.splitlines() if line.startswith("peak")]
            assert "decoded while training: the files of source, target" in printed
    assert len(peaks) == 2
    assert 1024 * max(peaks) < MOST_BYTES
    whole, killed = (
        torch.load(tmp_path / run / "checkpoints/last.pt", weights_only=True) for run in ("whole", "killed")
    )
    torch.testing.assert_close(whole["model"], killed["model"], rtol=0, atol=0)
    print("peak", [f"{1024 * peak / 1e9:.2f} GB" for peak in peaks])
