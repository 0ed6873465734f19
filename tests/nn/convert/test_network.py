"""A converted network in use: saved, copied, sent to other processes, compiled; with contexts of every form."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, convert_norm, fold_context
from dacn.nn.convert.network import ConvertedNetwork

CONTEXT = torch.tensor([0, 1, 0, 1, 1, 0])


class TwoModes(nn.Module):
    """Drops half in training, where it also gives what an auxiliary head says."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.aux = nn.Sequential(nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
        self.register_buffer("scale", torch.tensor(2.0))
        self.shift = torch.ones(4, 1, 1)  # no buffer

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.norm(self.conv(x)) * self.scale + self.shift
        y = F.dropout(x, 0.5, self.training) + torch.arange(4.0)[:, None, None]
        return (y, self.aux(x)) if self.training else y


def trained() -> nn.Module:
    torch.manual_seed(0)
    net = TwoModes()
    for _ in range(3):
        net(torch.randn(6, 3, 8, 8))
    return net


X = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def check_same(net: nn.Module, other: nn.Module) -> None:
    assert other.takes_context
    assert other.training is net.training
    for mode in (True, False):
        torch.manual_seed(2)
        expected = copy.deepcopy(net).train(mode)(X, CONTEXT)
        torch.manual_seed(2)
        torch.testing.assert_close(copy.deepcopy(other).train(mode)(X, CONTEXT), expected)


@pytest.mark.parametrize("norm", ["acn", "cn"])
def test_each_mode_runs_as_the_model_did(norm: str) -> None:
    model = trained()
    net = convert_norm(model, norm, 2)
    x = X[:4]
    torch.testing.assert_close(net.eval()(x, 1), model.eval()(x), atol=1e-5, rtol=1e-5)
    torch.manual_seed(3)
    expected = model.train()(x)
    torch.manual_seed(3)
    got = net.train()(x, 1)  # one context has the batch's statistics, as BatchNorm has
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    (got[0].sum() + got[1].sum()).backward()
    assert all(p.grad is not None for p in net.parameters())  # those of the head too, which evaluation does not call
    kept = {name for name in model.state_dict() if "running" not in name and "tracked" not in name}
    assert kept <= set(net.state_dict())


def test_saved_pickled_and_copied_networks_are_the_same(tmp_path: Path) -> None:
    for mode in (True, False):
        net = convert_norm(trained().train(mode), "acn", 2)
        torch.save(net, tmp_path / "net.pt")
        check_same(net, torch.load(tmp_path / "net.pt", weights_only=False))
        check_same(net, pickle.loads(pickle.dumps(net)))
        check_same(net, copy.deepcopy(net))
        check_same(net, pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(copy.deepcopy(net))))))


def test_loaded_network_is_converted_and_folded_on() -> None:
    net = pickle.loads(pickle.dumps(convert_norm(nn.Sequential(trained(), nn.GroupNorm(2, 4)), "cn", 2))).eval()
    again = convert_norm(net, "acn", 2, where=[nn.GroupNorm])
    assert {type(m) for m in again.modules()} >= {AdaptiveContextNorm, ContextBatchNorm}
    torch.testing.assert_close(fold_context(net, 1)(X), net(X, 1), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_spawned_worker_loads_it() -> None:
    net = convert_norm(trained(), "acn", 2).eval().requires_grad_(False)
    loader = DataLoader([X, X + 1], batch_size=None, collate_fn=net, num_workers=1, multiprocessing_context="spawn")
    for got, expected in zip(loader, (net(X), net(X + 1)), strict=True):
        torch.testing.assert_close(got, expected)


WITHOUT_DACN = """
import sys

class Blocks:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "dacn":
            raise ImportError("dacn is blocked")

sys.meta_path.insert(0, Blocks())
import torch

for name in ("one", "two", "tokens"):
    net, x, expected = torch.load(f"{name}.pt", weights_only=False)
    torch.testing.assert_close(net(x), expected, atol=1e-5, rtol=1e-5)
    assert not net.training
assert not any(name.split(".")[0] == "dacn" for name in sys.modules)
"""


def test_folded_network_loads_where_dacn_cannot_be_imported(tmp_path: Path) -> None:
    tokens = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.LayerNorm(4))
    networks = {
        "one": (convert_norm(trained(), "acn", 2), X),
        "two": (convert_norm(nn.Sequential(trained(), nn.ReLU(), nn.BatchNorm2d(4)).eval(), "cn", 2), X),
        "tokens": (convert_norm(tokens, "cn", 2, where=[nn.LayerNorm]), torch.rand(2, 5, 3)),
    }
    for name, (net, x) in networks.items():
        torch.save((fold_context(net, 1), x, net.eval()(x, 1).detach()), tmp_path / f"{name}.pt")
        assert b"dacn" not in (tmp_path / f"{name}.pt").read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DACN], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("mode", [True, False])
def test_compiled_without_breaks_in_each_mode(mode: bool) -> None:
    torch.compiler.reset()
    torch.manual_seed(0)
    norms = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(trained().norm))
    net = convert_norm(norms, "acn", 2).train(mode)
    compiled = torch.compile(copy.deepcopy(net), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(X, CONTEXT), net(X, CONTEXT), atol=1e-5, rtol=1e-5)
    two = torch.compile(convert_norm(trained(), "acn", 2).train(mode), backend="aot_eager", fullgraph=True)
    assert isinstance(two(X, CONTEXT), tuple) is mode


def test_made_tensors_move_with_the_network_and_stay_out_of_its_state() -> None:
    net = convert_norm(trained(), "acn", 2)
    assert not any("constant" in name for name in net.state_dict())
    assert net.to("meta").eval()(X.to("meta"), CONTEXT.to("meta")).device.type == "meta"


@pytest.mark.parametrize("mode", [True, False])
def test_context_is_one_for_all_or_one_a_row(mode: bool) -> None:
    net = convert_norm(nn.Sequential(trained().conv, trained().norm), "cn", 2).train(mode)
    expected = net(X, torch.ones(6, dtype=torch.int64))
    for context in (1, torch.tensor(1), [1] * 6, (1,) * 6):
        torch.testing.assert_close(net(X, context), expected)
    for context, message in (
        ("target", "context must be a tensor of 6 int64, or one integer for all, got 'target'"),
        (True, "context must be a tensor of 6 int64, or one integer for all, got True"),
        ([0, 1], r"context must have shape \(6,\), one entry a row of x, got \(2,\)"),
        (2, "context 2 is outside 0 to 1"),
        (1.0, "context must be a tensor of 6 int64, or one integer for all, got 1.0"),
        ([0.0] * 6, "context must be int64, the number of each row's context, got torch.float32"),
    ):
        with pytest.raises(ValueError, match=message):
            net(X, context)


@pytest.mark.parametrize("norm", ["acn", "acn_base", "cn"])
def test_empty_batch(norm: str) -> None:
    net = convert_norm(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), norm, 2)
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match=r"has no statistics of an empty batch, got \(0, 4, 6, 6\) in training; leave"):
        net.train()(X[:0], CONTEXT[:0])
    torch.testing.assert_close(net.state_dict(), before)
    for context in (CONTEXT[:0], [], 1, None):
        assert net.eval()(X[:0], context).shape == (0, 4, 6, 6)


def test_lone_norm_layer() -> None:
    model = trained().norm.eval()
    net = convert_norm(model, "acn", 2)
    assert isinstance(net, ConvertedNetwork)
    x = torch.randn(6, 4, 5, 5)
    torch.testing.assert_close(net(x, CONTEXT), model(x), atol=1e-5, rtol=1e-5)
    for folded in (fold_context(net, 1), fold_context(net.get_submodule("0"), 1)):
        torch.testing.assert_close(folded(x), model(x), atol=1e-5, rtol=1e-5)
    assert not model.training
