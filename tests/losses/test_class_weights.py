"""Weights of classes where the target lacks some."""

import pytest
import torch

from dacn.losses.class_weights import class_weights


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_by_hand(share: float) -> None:
    p = [0.5, 0.25, 0.2, 0.05, 0.0]
    expected = [1 - share * (1 - min(1.0, 2 * each / 0.5)) for each in p]
    assert class_weights(torch.tensor(p), share).tolist() == pytest.approx(expected)


def test_a_skew_of_two_is_no_absence() -> None:
    assert class_weights(torch.tensor([0.4, 0.2, 0.4])).tolist() == [1.0, 1.0, 1.0]
