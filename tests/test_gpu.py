"""What a GPU computes: `python -m pytest -m gpu` runs it there in two minutes, and skips where there is none.

Whatever can be done on a CPU as well is done there by default; what needs a GPU is held to it.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from dacn.cli import main
from dacn.errors import Interrupted
from dacn.nn import AdaptiveContextNorm, AdaptiveContextNormBase, ContextBatchNorm
from dacn.recipe.recipe import load_recipe
from dacn.run.evaluation import evaluate_run
from dacn.run.run import train_recipe
from dacn.trainer.config import TrainConfig
from tests import made_up
from tests.interrupting import interrupt_after
from tests.stepping import ALL_CASES, FEW_CASES, assert_same_steps, trainer_of

CPU, GPU = torch.device("cpu"), torch.device("cuda")
on_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
needs_gpu = pytest.mark.parametrize("place", [pytest.param(GPU, marks=on_gpu)], ids=str)
on_both = pytest.mark.parametrize("place", [CPU, pytest.param(GPU, marks=on_gpu)], ids=str)
RECIPES = Path(__file__).parents[1] / "recipes"
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "acn_task": lambda: AdaptiveContextNorm(8, 2),
    "acn_likelihood": lambda: AdaptiveContextNorm(8, 2, fit="likelihood"),
    "acn_base": lambda: AdaptiveContextNormBase(8, 2),
    "cn": lambda: ContextBatchNorm(8, 2),
}


@pytest.fixture
def graphs_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a CPU too do its steps on fixed places, and nothing compiled: what is asked is whether replays are right."""
    monkeypatch.setattr(TrainConfig, "graphs_on", lambda self, device: self.compile == "graphs")
    monkeypatch.setattr(nn.Module, "compile", lambda self, **_: None)


@pytest.fixture
def deterministic() -> Any:
    """Have the GPU add up in the same order each time, and in full precision."""
    former = torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False
    yield
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = former


@needs_gpu
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_layer_computes_what_it_does_on_a_cpu(name: str, compiled: bool, place: torch.device) -> None:
    torch.manual_seed(0)
    layer, x, context = LAYERS[name](), torch.randn(12, 8, 6, 6), torch.tensor([0] * 4 + [1] * 8)
    on_cpu = _seen(copy.deepcopy(layer), x.clone(), context, compiled=False)
    there = _seen(layer.to(place), x.to(place), context.to(place), compiled=compiled)
    torch.testing.assert_close([tensor.cpu() for tensor in there], on_cpu, atol=1e-4, rtol=1e-4)


def _seen(layer: nn.Module, x: Tensor, context: Tensor, *, compiled: bool) -> list[Tensor]:
    """Outputs in training and evaluation, the gradient, and what the layer has learned."""
    call = torch.compile(layer, fullgraph=True) if compiled else layer
    x.requires_grad_()
    for _ in range(3):
        y = call(x, context)
    y.square().sum().backward()
    layer.eval()
    assert x.grad is not None
    return [t.detach() for t in (y, x.grad, layer(x, context), layer(x), *layer.buffers())]


@on_both
@pytest.mark.parametrize(
    ("algorithm", "norm"),
    [case if case in FEW_CASES else pytest.param(*case, marks=pytest.mark.slow) for case in ALL_CASES],
    ids=str,
)
def test_replayed_steps_are_plain_ones(
    tmp_path: Path, place: torch.device, algorithm: Any, norm: Any, graphs_anywhere: None, deterministic: None
) -> None:
    replayed, plain = (trainer_of(tmp_path, place, way, algorithm, norm) for way in ("graphs", False))
    assert_same_steps(replayed, plain)


@on_both
@pytest.mark.parametrize("norm", ["acn", "bn"])
def test_a_replayed_run_is_resumed(
    tmp_path: Path,
    place: torch.device,
    norm: str,
    graphs_anywhere: None,
    deterministic: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    overrides = ["train.steps=12", "evaluate.every=6", "train.source_batch=8", "train.compile=graphs"]
    overrides += ["train.precision=fp32", f"model.norm={norm}", "model.backbone.width=8"]
    overrides += [f"data={made_up.archives(tmp_path)}"]
    recipe = load_recipe(RECIPES / "digits_acn.yaml", overrides)
    whole = train_recipe(recipe, out=tmp_path / "whole", device=place.type)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 7)  # replayed, and amid the batches that the loader makes at once
        with pytest.raises(Interrupted, match="stopped after step 8 of 12"):
            train_recipe(recipe, out=tmp_path / "cut", device=place.type)
    resumed = train_recipe(recipe, out=tmp_path / "cut", device=place.type, resume=True)
    models = [
        torch.load(tmp_path / name / "checkpoints" / "last.pt", weights_only=True)["model"] for name in ("whole", "cut")
    ]
    torch.testing.assert_close(*models, atol=1e-4, rtol=1e-3)
    assert resumed["target"]["last"] == pytest.approx(whole["target"]["last"], abs=1.0)
    elsewhere = evaluate_run(tmp_path / "cut", "last", "cpu")
    assert elsewhere["target"] == pytest.approx(resumed["target"]["last"], abs=1.0)


@needs_gpu
@pytest.mark.parametrize("way", ["auto", "graphs"])
def test_the_headline_recipe_trains_compiled(tmp_path: Path, place: torch.device, way: str) -> None:
    overrides = ["train.steps=8", "evaluate.every=4", "train.log_every=2", f"train.compile={way}"]
    overrides += ["model.backbone={name: wide_resnet, depth: 10, width: 1}"]
    recipe = load_recipe(RECIPES / "mnist_svhn_acn.yaml", overrides)
    pair = made_up.pair(classes=10, size=32, count=400)
    summary = train_recipe(recipe, out=tmp_path, device=place.type, pair=pair)
    assert summary["images_per_second"] > 0
    assert summary["source"]["last"] is not None


@needs_gpu
def test_the_bench_measures_each_way_to_compile(place: torch.device) -> None:
    overrides = ["--set", "model.backbone={name: wide_resnet, depth: 10, width: 1}", "--set", "train.source_batch=8"]
    recipe = str(RECIPES / "mnist_svhn_acn.yaml")
    result = CliRunner().invoke(main, ["bench", recipe, *overrides, "--device", place.type, "--rounds", "2", "--json"])
    assert result.exit_code == 0, result.output
    ways = json.loads(result.stdout)["compile"]
    assert [*ways] == ["without", "with", "graphs"]
    for name, way in ways.items():
        assert isinstance(way, dict), f"{name}: {way}"
        assert way["share_percent"] > 0
