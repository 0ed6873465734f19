"""What the head sees, under the context that each domain is deployed with."""

from dataclasses import replace

import torch

from dacn.data.views.augment import to_input
from dacn.evaluation.features import features_of, sample_features
from dacn.models.build import ModelConfig, build_model
from dacn.models.classifier import Classifier
from tests import made_up

PAIR = made_up.pair()


def network() -> Classifier:
    torch.manual_seed(0)
    model = build_model(ModelConfig.model_validate({"backbone": {"name": "small_cnn", "width": 4}}), 2, 2)
    images = torch.cat([PAIR.source.images, PAIR.target.images])
    model.train()(to_input(images), torch.arange(48) // 24)
    return model.eval()


def test_the_head_turns_features_into_the_networks_answers() -> None:
    model, images = network(), PAIR.source.images
    context = torch.zeros(24, dtype=torch.int64)
    features, probabilities = features_of(model, images, context, batch_size=7)
    torch.testing.assert_close(probabilities, model(to_input(images), context).softmax(dim=1))
    torch.testing.assert_close(model.head(features).softmax(dim=1), probabilities)
    assert not features.requires_grad


def test_each_domain_is_seen_under_its_own_context() -> None:
    model = network()
    assert PAIR.source_test is not None
    sample = sample_features(model, PAIR.source_test, PAIR.target, PAIR, 10, uses_target=True, batch_size=8)
    chosen = torch.linspace(0, 23, 10).long()
    assert torch.equal(sample.images, torch.cat([PAIR.source_test.images[chosen], PAIR.target.images[chosen]]))
    assert sample.of_target.tolist() == [False] * 10 + [True] * 10
    for of_target, context in ((False, 0), (True, 1)):
        rows = sample.of_target == of_target
        expected = model.features(to_input(sample.images[rows]), torch.full((10,), context))
        torch.testing.assert_close(sample.features[rows], expected.detach())
    assert sample.labels.tolist() == [*(chosen % 2).tolist(), *[-1] * 10], "the target's training set has no labels"
    assert torch.equal(sample.classes[10:], sample.predictions[10:])


def test_a_target_that_was_not_trained_is_seen_under_an_unknown_context() -> None:
    model = network()
    sample = sample_features(model, PAIR.source, PAIR.target, PAIR, 99, uses_target=False, batch_size=50)
    assert len(sample.features) == 48
    expected = model.features(to_input(PAIR.target.images), None).detach()
    torch.testing.assert_close(sample.features[24:], expected)


def test_contexts_of_each_image_are_kept() -> None:
    model = network()
    mixed = torch.arange(24) % 2
    pair = replace(PAIR, source=replace(PAIR.source, context=mixed))
    sample = sample_features(model, pair.source, pair.target, pair, 24, uses_target=True, batch_size=50)
    torch.testing.assert_close(sample.features[:24], model.features(to_input(pair.source.images), mixed).detach())
