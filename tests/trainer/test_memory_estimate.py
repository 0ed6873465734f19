"""The estimate of memory against tensors counted by hand, and against what the allocator held."""

from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from dacn.models.build import ModelConfig, build_model
from dacn.recipe.recipe import parse_recipe
from dacn.run import overview
from dacn.trainer.memory_estimate import PROBE, MemoryEstimate, available_memory, estimate_memory
from dacn.trainer.optimizer import AdamWConfig, SgdConfig, build_optimizer


class Net(nn.Module):
    """One convolution and a linear layer, whose activations are easily counted."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Linear(8, 2, bias=False)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.conv(x).relu().mean(dim=(2, 3)))
        return scores


@pytest.mark.parametrize(("config", "moments"), [(SgdConfig(), 1), (AdamWConfig(), 2)])
def test_weights_and_activations_by_hand(config: SgdConfig, moments: int) -> None:
    algorithm = nn.Module()
    algorithm.model = Net()
    found = estimate_memory(algorithm, build_optimizer(config, algorithm), (10, 6), views=20)
    numbers = 8 * 3 * 9 + 2 * 8
    assert found.weights == 4 * numbers * (3 + moments)  # the weights, their average, gradients, the optimizer's state
    # Kept for the backward pass: the image, what leaves the ReLU, the means.
    assert found.activations == 20 * 4 * (3 * 60 + 8 * 60 + 8)
    assert found.total == found.weights + found.activations


def test_it_leaves_the_network_and_its_random_numbers_as_they_are() -> None:
    algorithm = nn.Module()
    algorithm.model = build_model(ModelConfig(backbone={"name": "small_cnn", "width": 4}, norm="mn"), 3, 2)
    before = {name: value.clone() for name, value in algorithm.state_dict().items()}
    state = torch.get_rng_state()
    optimizer = build_optimizer(SgdConfig(), algorithm)
    assert estimate_memory(algorithm, optimizer, (16, 16), PROBE).activations > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in algorithm.state_dict().items())


def test_free_memory_is_known_here() -> None:
    free = available_memory(torch.device("cpu"))
    assert free is None or free > 1e6


@pytest.mark.parametrize(("free", "opening"), [(9e9, "about 5.0 GB"), (None, "about 5.0 GB"), (3e9, "warning: a step")])
def test_a_run_is_told_what_it_takes(free: float | None, opening: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "estimate_memory", lambda *_, **__: MemoryEstimate(10**9, 4 * 10**9, 96))
    monkeypatch.setattr(overview, "available_memory", lambda _: free)
    trainer: Any = Mock()
    trainer.algorithm.uses_strong, trainer.loader.images = True, 48
    trainer.pair.source.images.shape = (100, 3, 224, 160)
    tracker: Any = Mock()
    tracker.warn = lambda text: tracker.notice(f"warning: {text}")
    overview._tell_memory(parse_recipe({}, "test"), trainer, tracker)
    (text,) = tracker.notice.call_args.args
    assert text.startswith(opening)
    assert "1.0 for weights, gradients and averages, 4.0 for what 96 views of 224 x 160 leave for the backward" in text
    assert ("3.0 GB are free; lower train.source_batch" in text) is text.startswith("warning")
