"""AdaBN: the target's statistics against a plain computation, and nothing else changed."""

import copy

import numpy as np
import pytest
import torch

from dacn.algorithms.source_only import SourceOnly, SourceOnlyConfig, estimate_statistics
from dacn.batch import TARGET
from dacn.errors import RecipeError
from dacn.models.build import ModelConfig, build_model
from dacn.models.classifier import Classifier
from tests import made_up


def network(norm: str, input_norm: str = "none") -> Classifier:
    torch.manual_seed(0)
    tree = {"backbone": {"name": "small_cnn", "width": 4}, "norm": norm, "input_norm": input_norm}
    return build_model(ModelConfig.model_validate(tree), num_classes=2, num_contexts=2)


def test_statistics_are_the_mean_of_the_batches_moments() -> None:
    model = network("none", input_norm="cn")  # the first layer sees the images themselves
    images = made_up.domain("blues", 10, seed=1, tint=2).images
    estimate_statistics(model, images, TARGET, batch_size=4)
    pixels = (images.numpy().astype(np.float64) - 127.5) / 128
    batches = [pixels[0:4], pixels[4:8], pixels[8:10]]
    mean = np.mean([batch.mean((0, 2, 3)) for batch in batches], axis=0)
    var = np.mean([batch.var((0, 2, 3), ddof=1) for batch in batches], axis=0)
    np.testing.assert_allclose(model.input_norm.running_mean[TARGET], mean, rtol=1e-4)
    np.testing.assert_allclose(model.input_norm.running_var[TARGET], var, rtol=1e-4)


def test_only_the_targets_statistics_change() -> None:
    model = network("cn")
    before = copy.deepcopy(model)
    estimate_statistics(model, made_up.pair().target.images, TARGET)
    for (name, new), old in zip(model.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(new, old), name
    for (name, new), old in zip(model.named_modules(), before.modules(), strict=True):
        if hasattr(new, "running_mean"):
            assert torch.equal(new.running_mean[0], old.running_mean[0]), name
            assert torch.equal(new.running_var[0], old.running_var[0]), name
            assert not torch.equal(new.running_var[1], old.running_var[1]), name
            assert new.momentum == old.momentum
    assert not model.training


def test_it_happens_only_when_asked_for() -> None:
    images = made_up.pair().target.images
    for adabn in (False, True):
        algorithm = SourceOnly(SourceOnlyConfig(adabn=adabn), network("cn"), 2)
        before = copy.deepcopy(algorithm.model.state_dict())
        algorithm.before_evaluation(algorithm.model, images, TARGET)
        same = all(torch.equal(value, before[name]) for name, value in algorithm.model.state_dict().items())
        assert same is not adabn
        assert algorithm.uses_target is adabn


def test_shared_statistics_are_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"algorithm\.adabn: true needs layers with batch statistics for each context"
    ):
        SourceOnly(SourceOnlyConfig(adabn=True), network("bn"), 2)
