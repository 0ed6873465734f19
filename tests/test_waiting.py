"""What a GPU is given in a step, on tensors that only pretend to be on one: they know their device, but no values.

So whatever mixes devices fails here, and so does whatever would make the host wait for a value.
"""

import functools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from dacn.algorithms import ALGORITHMS
from dacn.algorithms.base import Losses
from dacn.batch import SOURCE, TARGET, Batch, Views, consecutive_batches, micro_batches
from dacn.data.views.augment import Augment, AugmentConfig
from dacn.models.build import ModelConfig, build_model
from dacn.nn import open_renorm
from dacn.nn.context import check_context
from dacn.trainer.meter import Meter

GPU = torch.device("cuda")
GENERATOR: Any = SimpleNamespace(device=GPU)
NORMS = ["acn", {"name": "acn", "fit": "task"}, "acn_base", "cn", "bn", "gn"]
CONFIGS: dict[str, dict[str, Any]] = {"adamatch_flawed": {"flaws": ["one_ratio", "l2_labels", "late_warm_up"]}}


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def without_generator(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return functools.wraps(draw)(lambda *args, generator=None, **kwargs: draw(*args, **kwargs))

    for owner, name in ((torch, "rand"), (torch, "randint"), (Tensor, "uniform_")):  # no GPU, no generator there
        monkeypatch.setattr(owner, name, without_generator(getattr(owner, name)))
    monkeypatch.setattr(FakeTensorMode, "__deepcopy__", lambda mode, memo: mode, raising=False)  # copies share it
    with FakeTensorMode():
        yield


def images(count: int) -> Tensor:
    return torch.zeros(count, 3, 32, 32, dtype=torch.uint8, device=GPU)


def batch(config: AugmentConfig, sources: int = 4, targets: int = 8, *, flips: bool, strong: bool = True) -> Batch:
    source, target = Augment(config, flips=flips).views(images(sources), images(targets), GENERATOR, strong=strong)
    contexts = [torch.full((n,), k, device=GPU) for n, k in ((sources, SOURCE), (targets, TARGET))]
    return Batch(source, torch.zeros(sources, dtype=torch.int64, device=GPU), contexts[0], target, contexts[1])


def made(name: str, norm: object) -> tuple[Any, Losses]:
    """An algorithm and its losses of a batch."""
    algorithm_class, config_class = ALGORITHMS[name]
    with GPU:
        model = build_model(ModelConfig.model_validate({"norm": norm, "backbone": "small_cnn"}), 10, 2)
        algorithm = algorithm_class(config_class.model_validate(CONFIGS.get(name, {})), model, 10)
    return algorithm, algorithm(batch(AugmentConfig(), flips=False, strong=algorithm.uses_strong), 0.3)


def test_waiting_would_be_noticed() -> None:
    x = torch.rand(3, device=GPU)
    for wait in (lambda: x.sum().item(), lambda: bool(x.any()), lambda: x.tolist()):
        with pytest.raises(DataDependentOutputException):
            wait()
    with pytest.raises(DynamicOutputShapeException):
        x[x > 0]
    with pytest.raises(RuntimeError, match=r"same device|two different devices"):  # newer and older torch
        x + torch.rand(3)


@pytest.mark.parametrize("strong", [True, False])
@pytest.mark.parametrize("flips", [True, False])
@pytest.mark.parametrize("appearance", [True, False])
def test_views_are_made_without_waiting(appearance: bool, flips: bool, strong: bool) -> None:
    whole = batch(AugmentConfig(appearance=appearance), flips=flips, strong=strong)
    for part in (*consecutive_batches(whole, 2), *micro_batches(whole, 2)):
        assert isinstance(part.source, Views)
        for view in (*part.source, *part.target):
            assert (view.device.type, view.dtype, view.shape[1:]) == ("cuda", torch.float32, (3, 32, 32))


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        pytest.param(name, norm, marks=[] if name == "adamatch" or norm == "acn" else pytest.mark.slow)
        for name in ALGORITHMS
        for norm in NORMS
    ],
    ids=str,
)
def test_losses_are_made_without_waiting(name: str, norm: object) -> None:
    algorithm, losses = made(name, norm)
    assert losses.total.device.type == "cuda"
    Meter().add({"loss": losses.total, **losses.parts})
    open_renorm(algorithm, 0.3)
    check_context(torch.zeros(3, dtype=torch.int64, device=GPU), 3, 2)
