"""Whole runs on a pretended GPU."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dacn.algorithms import ALGORITHMS
from dacn.recipe.recipe import parse_recipe
from dacn.run.run import train_recipe
from tests import made_up
from tests.pretended_gpu import GPU, OnGpu, PretendedGpu, pretended_gpu  # noqa: F401

TREE: dict[str, Any] = {
    "name": "tiny",
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"steps": 4, "source_batch": 6, "target_ratio": 2, "log_every": 2, "compile": False},
    "evaluate": {"every": 2, "batch_size": 10},
}


def test_a_run(tmp_path: Path, pretended_gpu: PretendedGpu) -> None:
    recipe = parse_recipe(TREE, "test")
    summary = train_recipe(recipe, out=tmp_path, pair=made_up.pair())
    assert summary["steps"] == 4
    print(pretended_gpu.waits)
