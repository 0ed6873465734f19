"""A run that starts from a file of weights: trained, told, evaluated, predicted and exported without that file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dacn.cli import main
from dacn.deploy.loading import load_run
from tests import made_up

timm = pytest.importorskip("timm")

RECIPE = """
name: small
data: {source: {npz: source.npz}, target: {npz: target.npz}, image_size: 32, flips: false, test_fraction: 0.5}
algorithm: dann
model:
  backbone: {name: timm, arch: test_resnet, pretrained: weights.pt, mean: [0.2, 0.4, 0.6]}
  norm: cn
  bottleneck: 8
train: {steps: 2, source_batch: 4, target_ratio: 1}
"""


def dacn(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_from_a_file_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net = timm.create_model("test_resnet", num_classes=5)
    state = {f"module.{name}": tensor for name, tensor in net.state_dict().items() if name != "bn1.bias"}
    torch.save({"epoch": 3, "state_dict": state}, "weights.pt")
    Path("small.yaml").write_text(RECIPE)
    for seed, name in enumerate(("source", "target")):
        part = made_up.domain(name, 24, seed=seed, tint=2 * seed, size=32)
        assert part.labels is not None
        np.savez(f"{name}.npz", images=part.images.permute(0, 2, 3, 1).numpy(), labels=part.labels.numpy())
    lacking = "weights.pt: lacks bn1.bias, which start at random"
    assert lacking in " ".join(dacn("train", "small.yaml", "--out", "run").split())
    warned = [text for text in json.loads(Path("run/summary.json").read_text())["warnings"] if lacking in text]
    assert len(warned) == 1

    Path("weights.pt").unlink()
    assert json.loads(dacn("evaluate", "run", "--json"))["checkpoint"] == "selected"
    network = load_run("run", device="cpu")
    assert network.model.input_scale is not None
    assert network.model.input_scale.mean.flatten().tolist() == pytest.approx([0.2, 0.4, 0.6])
    assert network.model.head.in_features == 8
    written = dacn("export", "run", "--context", "target", "--format", "state_dict", "--out", "w.pt")
    assert "w.pt" in written  # which is checked against the network before it is kept
    folded = torch.load("w.pt", weights_only=True)
    assert folded["input_scale.mean"].flatten().tolist() == pytest.approx([0.2, 0.4, 0.6])
