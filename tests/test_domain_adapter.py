"""The scikit-learn estimator: adapting for real, and scikit-learn's own checks as far as they apply."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import parametrize_with_checks

import dacn
from dacn.errors import RecipeError

QUICK: dict[str, Any] = {
    "backbone": {"name": "small_cnn", "width": 4},
    "settings": {"train": {"source_batch": 16, "target_ratio": 1}, "optimizer": {"name": "adamw", "lr": 1e-2}},
    "random_state": 0,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    """Ones and zeros of scikit-learn's digits, flattened squares of 64 numbers from 0 to 16."""
    images, labels = load_digits(n_class=2, return_X_y=True)
    return images[:120], np.array(["zero", "one"])[labels[:120]]


@pytest.fixture(scope="module")
def fitted(digits: tuple[Any, Any]) -> dacn.DomainAdapter:
    """Adapted to the same digits in dark on a bright ground."""
    images, labels = digits
    return dacn.DomainAdapter("source_only", "bn", steps=12, **QUICK).fit(images, labels, X_target=16 - images[::2])


def test_probabilities_predictions_and_score_belong_together(
    fitted: dacn.DomainAdapter, digits: tuple[Any, Any]
) -> None:
    images, labels = digits
    probabilities = fitted.predict_proba(images[:9])
    assert probabilities.shape == (9, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert [*fitted.classes_] == ["one", "zero"]
    predicted = fitted.predict(images)
    assert [*predicted[:9]] == [fitted.classes_[row.argmax()] for row in probabilities]
    assert fitted.score(images, labels) == (predicted == labels).mean() > 0.9
    assert fitted.n_features_in_ == 64
    assert fitted.summary_["steps"] == 12


def test_the_pair_is_what_was_given(digits: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def train(pair: Any, **settings: Any) -> None:
        given.update(pair=pair, **settings)
        raise InterruptedError

    monkeypatch.setattr("dacn.domain_adapter.train", train)
    images, labels = digits
    adapter = dacn.DomainAdapter("dann", {"name": "cn"}, steps=5, settings={"train": {"ema": 0.9}}, random_state=3)
    with pytest.raises(InterruptedError):
        adapter.fit(images, labels, X_target=images[:7] * 2)
    pair = given["pair"]
    assert (len(pair.source), len(pair.target), pair.target.labels) == (120, 7, None)
    assert pair.source.images.shape[1:] == (3, 16, 16), "enlarged"
    assert torch.equal(pair.source.labels, torch.from_numpy((labels == "zero").astype(np.int64)))
    # 32, the largest number of the target, is white: the source's own 16 is 128 of 255.
    assert int(pair.target.images.max()) == 255
    assert 120 < int(pair.source.images.max()) < 160, "and a little over, where it is enlarged"
    assert (given["algorithm"], given["steps"], given["train"]) == ("dann", 5, {"ema": 0.9})
    assert given["model"] == {"norm": {"name": "cn"}, "backbone": "small_cnn"}
    with pytest.raises(InterruptedError):
        adapter.fit(np.zeros((4, 20, 24, 3), np.uint8), [0, 1, 0, 1])
    assert given["pair"].source.images.shape == (4, 3, 24, 24), "bytes as they are, cut to a square"
    assert given["pair"].target.images.shape == (4, 3, 24, 24), "nothing to adapt to"


def test_mistakes(digits: tuple[Any, Any]) -> None:
    images, labels = digits
    with pytest.raises(ValueError, match=r"got one class, 'zero'; expected at least two"):
        dacn.DomainAdapter().fit(images[labels == "zero"], labels[labels == "zero"])
    with pytest.raises(RecipeError, match=r"model.norm: got 'batchnorm', expected 'bn'"):
        dacn.DomainAdapter(norm="batchnorm").fit(images, labels)
    with pytest.raises(dacn.DacnError, match=r"images of shape \(4, 3, 8, 8\); expected \(N, H, W\)"):
        dacn.DomainAdapter().fit(np.zeros((4, 3, 8, 8)), [0, 1, 0, 1])


def test_a_clone_has_the_same_settings() -> None:
    adapter = dacn.DomainAdapter("dann", steps=3, settings={"train": {"ema": 0.9}})
    assert clone(adapter).get_params() == adapter.get_params()


@pytest.mark.slow
@parametrize_with_checks([dacn.DomainAdapter("source_only", "bn", steps=40, **QUICK)])
def test_scikit_learns_own_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
