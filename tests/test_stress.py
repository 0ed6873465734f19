"""Long training does not grow: neither in Python objects nor in the process's memory."""

import gc
from pathlib import Path
from typing import Any

import pytest

from dacn.recipe.recipe import parse_recipe
from dacn.run.run import train_recipe
from dacn.trainer.trainer import Trainer
from tests import made_up

STATUS = Path("/proc/self/statm")


def resident_mib() -> float:
    return int(STATUS.read_text().split()[1]) * 4096 / 2**20


def measured_run(out: Path, monkeypatch: pytest.MonkeyPatch, steps: int, at: list[int]) -> list[tuple[int, float]]:
    """Train, and return the number of Python objects and the memory in MiB before each of these steps."""
    step, seen = Trainer.train_step, []

    def measured(self: Trainer, batch: Any) -> Any:
        if self.step in at:
            gc.collect()
            seen.append((len(gc.get_objects()), resident_mib() if STATUS.exists() else 0.0))
        return step(self, batch)

    monkeypatch.setattr(Trainer, "train_step", measured)
    tree = {
        "model": {"backbone": {"name": "small_cnn", "width": 4}},
        "train": {"steps": steps, "source_batch": 2, "target_ratio": 1, "log_every": 50},
        "evaluate": {"every": max(50, steps // 40)},
    }
    train_recipe(parse_recipe(tree, "test"), out=out, device="cpu", pair=made_up.pair(count=12, size=8))
    return seen


@pytest.mark.slow
def test_python_objects_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (before, _), (after, _) = measured_run(tmp_path, monkeypatch, 301, [100, 300])
    assert after - before < 200


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="memory is read from /proc")
def test_twenty_thousand_steps_do_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (objects, memory), (objects_after, memory_after) = measured_run(tmp_path, monkeypatch, 20_001, [4_000, 20_000])
    print(f"{objects} to {objects_after} objects, {memory:.1f} to {memory_after:.1f} MiB")
    assert objects_after - objects < 200
    assert memory_after - memory < 20
