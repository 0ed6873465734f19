"""DANN against the method written out in NumPy, its gradients by finite differences of the two losses apart."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from dacn.algorithms.dann import Dann, DannConfig
from dacn.batch import SOURCE, TARGET, Batch, Views
from dacn.models.build import ModelConfig, build_model

B, T, K, D, F = 4, 7, 3, 12, 5  # source rows, target rows, classes, numbers in an image (3, 2, 2), features


class Tiny(nn.Module):
    """Batch norm without affine map, a linear map to features, a linear head; notes the contexts that it was given."""

    takes_context = True

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(D, affine=False)
        self.backbone = nn.Linear(D, F, bias=False)
        self.head = nn.Linear(F, K)
        self.contexts: list[list[int]] = []

    def features(self, x: Tensor, context: Tensor) -> Tensor:
        self.contexts.append(context.tolist())
        features: Tensor = self.backbone(self.norm(x.flatten(1)))
        return features


def random_batch(seed: int, *, labels: int = K, rows: tuple[int, int] = (B, T), size: int = 2) -> Batch:
    torch.manual_seed(seed)
    source, target = ([torch.randn(n, 3, size, size) for _ in range(2)] for n in rows)
    contexts = torch.full(rows[:1], SOURCE), torch.full(rows[1:], TARGET)
    target = [view + 1 for view in target]
    return Batch(Views(*source), torch.randint(labels, rows[:1]), contexts[0], Views(*target), contexts[1])


def doubled(batch: Batch) -> Batch:
    return batch._replace(**{key: Views(*(v.double() for v in getattr(batch, key))) for key in ("source", "target")})


def make(seed: int = 0, **options: object) -> Dann:
    torch.manual_seed(seed)
    return Dann(DannConfig(**({"hidden": (6,)} | options)), Tiny(), K).double()


def numbers(algorithm: Dann) -> dict[str, np.ndarray]:
    return {name: parameter.detach().numpy().copy() for name, parameter in algorithm.named_parameters()}


def by_hand(batch: Batch, w: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Label loss, domain loss and the discriminator's accuracy, row by row."""
    x = np.concatenate([batch.source.weak.numpy(), batch.target.weak.numpy()]).reshape(-1, D)
    features = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) @ w["model.backbone.weight"].T
    rows = len(batch.labels), len(batch.target.weak)
    label_loss, domain, right = 0.0, 0.0, 0.0
    for i, f in enumerate(features):
        scores = w["model.head.weight"] @ f + w["model.head.bias"]
        hidden = np.maximum(w["discriminator.layers.0.weight"] @ f + w["discriminator.layers.0.bias"], 0)
        logit = float(w["discriminator.layers.2.weight"][0] @ hidden + w["discriminator.layers.2.bias"][0])
        is_target = i >= rows[0]
        probability = 1 / (1 + math.exp(-logit))
        domain -= 0.5 * math.log(probability if is_target else 1 - probability) / rows[is_target]
        right += 0.5 * 100 * ((probability > 0.5) == is_target) / rows[is_target]
        if not is_target:
            label_loss += (math.log(np.exp(scores).sum()) - scores[batch.labels[i]]) / rows[0]
    return label_loss, domain, right


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labels", [K, K - 1], ids=["every class", "one class missing"])
@pytest.mark.parametrize("rows", [(4, 7), (6, 2), (5, 5), (3, 1)], ids=str)
def test_whole_method_by_hand(seed: int, labels: int, rows: tuple[int, int]) -> None:
    algorithm = make(seed, strength=0.6, domain_weight=0.4, alpha=5.0)
    batch = doubled(random_batch(seed, labels=labels, rows=rows))
    label_loss, domain, right = by_hand(batch, numbers(algorithm))
    for progress in (0.0, 0.2, 1.0):
        total, parts = algorithm(batch, progress)
        expected = {
            "loss/source": label_loss,
            "loss/domain": domain,
            "reversal": 0.6 * (2 / (1 + math.exp(-5 * progress)) - 1),
            "discriminator/accuracy": right,
            "discriminator/chance": 50,
        }
        assert total.item() == pytest.approx(label_loss + 0.4 * domain, abs=1e-12)
        assert set(parts) == set(expected)
        for name, value in parts.items():
            assert value.item() == pytest.approx(expected[name], abs=1e-5), name
            assert not value.requires_grad


@pytest.mark.parametrize("progress", [0.0, 0.15, 1.0])
def test_gradients_by_finite_differences(progress: float) -> None:
    """The discriminator descends the domain loss, the head the label loss, and the backbone climbs the former."""
    algorithm = make(strength=0.6, domain_weight=0.4, alpha=5.0)
    batch = doubled(random_batch(1))
    algorithm(batch, progress).total.backward()
    start, reversal = numbers(algorithm), 0.6 * (2 / (1 + math.exp(-5 * progress)) - 1)
    for name, parameter in algorithm.named_parameters():
        expected = np.zeros_like(start[name])
        for index in np.ndindex(expected.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = {key: value.copy() for key, value in start.items()}
                moved[name][index] += step
                ends.append(np.array(by_hand(batch, moved)[:2]))
            label_slope, domain_slope = (ends[0] - ends[1]) / 2e-6
            expected[index] = label_slope + (-reversal if "backbone" in name else 1) * 0.4 * domain_slope
        np.testing.assert_allclose(parameter.grad.numpy(), expected, atol=1e-6, err_msg=name)


def test_one_joint_forward_of_the_weak_views() -> None:
    algorithm, batch = make(), doubled(random_batch(0))
    spoilt = {
        key: Views(getattr(batch, key).weak, getattr(batch, key).strong * torch.nan) for key in batch._fields[::3]
    }
    assert set(spoilt) == {"source", "target"}
    assert torch.isfinite(algorithm(batch._replace(**spoilt), 0.5).total)
    assert algorithm.model.contexts == [[SOURCE] * B + [TARGET] * T]
    x = torch.cat([batch.source.weak, batch.target.weak]).flatten(1)
    torch.testing.assert_close(algorithm.model.norm.running_mean, 0.1 * x.mean(0))


def test_a_discriminator_that_sees_nothing_is_at_chance() -> None:
    algorithm = make()
    for parameter in algorithm.discriminator.parameters():
        nn.init.zeros_(parameter)
    for bias in (-1.0, 0.0, 1.0):  # whichever domain it always says
        nn.init.constant_(algorithm.discriminator.layers[-1].bias, bias)
        assert algorithm(doubled(random_batch(0)), 0.5).parts["discriminator/accuracy"].item() == 50


@pytest.mark.parametrize("norm", ["acn", "acn_base", "cn", "bn", "gn"])
def test_gradient_reaches_discriminator_backbone_and_head(norm: str) -> None:
    torch.manual_seed(0)
    config = ModelConfig(norm=norm, input_norm=norm, backbone={"name": "small_cnn", "width": 8})
    algorithm = Dann(DannConfig(hidden=(16, 8)), build_model(config, K, num_contexts=2), K)
    assert algorithm.discriminator.layers[0].in_features == algorithm.model.backbone.out_features
    algorithm(random_batch(0, size=16), 0.5).total.backward()
    for name, parameter in algorithm.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_the_discriminator_is_saved_with_the_algorithm_and_no_part_of_the_model() -> None:
    algorithm, fresh = make(0), make(1)
    assert not [name for name in algorithm.model.state_dict() if "discriminator" in name]
    fresh.load_state_dict(algorithm.state_dict())
    batch = doubled(random_batch(2))
    assert algorithm(batch, 0.5).total.item() == fresh(batch, 0.5).total.item()
    assert algorithm.uses_target
    assert algorithm.pseudo_labels(torch.eye(K)) is None


@pytest.mark.parametrize(
    "options", [{"hidden": (0,)}, {"strength": -1}, {"domain_weight": -0.1}, {"alpha": 0}, {"lambda": 1}], ids=str
)
def test_out_of_range_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DannConfig(**options)
