"""Label smoothing reaches the labelled images' loss of every method."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from dacn.algorithms import ALGORITHMS
from dacn.algorithms.supervised import Supervised, SupervisedConfig
from tests.algorithms.tiny import K, batch, tiny


def source_loss(name: str, smoothing: float) -> float:
    method, config = ALGORITHMS[name]
    torch.manual_seed(0)
    model: Any = tiny()
    algorithm = method(config(), model, K).double()
    algorithm.label_smoothing = smoothing
    torch.manual_seed(1)
    return float(algorithm(batch(), 0.5).parts["loss/source"])


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_method_smooths_the_labels(name: str) -> None:
    plain, some, more = (source_loss(name, smoothing) for smoothing in (0.0, 0.1, 0.2))
    assert some != pytest.approx(plain, abs=1e-6)
    assert more - plain == pytest.approx(2 * (some - plain))  # it mixes two losses


def test_a_share_of_each_label_goes_to_all_classes() -> None:
    model: Any = tiny()
    algorithm = Supervised(SupervisedConfig(strong=False), model, K).double()
    algorithm.label_smoothing = 0.3
    images = batch()
    with torch.no_grad():
        p = model(images.source.weak, images.source_context).log_softmax(1)
        wanted = 0.7 * functional.one_hot(images.labels, K) + 0.3 / K
    assert float(algorithm(images, 0.0).total.detach()) == pytest.approx(float(-(wanted * p).sum(1).mean()))
