"""What only a GPU can show. `python -m pytest -m gpu` runs all of it in a few minutes; without a GPU it skips."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from dacn.cli import main
from dacn.nn import AdaptiveContextNorm, AdaptiveContextNormBase, ContextBatchNorm
from dacn.recipe.recipe import load_recipe
from dacn.run.run import evaluate_run, train_recipe
from tests import made_up

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # torch.compile looks at what enters a second compiled part, and hides the warning where warnings are no errors.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]
RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.mark.parametrize(
    "layer",
    [
        lambda: AdaptiveContextNorm(8, 2),
        lambda: AdaptiveContextNorm(8, 2, fit="likelihood"),
        lambda: AdaptiveContextNormBase(8, 2),
        lambda: ContextBatchNorm(8, 2),
    ],
    ids=["acn_task", "acn_likelihood", "acn_base", "cn"],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_layer_on_the_gpu_equals_the_layer_on_the_cpu(layer, compiled: bool) -> None:
    torch.manual_seed(0)
    x, context = torch.randn(12, 8, 6, 6), torch.tensor([0] * 4 + [1] * 8)
    results = []
    for device in ("cpu", "cuda"):
        module = layer().to(device)
        call = torch.compile(module, fullgraph=True) if compiled and device == "cuda" else module
        inputs = x.to(device).requires_grad_()
        for _ in range(3):
            y = call(inputs, context.to(device))
        y.square().sum().backward()
        module.eval()
        results.append([y, inputs.grad, module(inputs, context.to(device)), module(inputs), *module.buffers()])
    for on_cpu, on_gpu in zip(*results, strict=True):
        torch.testing.assert_close(on_gpu.cpu(), on_cpu, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("compile_it", ["true", "false", "graphs"])
@pytest.mark.parametrize("norm", ["acn", "bn", "cn"])
def test_the_full_size_recipe_trains_on_the_gpu(tmp_path: Path, norm: str, compile_it: str) -> None:
    overrides = ["train.steps=30", "evaluate.every=15", f"model.norm={norm}", f"train.compile={compile_it}"]
    recipe = load_recipe(RECIPES / "mnist_svhn_acn.yaml", overrides)
    pair = made_up.pair(classes=10, size=32, count=400)
    summary = train_recipe(recipe, out=tmp_path, device="cuda", pair=pair)
    assert summary["images_per_second"] > 0
    assert summary["source"]["last"] is not None


def test_a_run_on_the_gpu_is_resumed_and_evaluated(tmp_path: Path) -> None:
    recipe = load_recipe(RECIPES / "digits_acn.yaml", ["train.steps=40", "evaluate.every=20"])
    summary = train_recipe(recipe, out=tmp_path, device="cuda")
    again = train_recipe(recipe, out=tmp_path, device="cuda", resume=True)
    assert again["target"]["last"] == summary["target"]["last"]
    assert evaluate_run(tmp_path, "last", "cpu")["target"] == pytest.approx(summary["target"]["last"], abs=1.0)


def test_the_bench_measures_each_way_to_compile() -> None:
    overrides = ["--set", "model.backbone={name: wide_resnet, depth: 10, width: 1}", "--set", "train.source_batch=8"]
    arguments = [
        "bench",
        str(RECIPES / "mnist_svhn_acn.yaml"),
        *overrides,
        "--device",
        "cuda",
        "--rounds",
        "2",
        "--json",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    ways = json.loads(result.stdout)["compile"]
    assert [*ways] == ["without", "with", "graphs"]
    for name, way in ways.items():
        assert isinstance(way, dict), f"{name}: {way}"
        assert way["share_percent"] > 0
