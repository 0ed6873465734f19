"""The passes over activations, in C, by torch's CPU kernels and in plain torch, against NumPy in double precision."""

import importlib.util
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dacn.nn import functional as F
from dacn.nn.passes import choose, native
from dacn.nn.passes.native import NativePasses
from dacn.nn.passes.passes import Passes
from dacn.nn.passes.plain import PlainPasses, plain_passes
from dacn.nn.passes.runs import RunPasses

needs_compiler = pytest.mark.skipif(not native.available(), reason="dacn was installed without a C compiler")
KINDS = [RunPasses, PlainPasses, pytest.param(NativePasses, marks=needs_compiler)]
# Positions and channels that fill the loops' steps of four and blocks of 64, and that leave a rest.
SHAPES = [
    (7, 3),
    (7, 130),
    (7, 5, 1),
    (7, 5, 9),
    (7, 1, 3, 3),
    (7, 3, 1, 1),
    (7, 64, 2, 2),
    (7, 70, 3, 5),
    (7, 2, 40, 41),
    (7, 5, 2, 3, 2),
]
LAYOUTS = [(shape, last) for shape in SHAPES for last in (False, True) if len(shape) > 2 or not last]
CONTEXTS = {"sorted": [0, 0, 0, 1, 1, 3, 3], "mixed": [3, 0, 1, 0, 3, 0, 1], "one": [1] * 7}
K = 4


@pytest.fixture(params=CONTEXTS)
def contexts(request: pytest.FixtureRequest) -> list[int]:
    return CONTEXTS[request.param]


def batch(shape: tuple[int, ...], channels_last: bool, seed: int) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2 + 5
    return x.movedim(1, -1).contiguous().movedim(-1, 1) if channels_last else x


def tables(number: int, channels: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(9)
    return [torch.rand(K, channels, generator=generator) + 0.5 for _ in range(number)]


def spread(table: Tensor, contexts: list[int], ndim: int) -> Any:
    """Each row's line of a table as NumPy's double, ready to broadcast."""
    rows = table.double().numpy()[contexts]
    return rows.reshape(*rows.shape, *(1,) * (ndim - 2))


def of_contexts(values: Any, contexts: list[int], k: int) -> Any:
    """The values of context k, ``(channels, whatever)``."""
    rows = values[[i for i, context in enumerate(contexts) if context == k]]
    return np.moveaxis(rows, 1, 0).reshape(rows.shape[1], -1)


def passes_for(kind: Any, x: Tensor, contexts: list[int]) -> Passes:
    context, positions = torch.tensor(contexts), x.numel() // (x.shape[0] * x.shape[1])
    if kind is PlainPasses:
        return plain_passes(context, K, positions, x.dtype)
    made: Passes = kind(context, torch.bincount(context, minlength=K).to(x.dtype), positions)
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "last"), LAYOUTS)
def test_moments(kind: type[Passes], shape: tuple[int, ...], last: bool, contexts: list[int]) -> None:
    x = batch(shape, last, 0)
    passes = passes_for(kind, x, contexts)

    mean, var = passes.moments(passes.arrange(x))

    for k in range(K):
        values = of_contexts(x.double().numpy(), contexts, k)
        expected = (values.mean(1), values.var(1)) if values.size else (np.zeros(shape[1]),) * 2
        np.testing.assert_allclose(mean[k].numpy(), expected[0], rtol=1e-5)
        np.testing.assert_allclose(var[k].numpy(), expected[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "last"), LAYOUTS)
def test_affine_and_combine(kind: type[Passes], shape: tuple[int, ...], last: bool, contexts: list[int]) -> None:
    x, dy = batch(shape, last, 0), batch(shape, not last and len(shape) > 2, 1)  # a gradient may come in any layout
    passes = passes_for(kind, x, contexts)
    a, b, c = tables(3, shape[1])
    arranged = passes.arrange(x)

    y = passes.restore(passes.affine(arranged, a, b))
    z = passes.restore(passes.combine(passes.arrange(dy, like=arranged), arranged, a, b, c))

    wide_a, wide_b, wide_c = (spread(table, contexts, x.ndim) for table in (a, b, c))
    np.testing.assert_allclose(y.numpy(), x.numpy() * wide_a + wide_b, rtol=1e-5)
    np.testing.assert_allclose(z.numpy(), dy.numpy() * wide_a + x.numpy() * wide_b + wide_c, rtol=1e-5, atol=1e-5)
    assert y.stride() == x.stride()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "last"), LAYOUTS)
def test_sums(kind: type[Passes], shape: tuple[int, ...], last: bool, contexts: list[int]) -> None:
    x, dy = batch(shape, last, 0), batch(shape, not last and len(shape) > 2, 1)
    passes = passes_for(kind, x, contexts)
    mean, inv_std = tables(2, shape[1])
    arranged = passes.arrange(x)

    product, total = passes.sums(passes.arrange(dy, like=arranged), arranged, mean, inv_std)

    wide_mean, wide_inv_std = (spread(table, contexts, x.ndim) for table in (mean, inv_std))
    x_hat = (x.double().numpy() - wide_mean) * wide_inv_std
    for k in range(K):
        expected = of_contexts(dy.double().numpy() * x_hat, contexts, k).sum(1)
        np.testing.assert_allclose(product[k].numpy(), expected, rtol=2e-5)
        np.testing.assert_allclose(total[k].numpy(), of_contexts(dy.double().numpy(), contexts, k).sum(1), rtol=2e-5)


@needs_compiler
@pytest.mark.parametrize("last", [False, True])
def test_number_of_threads_changes_no_bit(last: bool) -> None:
    x, dy, contexts = batch((7, 20, 31, 33), last, 0), batch((7, 20, 31, 33), last, 1), CONTEXTS["mixed"]
    passes, threads, results = passes_for(NativePasses, x, contexts), torch.get_num_threads(), []
    a, b, c = tables(3, 20)
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        try:
            sums = [*passes.moments(x), *passes.sums(dy, x, a, b)]
            results.append([*sums, passes.affine(x, a, b), passes.combine(dy, x, a, b, c)])
        finally:
            torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


@needs_compiler
def test_moments_far_from_zero_keep_their_digits() -> None:
    x = batch((8, 6, 32, 32), True, 0) + 1000
    _, var = NativePasses(torch.zeros(8, dtype=torch.int64), torch.tensor([8.0]), 1024).moments(x)
    np.testing.assert_allclose(var[0].numpy(), x.double().numpy().var(axis=(0, 2, 3)), rtol=1e-5)


def test_rows_that_are_no_block_of_memory() -> None:
    wide = batch((7, 5, 4, 8), False, 0)
    x, context = wide[..., ::2], torch.tensor(CONTEXTS["mixed"])
    mean, var, weight, bias = tables(4, 5)
    y = F.context_affine(x, context, mean, var, weight, bias, 1e-5)
    torch.testing.assert_close(y, F.context_affine(x.clone(), context, mean, var, weight, bias, 1e-5))
    assert y.shape == x.shape


@needs_compiler
def test_double_precision_goes_to_torchs_kernels() -> None:
    assert isinstance(choose._remembered((0, 1), 2, 4, torch.float32, True), NativePasses)
    assert isinstance(choose._remembered((0, 1), 2, 4, torch.float64, True), RunPasses)
    assert isinstance(choose._remembered((0, 1), 2, 4, torch.float32, False), RunPasses)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("the passes", ""),
        ("OpenMP", r"_passes.so cannot be used.*undefined symbol: GOMP_parallel. Installing dacn again"),
        pytest.param("this version", "version 1 where 2 is needed. Installing dacn again", marks=needs_compiler),
    ],
)
def test_without_the_compiled_passes_torchs_kernels_serve(
    missing: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise OSError("undefined symbol: GOMP_parallel")

    if missing == "the passes":
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    elif missing == "OpenMP":
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(origin="_passes.so"))
        monkeypatch.setattr(native.ctypes, "CDLL", refuse)
    else:
        monkeypatch.setattr(native, "VERSION", native.VERSION + 1)
    native.functions.cache_clear()
    try:
        with nullcontext() if missing == "the passes" else pytest.warns(UserWarning, match=told):
            assert not native.available()
        ones = torch.ones(2, 1)
        y = F.context_affine(ones, torch.tensor([0, 1]), ones, ones, torch.ones(1), torch.ones(1), 0.0)
        assert y.tolist() == [[1.0], [1.0]]
    finally:
        native.functions.cache_clear()
