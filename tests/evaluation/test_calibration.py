import pytest
import torch

from dacn.evaluation.calibration import BINS, reliability


def error_by_loops(probabilities: list[list[float]], labels: list[int]) -> float:
    total = 0.0
    for b in range(BINS):
        inside = [
            (max(p), p.index(max(p)) == label)
            for p, label in zip(probabilities, labels, strict=True)
            if b / BINS < max(p) <= (b + 1) / BINS
        ]
        if inside:
            right = sum(hit for _, hit in inside) / len(inside)
            sure = sum(p for p, _ in inside) / len(inside)
            total += len(inside) / len(labels) * abs(right - sure)
    return total


def test_expected_calibration_error_against_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = (2 * torch.randn(200, 4, generator=generator)).softmax(dim=1)
    labels = torch.randint(4, (200,), generator=generator)
    bins = reliability(probabilities, labels)
    assert bins.error == pytest.approx(error_by_loops(probabilities.double().tolist(), labels.tolist()), abs=1e-9)
    assert bins.images.sum() == 200
    filled = bins.images > 0
    assert torch.isnan(bins.accuracy[~filled]).all()


def test_sure_and_right_is_no_error_and_sure_and_wrong_is_all() -> None:
    sure = torch.eye(3)
    assert reliability(sure, torch.tensor([0, 1, 2])).error == 0
    assert reliability(sure, torch.tensor([1, 2, 0])).error == 1
