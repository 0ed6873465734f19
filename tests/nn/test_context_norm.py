"""What every layer with parameters per context promises, whatever its moments come from."""

import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from dacn.nn import AdaptiveContextNorm, AdaptiveContextNormBase, ContextBatchNorm, ContextNorm, open_renorm
from dacn.nn.passes import choose

K, C = 3, 2
CONTEXT = torch.tensor([1, 0, 1, 2, 0, 1])

LAYERS: dict[str, Callable[..., ContextNorm]] = {
    "acn_task": partial(AdaptiveContextNorm, C, K, fit="task"),
    "acn_likelihood": partial(AdaptiveContextNorm, C, K, fit="likelihood"),
    "acn_base": partial(AdaptiveContextNormBase, C, K),
    "cn": partial(ContextBatchNorm, C, K),
    "cn_own": partial(ContextBatchNorm, C, K, affine="own"),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def batch(seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Rows (B, C, 4, 3) whose contexts differ in mean and spread."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(CONTEXT), C, 4, 3, generator=generator, dtype=torch.float64)
    return ((x * (1 + CONTEXT)[:, None, None, None]) + 2 * CONTEXT[:, None, None, None]).to(dtype)


def trained(name: str, dtype: torch.dtype = torch.float32, **options: object) -> ContextNorm:
    """A layer after three batches, with gamma and beta that show."""
    layer = LAYERS[name](**options).to(dtype)
    torch.manual_seed(1)
    if layer.weight is not None and layer.bias is not None:
        torch.nn.init.uniform_(layer.weight, 0.5, 2)
        torch.nn.init.uniform_(layer.bias, -1, 1)
    open_renorm(layer, 0.25)
    for seed in range(3):
        layer(batch(seed, dtype), CONTEXT)
    return layer


@every_layer
def test_unknown_context_is_the_mixture_of_all(name: str) -> None:
    layer = trained(name, torch.float64).eval()
    x = batch(9, torch.float64)

    y = layer(x)

    mean, var = (table.detach().numpy() for table in layer.tables())
    weight, bias = (table.detach().numpy() for table in layer.affine_tables(x))
    frequency = np.array([2, 3, 1]) / 6  # the same in all three batches
    for i in range(len(x)):
        values = x[i].numpy().reshape(C, -1)
        score = np.zeros(K)
        for k in range(K):
            log_density = [
                -0.5 * ((v - mean[k, c]) ** 2 / (var[k, c] + layer.eps) + np.log(2 * np.pi * (var[k, c] + layer.eps)))
                for c in range(C)
                for v in values[c]
            ]
            score[k] = np.mean(log_density) + np.log(frequency[k])
        posterior = np.exp(score) / np.exp(score).sum()
        expected = np.zeros_like(values)
        for k in range(K):
            for c in range(C):
                scale = weight[k, c] / np.sqrt(var[k, c] + layer.eps)
                expected[c] += posterior[k] * ((values[c] - mean[k, c]) * scale + bias[k, c])
        np.testing.assert_allclose(layer.posterior(x)[i].detach().numpy(), posterior, atol=1e-7)
        np.testing.assert_allclose(y[i].detach().numpy().reshape(C, -1), expected, atol=1e-6)


@every_layer
def test_posterior_sums_to_one_and_finds_clear_cases(name: str) -> None:
    layer = LAYERS[name]().eval()
    with torch.no_grad():
        torch.testing.assert_close(layer.posterior(batch()), torch.full((6, K), 1 / K))  # untrained: no preference
    layer.train()
    far = batch() + 50 * CONTEXT[:, None, None, None]
    for _ in range(50):
        layer(far, CONTEXT)
    posterior = layer.eval().posterior(far).detach()
    torch.testing.assert_close(posterior.sum(1), torch.ones(6))
    assert torch.equal(posterior.argmax(1), CONTEXT)
    assert posterior.max(1).values.min() > 0.99


@every_layer
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_context_that_never_occurred_gets_no_weight(name: str, offset: float) -> None:
    layer = LAYERS[name]()
    seen = torch.tensor([0, 2, 0, 2, 0, 2])
    for seed in range(3):
        layer(0.1 * batch(seed), seen)
    posterior = layer.eval().posterior(batch() + offset)  # however badly the row fits the contexts that did
    assert posterior[:, 1].tolist() == [0.0] * 6


@every_layer
def test_untrained_layer_is_finite_with_and_without_context(name: str) -> None:
    layer = LAYERS[name]().eval()
    for context in (CONTEXT, None):
        y = layer(batch(), context)
        assert torch.isfinite(y).all()
        torch.testing.assert_close(y, batch(), atol=1e-3, rtol=1e-3)  # mean 0 and std 1 for every context


@every_layer
def test_frequency_follows_each_contexts_share(name: str) -> None:
    layer = LAYERS[name]()
    layer(batch(), CONTEXT)
    torch.testing.assert_close(layer.frequency, torch.tensor([2, 3, 1]) / 6)
    layer(batch(), torch.zeros_like(CONTEXT))
    torch.testing.assert_close(layer.frequency, 0.99 * torch.tensor([2, 3, 1]) / 6 + torch.tensor([0.01, 0, 0]))


@every_layer
@pytest.mark.parametrize("context", [CONTEXT, None])
def test_evaluation_depends_on_nothing_in_the_batch(name: str, context: Tensor | None) -> None:
    layer, x = trained(name).eval(), batch(9)
    before = copy.deepcopy(layer.state_dict())
    together = layer(x, context)
    for i in range(len(x)):
        alone = layer(x[i : i + 1], None if context is None else context[i : i + 1])
        torch.testing.assert_close(alone[0], together[i])
    for key, value in layer.state_dict().items():
        assert torch.equal(value, before[key]), key


@every_layer
def test_each_context_is_normalized_as_if_alone(name: str) -> None:
    together, x = trained(name), batch(9)
    alone = copy.deepcopy(together)
    y = together(x, CONTEXT)
    for k in range(K):
        rows = k == CONTEXT
        torch.testing.assert_close(alone(x[rows], CONTEXT[rows]), y[rows])


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_tokens_are_maps_with_the_channels_moved(name: str, training: bool) -> None:
    layer = trained(name).train(training)
    tokens = LAYERS[name](channels_last=True).train(training)
    tokens.load_state_dict(layer.state_dict())
    open_renorm(tokens, 0.25)
    x = batch(9).flatten(2)  # (B, C, L)
    y = tokens(x.movedim(1, -1).contiguous(), CONTEXT)  # (B, L, C)
    torch.testing.assert_close(y.movedim(-1, 1), layer(x, CONTEXT))


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_vectors_are_maps_of_one_position(name: str, training: bool) -> None:
    layer = trained(name).train(training)
    twin, x = copy.deepcopy(layer), batch(9)[..., :1, :1]
    torch.testing.assert_close(layer(x[..., 0, 0], CONTEXT), twin(x, CONTEXT)[..., 0, 0])


@every_layer
def test_batch_of_one(name: str) -> None:
    layer = trained(name)
    y = layer(batch(9)[:1], CONTEXT[:1])
    assert y.shape == (1, C, 4, 3)
    assert torch.isfinite(y).all()
    single = layer(batch(9)[:1, :, 0, 0], CONTEXT[:1])  # one value a channel
    assert torch.isfinite(single).all()
    assert all(torch.isfinite(value).all() for value in layer.state_dict().values())


@every_layer
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("context", [CONTEXT, CONTEXT.clamp_max(1), None], ids=["mixed", "one absent", "unknown"])
@pytest.mark.parametrize("layout", ["vectors", "lines", "maps", "tokens"])
def test_gradients_are_right(name: str, training: bool, context: Tensor | None, layout: str) -> None:
    if training and context is None:
        return
    layer = trained(name, torch.float64).train(training)
    layer.channels_last = layout == "tokens"
    if isinstance(layer, AdaptiveContextNorm):
        open_renorm(layer, 0.0)  # r and d are constants; at rho 1 and delta 0 they are constant in truth
    x = batch(9, torch.float64)[:, :, :2, :2]
    x = {"vectors": x[..., 0, 0], "lines": x.flatten(2), "maps": x, "tokens": x.flatten(2).movedim(1, -1)}[layout]
    x = x.contiguous().requires_grad_()
    parameters = list(layer.parameters())

    def output(*_: Tensor) -> Tensor:
        result: Tensor = layer(x, context)  # statistics move at each call, the training output does not use them
        return result

    assert torch.autograd.gradcheck(output, (x, *parameters))


@every_layer
def test_every_parameter_is_reached(name: str) -> None:
    layer = LAYERS[name]()
    layer(batch(), CONTEXT).pow(3).sum().backward()
    for key, parameter in layer.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


@every_layer
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_half_precision_out(name: str, training: bool, dtype: torch.dtype) -> None:
    layer = trained(name).train(training)
    twin = copy.deepcopy(layer)
    x = batch(9).to(dtype).requires_grad_()
    y = layer(x, CONTEXT)
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), twin(x.detach().float(), CONTEXT), atol=0.05, rtol=0.02)
    for key, value in layer.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[key], atol=1e-5, rtol=1e-5, msg=key)
    y.float().square().sum().backward()
    assert torch.isfinite(x.grad).all()
    if not training:
        torch.testing.assert_close(layer(x).float(), twin(x.float()), atol=0.05, rtol=0.02)


@every_layer
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_does_not_reach_the_statistics(name: str, dtype: torch.dtype) -> None:
    layer = trained(name)
    twin, x = copy.deepcopy(layer), (batch(9) + 7).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        y, posterior = layer(x, CONTEXT), layer.eval().posterior(x)
    assert torch.equal(y, twin(x, CONTEXT))
    assert torch.equal(posterior, twin.eval().posterior(x))
    assert all(torch.equal(value, twin.state_dict()[key]) for key, value in layer.state_dict().items())


@every_layer
def test_shapes_can_be_asked_for_without_values(name: str) -> None:
    layer = LAYERS[name]().to("meta").eval()
    for context in (CONTEXT.to("meta"), None):
        assert layer(batch().to("meta"), context).shape == batch().shape


@every_layer
def test_training_needs_the_context(name: str) -> None:
    layer = LAYERS[name]()
    with pytest.raises(ValueError, match=f"{type(layer).__name__} needs the context of each row in training, got None"):
        layer(batch())


@every_layer
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("implementation", ["passes", "plain"])
def test_context_that_does_not_exist(
    name: str, training: bool, implementation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if implementation == "plain":  # what a GPU runs: there, a wrong index would be a device assert
        monkeypatch.setattr(choose, "supports", lambda x: False)
    layer = LAYERS[name]().train(training)
    for wrong, number in ((CONTEXT + 1, 3), (CONTEXT - 1, -1), (CONTEXT * 2**40, 2**41)):
        with pytest.raises(ValueError, match=f"context {number} is outside 0 to 2, the contexts that the layer was"):
            layer(batch(), wrong)
    with pytest.raises(ValueError, match=r"context must have shape \(6,\).*got \(5,\)"):
        layer(batch(), CONTEXT[:5])
    for dtype in (torch.bool, torch.int32, torch.float32):
        with pytest.raises(ValueError, match=f"context must be int64, the number of each row's context, got {dtype}"):
            layer(batch(), CONTEXT.to(dtype))


@pytest.mark.parametrize("sizes", [(0, 2), (2, 0), (-1, 2)])
@pytest.mark.parametrize("layer", [AdaptiveContextNorm, AdaptiveContextNormBase, ContextBatchNorm])
def test_sizes_below_one_are_refused(layer: type[ContextNorm], sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"must be at least 1, got {sizes[0]} and {sizes[1]}"):
        layer(*sizes)


@every_layer
def test_state_dict_round_trip(name: str) -> None:
    layer, fresh, x = trained(name), LAYERS[name](), batch(9)
    fresh.load_state_dict(layer.state_dict())
    for context in (CONTEXT, None):
        assert torch.equal(fresh.eval()(x, context), layer.eval()(x, context))
    later = 10 * batch(5)  # and training goes on from there, with no second data-driven start
    open_renorm(fresh, 0.25)
    assert torch.equal(fresh.train()(later, CONTEXT), layer.train()(later, CONTEXT))
    for key, value in layer.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[key]), key


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "cn_own"])
def test_no_affine_is_gamma_one_and_beta_zero(name: str) -> None:
    plain, affine = LAYERS[name](affine="none" if name == "cn" else False), LAYERS[name]()
    assert not {"weight", "bias"} & set(plain.state_dict())
    torch.testing.assert_close(plain(batch(), CONTEXT), affine(batch(), CONTEXT))
    for context in (CONTEXT, None):
        torch.testing.assert_close(plain.eval()(batch(9), context), affine.eval()(batch(9), context))


@every_layer
def test_two_forwards_before_one_backward(name: str) -> None:
    layer, x = LAYERS[name](), batch(9)
    first = torch.tensor([0, 0, 0, 1, 1, 1])  # context 2 starts in the second forward
    twin = copy.deepcopy(layer)
    (layer(x, first).square().sum() + layer(x, CONTEXT).pow(3).sum()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in layer.parameters())
    twin(x, first).square().sum().backward()
    twin(x, CONTEXT).pow(3).sum().backward()
    for a, b in zip(layer.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "cn_own"])
def test_compiled_equals_eager(name: str, backend: str, training: bool) -> None:
    torch.compiler.reset()
    eager = trained(name).train(training)
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, fullgraph=True, backend=backend)
    contexts = [CONTEXT, CONTEXT] if training else [CONTEXT, None]
    for seed, context in enumerate(contexts):
        x = batch(10 + seed).requires_grad_()
        a, b = eager(x, context), compiled(x, context)
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
        inputs = [x, *eager.parameters()], [x, *twin.parameters()]
        gradients = [torch.autograd.grad(y.pow(3).sum(), w) for y, w in zip((a, b), inputs, strict=True)]
        for grad_a, grad_b in zip(*gradients, strict=True):
            torch.testing.assert_close(grad_a, grad_b, atol=1e-3, rtol=1e-4)
    for key, value in eager.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[key], atol=1e-5, rtol=1e-5, msg=key)
