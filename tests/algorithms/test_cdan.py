"""CDAN: what the discriminator sees, whom it trains, and who trains against it."""

import pytest
import torch

from dacn.algorithms.cdan import Cdan, CdanConfig
from tests.algorithms.tiny import F, K, batch, cross_entropy, passed, tiny


def make(**options: object) -> Cdan:
    model = tiny()
    torch.manual_seed(1)
    return Cdan(CdanConfig(**({"hidden": (6,)} | options)), model, K).double()


def by_hand(algorithm: Cdan, strong: bool, entropy: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Source loss and domain loss, row by row."""
    source, target, labels = passed(algorithm.model, batch(), strong)
    domain = torch.zeros((), dtype=torch.float64)
    for (features, logits), sign in ((source, -1), (target, 1)):
        p = logits.detach().softmax(dim=1)
        weights = [1 + torch.exp((row * row.log()).sum()) if entropy else torch.ones((), dtype=row.dtype) for row in p]
        for f, g, weight in zip(features, p, weights, strict=True):
            joined = torch.stack([value * f for value in g]).flatten()
            logit = algorithm.discriminator(joined[None])[0]
            domain = domain + 0.5 * weight / sum(weights) * torch.log1p(torch.exp(-sign * logit))
    return cross_entropy(source[1], labels), domain


@pytest.mark.parametrize("strong", [True, False])
@pytest.mark.parametrize("entropy", [True, False], ids=["CDAN+E", "CDAN"])
def test_whole_method_by_hand(strong: bool, entropy: bool) -> None:
    algorithm = make(strong=strong, entropy=entropy, domain_weight=0.4)
    losses = algorithm(batch(), 0.2)
    source, domain = by_hand(algorithm, strong, entropy)
    assert losses.parts["loss/source"].item() == pytest.approx(source.item(), abs=1e-10)
    assert losses.parts["loss/domain"].item() == pytest.approx(domain.item(), abs=1e-10)
    assert losses.total.item() == pytest.approx((source + 0.4 * domain).item(), abs=1e-10)


def test_gradients() -> None:
    """The discriminator descends the domain loss, the backbone climbs it, and the head is left alone by it."""
    algorithm = make(domain_weight=0.4)
    strength = float(algorithm(batch(), 0.2).parts["reversal"])
    algorithm(batch(), 0.2).total.backward()
    weight, head = algorithm.model.backbone.weight, algorithm.model.head.weight
    source, domain = by_hand(algorithm, True, True)
    of_source = torch.autograd.grad(source, [weight, head], retain_graph=True)
    of_domain = torch.autograd.grad(domain, [weight, *algorithm.discriminator.parameters()])
    torch.testing.assert_close(weight.grad, of_source[0] - strength * 0.4 * of_domain[0])
    torch.testing.assert_close(head.grad, of_source[1])
    for parameter, expected in zip(algorithm.discriminator.parameters(), of_domain[1:], strict=True):
        torch.testing.assert_close(parameter.grad, 0.4 * expected)


def test_many_products_are_replaced_by_a_fixed_random_map() -> None:
    algorithm = make(most_products=F * K - 1, random_width=8)
    assert algorithm.randomized
    assert {"of_features", "of_predictions"} <= set(algorithm.state_dict())
    features, p = torch.randn(4, F, dtype=torch.float64), torch.rand(4, K, dtype=torch.float64)
    joined = algorithm.join(features, p)
    for row in range(4):
        for out in range(8):
            left = sum(features[row, i] * algorithm.of_features[i, out] for i in range(F))
            right = sum(p[row, k] * algorithm.of_predictions[k, out] for k in range(K))
            assert joined[row, out].item() == pytest.approx((left * right / 8**0.5).item(), abs=1e-10)
    algorithm(batch(), 0.5).total.backward()
    assert algorithm.discriminator.layers[0].weight.grad.abs().sum() > 0


def test_no_product_is_replaced_below_the_limit() -> None:
    assert not make(most_products=F * K).randomized
