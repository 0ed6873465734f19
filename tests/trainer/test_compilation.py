"""Who is compiled and how; what compiled layers compute is held to eager ones in tests/nn."""

import copy
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

from dacn.algorithms import ALGORITHMS
from dacn.algorithms.adamatch_flawed import FlawedAdaMatch, FlawedAdaMatchConfig
from dacn.algorithms.context_learner import ContextLearner
from dacn.algorithms.supervised import Supervised, SupervisedConfig
from dacn.errors import RecipeError
from dacn.models.build import ModelConfig, build_model
from dacn.models.classifier import Classifier
from dacn.trainer import compilation
from dacn.trainer.compilation import compile_network, require_graphs
from dacn.trainer.config import TrainConfig

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SMALL = {"name": "small_cnn", "width": 4}


def network(**given: Any) -> Classifier:
    return build_model(ModelConfig.model_validate({"backbone": SMALL} | given), 2, 2)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[nn.Module, dict[str, Any]]]:
    """Which modules are compiled, and with which options."""
    calls: list[tuple[nn.Module, dict[str, Any]]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: calls.append((self, options)))
    return calls


@pytest.mark.parametrize(
    ("given", "device", "expected"),
    [
        ("auto", CPU, False),
        ("auto", GPU, True),
        (True, CPU, True),
        (True, GPU, True),
        (False, CPU, False),
        (False, GPU, False),
        ("graphs", CPU, False),
        ("graphs", GPU, True),
    ],
)
def test_input_norm_and_backbone_are_compiled(given: Any, device: Any, expected: bool, compiled: Any) -> None:
    model = network(input_norm="acn")
    compile_network(model, TrainConfig(compile=given), device)
    assert compiled == [(part, {"dynamic": False}) for part in (model.input_norm, model.backbone) if expected]


def test_without_an_input_norm_nothing_is_compiled_for_it(compiled: Any) -> None:
    model = network(input_norm="none")
    compile_network(model, TrainConfig(compile=True), CPU)
    assert [part for part, _ in compiled] == [model.backbone]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # by torch, hidden elsewhere
def test_a_compiled_network_is_saved_and_copied_as_the_plain_one_and_computes_the_same() -> None:
    torch.compiler.reset()
    model = network(input_norm="acn", norm={"name": "acn", "fit": "task"})
    plain = copy.deepcopy(model)
    compile_network(model, TrainConfig(compile=True), CPU)
    x, context = torch.randn(4, 3, 16, 16), torch.tensor([0, 0, 1, 1])
    for _ in range(2):
        torch.testing.assert_close(model(x, context), plain(x, context), atol=1e-4, rtol=1e-4)
    assert [*model.state_dict()] == [*plain.state_dict()]
    twin = copy.deepcopy(model).eval()
    torch.testing.assert_close(twin(x, context), plain.eval()(x, context), atol=1e-4, rtol=1e-4)


def supervised(norm: str) -> Supervised:
    return Supervised(SupervisedConfig(), network(norm=norm), 2)


def test_graphs_replay_a_whole_step_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(compile="graphs", micro_batches=2)
    message = "train.compile: graphs replays .* needs train.micro_batches 1 and one process, got .*; use auto"
    with pytest.raises(RecipeError, match=message):
        require_graphs(config, supervised("acn"), GPU)
    require_graphs(config, supervised("acn"), CPU)  # where there are none
    require_graphs(TrainConfig(micro_batches=2), supervised("acn"), GPU)
    monkeypatch.setattr(compilation.processes, "count", lambda: 2)
    with pytest.raises(RecipeError, match=message):
        require_graphs(TrainConfig(compile="graphs"), supervised("acn"), GPU)


def test_graphs_replay_no_blocks_that_are_computed_anew() -> None:
    config = TrainConfig(compile="graphs", checkpoint_gradients=True)
    with pytest.raises(RecipeError, match=r"graphs cannot replay train\.checkpoint_gradients, .*; use auto"):
        require_graphs(config, supervised("acn"), GPU)


@pytest.mark.parametrize(("norm", "layer"), [("mn", "MixtureNorm"), ("acn_latent", "LatentContextNorm")])
def test_graphs_replay_no_layer_that_works_on_the_host(norm: str, layer: str) -> None:
    message = f"train.compile: graphs cannot replay {layer}, which works on the host; use auto"
    with pytest.raises(RecipeError, match=message):
        require_graphs(TrainConfig(compile="graphs"), supervised(norm), GPU)
    require_graphs(TrainConfig(compile="graphs"), supervised(norm), CPU)
    for other in ("acn", "cn", "bn"):
        require_graphs(TrainConfig(compile="graphs"), supervised(other), GPU)


@pytest.mark.parametrize(
    ("name", "options", "refused"),
    [
        ("bnm", {}, True),
        ("mcc", {"target_terms": {"bnm": 1.0}}, True),
        ("self_ensembling", {"target_terms": {"bnm": 1.0}}, True),
        ("mcc", {"target_terms": {"entropy": 1.0}}, False),
    ],
)
def test_graphs_replay_no_singular_values(name: str, options: dict[str, Any], refused: bool) -> None:
    method, config = ALGORITHMS[name]
    algorithm = method(config(**options), network(norm="acn"), 2)
    with pytest.raises(RecipeError, match="asks the GPU for a value") if refused else nullcontext():
        require_graphs(TrainConfig(compile="graphs"), algorithm, GPU)


def test_graphs_replay_no_step_that_asks_the_gpu_for_a_value() -> None:
    for flaws, refused in ((("frozen_pass",), True), (("one_ratio",), False)):
        algorithm = FlawedAdaMatch(FlawedAdaMatchConfig(flaws=flaws), network(norm="bn"), 2)
        for asked in (algorithm, ContextLearner(algorithm)):
            with pytest.raises(RecipeError, match="asks the GPU for a value") if refused else nullcontext():
                require_graphs(TrainConfig(compile="graphs"), asked, GPU)
