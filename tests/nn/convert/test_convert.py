"""Converted networks: at first the same outputs, then a context of one's own in every layer."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig

from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, ContextNorm, convert_norm, fold_context
from dacn.nn.convert.network import ConvertedNetwork

pytestmark = pytest.mark.filterwarnings("ignore:every layer's mean and std are learned by the task")
CONTEXT = torch.tensor([0, 1, 0, 1, 1, 0])
NORMS = ["acn", "acn_base", "cn"]

# Real blocks, fewer of them.
BATCH_NORMED: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=5),
    "bottleneck": lambda: models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=5, width_per_group=16),
    "mobilenet_v3_small": lambda: models.mobilenet_v3_small(num_classes=5, dropout=0.0),
}
LAYER_NORMED: dict[str, Callable[[], nn.Module]] = {
    "convnext": lambda: models.ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 1)], num_classes=5),
    "vit": lambda: models.VisionTransformer(32, 16, 2, 4, 32, 64, num_classes=5),
}
FULL = ["resnet18", "resnet50", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0"]


def randomize(net: nn.Module) -> nn.Module:
    """Give every BatchNorm statistics and an affine map as training might leave them."""
    torch.manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.0)
            nn.init.normal_(layer.bias, std=0.1)
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)  # a ViT's head starts at zero
    return net


def context_norms(net: nn.Module) -> list[ContextNorm]:
    return [layer for layer in net.modules() if isinstance(layer, ContextNorm)]


@torch.no_grad()
def check_equal(original: nn.Module, norm: str, num_contexts: int, side: int = 32) -> None:
    original = original.double().eval()
    before = copy.deepcopy(original.state_dict())
    x = torch.rand(3, 3, side, side, dtype=torch.float64)
    net = convert_norm(original, norm, num_contexts, example=x)
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in net.modules())
    assert not any(m.training for m in net.modules())
    assert {t.dtype for t in (*net.parameters(), *net.buffers())} <= {torch.float64, torch.bool, torch.int64}
    assert not any("num_batches_tracked" in key for key in net.state_dict())
    expected = original(x)
    for context in (None, *torch.arange(num_contexts).expand(3, num_contexts).T, torch.arange(3) % num_contexts):
        torch.testing.assert_close(net(x, context), expected, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(before[key], value) for key, value in original.state_dict().items())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", BATCH_NORMED)
def test_outputs_start_the_same(name: str, norm: str) -> None:
    for num_contexts in (1, 2):
        check_equal(randomize(BATCH_NORMED[name]()), norm, num_contexts)


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", FULL)
def test_outputs_of_full_networks_start_the_same(name: str, norm: str) -> None:
    check_equal(randomize(models.get_model(name)), norm, 2, side=64)


def convert_any(name: str, norm: str, **options: object) -> nn.Module:
    net = randomize({**BATCH_NORMED, **LAYER_NORMED}[name]())
    where = [nn.LayerNorm] if name == "convnext" else None
    if name == "vit":

        def where(name: str, module: nn.Module) -> bool:
            return isinstance(module, nn.LayerNorm) and name.startswith("encoder.layers")

    return convert_norm(net, norm, 2, where=where, **options)


def train(net: nn.Module, steps: int = 5) -> list[float]:
    torch.manual_seed(1)
    x, y = torch.randn(6, 3, 32, 32).to(next(net.parameters()).dtype), torch.tensor([0, 1, 2, 3, 4, 0])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.002)
    losses = []
    for _ in range(steps + 1):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x, CONTEXT), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        pytest.param(name, norm, marks=pytest.mark.slow if name == "mobilenet_v3_small" and norm != "acn" else [])
        for name in (*BATCH_NORMED, *LAYER_NORMED)
        for norm in NORMS
    ],
)
def test_training_lowers_the_loss_and_reaches_every_context(name: str, norm: str) -> None:
    net = convert_any(name, norm).double().train()  # in single precision the smallest steps would round to none
    layers = context_norms(net)
    assert len(layers) == {"resnet": 12, "bottleneck": 17, "mobilenet_v3_small": 34, "convnext": 5, "vit": 4}[name]
    before = [[table.clone() for table in layer.tables()] for layer in layers]
    losses = train(net)
    assert losses[-1] < losses[0]
    for layer, tables in zip(layers, before, strict=True):
        assert layer.initialized.all()
        for old, new in zip(tables, layer.tables(), strict=True):
            assert (old != new).any(dim=1).all()  # something moved in the row of each context
        if norm == "acn_base":
            assert layer.mean_weight.grad.any(dim=1).all()
            assert layer.log_std_weight.grad.any(dim=1).all()
        assert layer.weight.grad.any()


def test_acn_by_the_task_gets_a_gradient_in_every_context() -> None:
    net = convert_any("resnet", "acn", fit="task").train()
    train(net, steps=1)
    for layer in context_norms(net):
        assert layer.mean.grad.any(dim=1).all()
        assert layer.log_std.grad.any(dim=1).all()


def test_layer_norm_hands_on_its_affine_map_and_its_layout() -> None:
    net = randomize(LAYER_NORMED["convnext"]())
    for layer in net.modules():
        if isinstance(layer, nn.LayerNorm):
            nn.init.normal_(layer.weight)
    converted = convert_norm(net, "acn", 2, where=[nn.LayerNorm])
    for name, layer in net.named_modules():
        if isinstance(layer, nn.LayerNorm):
            new = converted.get_submodule(name)
            assert torch.equal(new.weight, layer.weight)
            assert new.channels_last is (type(layer) is nn.LayerNorm)  # else LayerNorm2d
            assert new.eps == layer.eps
            assert not new.initialized.any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convnext_tiny", "vit_b_16"])
def test_full_networks_without_batch_norm(name: str) -> None:
    x = torch.rand(2, 3, 224, 224)
    net = convert_norm(models.get_model(name), "acn", 2, where=[nn.LayerNorm], example=x).train()
    y = net(x, torch.tensor([0, 1]))
    assert y.shape == (2, 1000)
    assert all(layer.initialized.all() for layer in context_norms(net))


def test_where_by_name_by_type_and_by_predicate() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.GroupNorm(2, 4)
    )

    def converted(where: object) -> list[int]:
        result = convert_norm(net, "acn", 2, where=where)
        return [i for i in range(5) if isinstance(result.get_submodule(str(i)), ContextNorm)]

    assert converted(None) == [1, 3]
    assert converted(["3"]) == [3]
    assert converted([nn.GroupNorm, "1"]) == [1, 4]
    assert converted(lambda name, module: name == "4") == [4]


def test_converting_twice_threads_one_context() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.GroupNorm(2, 4))
    net = convert_norm(convert_norm(net, "cn", 2), "acn", 2, where=[nn.GroupNorm])
    assert [type(layer) for layer in context_norms(net)] == [ContextBatchNorm, AdaptiveContextNorm]
    assert net(torch.rand(6, 3, 4, 4), CONTEXT).shape == (6, 4, 4, 4)
    assert "(x, context)" not in net.code
    assert net.code.count(", context)") == 2  # both layers get the one


class CalledTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = self.second = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)) + 1)


def test_layer_called_twice_stays_one() -> None:
    original = randomize(CalledTwice()).eval()
    net = convert_norm(original, "acn", 2)
    assert len(context_norms(net)) == 1
    x = torch.rand(6, 3, 4, 4)
    torch.testing.assert_close(net(x, CONTEXT), original(x), atol=1e-5, rtol=1e-5)


def test_modes_of_single_layers_are_kept() -> None:
    net = nn.Sequential(nn.Sequential(nn.BatchNorm2d(3), nn.Dropout()), nn.BatchNorm2d(3)).train()
    net[0][0].eval()
    converted = convert_norm(net, "acn", 2, example=torch.rand(2, 3, 4, 4))
    modes = {name: module.training for name, module in converted.named_modules()}
    assert modes == {"": True, "0": True, "0.0": False, "0.1": True, "1": True}
    assert [m.training for m in net.modules()] == [True, True, False, True, True]


def test_function_makes_any_layer() -> None:
    net = randomize(BATCH_NORMED["resnet"]()).eval()
    x = torch.rand(6, 3, 32, 32)
    context_free = convert_norm(net, nn.BatchNorm2d)
    torch.testing.assert_close(context_free(x, CONTEXT), net(x), atol=1e-5, rtol=1e-5)
    own = convert_norm(net, partial(ContextBatchNorm, num_contexts=2, affine="own"))
    torch.testing.assert_close(own(x, CONTEXT), net(x), atol=1e-5, rtol=1e-5)


def test_copies_and_state_dict_carry_everything(tmp_path: object) -> None:
    net = convert_any("mobilenet_v3_small", "acn").train()
    train(net, steps=1)
    twin = copy.deepcopy(net)
    assert twin.takes_context
    torch.save(net.state_dict(), f"{tmp_path}/net.pt")
    fresh = convert_any("mobilenet_v3_small", "acn")
    fresh.load_state_dict(torch.load(f"{tmp_path}/net.pt", weights_only=True))
    x = torch.rand(6, 3, 32, 32)
    for other in (twin, fresh):
        assert torch.equal(other.eval()(x, CONTEXT), net.eval()(x, CONTEXT))


def test_bfloat16() -> None:
    net = convert_norm(randomize(BATCH_NORMED["resnet"]()).bfloat16(), "acn", 2)
    y = net(torch.rand(6, 3, 32, 32, dtype=torch.bfloat16), CONTEXT)
    assert y.dtype == torch.bfloat16
    assert y.isfinite().all()


@pytest.mark.parametrize("norm", ["acn", "cn"])
def test_compiled_network_equals_eager(norm: str) -> None:
    torch.compiler.reset()
    net = convert_norm(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)), norm, 2
    )
    twin = copy.deepcopy(net)
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    x = torch.rand(6, 3, 8, 8)
    a, b = net(x, CONTEXT), compiled(x, CONTEXT)
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    a.pow(3).sum().backward()
    b.pow(3).sum().backward()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-3, rtol=1e-3)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return x if x.sum() > 0 else -x


class Windows(Branches):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.reshape(-1, 3, 2, 2))


def test_what_cannot_be_converted_is_refused() -> None:
    def refused(net: nn.Module, message: str, **options: object) -> None:
        with pytest.raises(ValueError, match=message):
            convert_norm(net, "acn", 2, **options)

    norms = nn.Sequential(nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.LayerNorm(3))
    refused(norms, r"no norm layer to replace; those present: LayerNorm \(2\), GroupNorm \(1\); choose with where")
    refused(nn.Sequential(nn.ReLU()), "those present: none")
    refused(nn.Sequential(nn.BatchNorm2d(3)), r"the model has no module '00'", where=["00"])
    branching = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(Branches()))
    refused(branching, r"cannot trace '1\.0' \(Branches\): .*; rewrite control flow .* leaf=\['its name'\]")
    refused(branching[1], "none of the norm layers is called outside of the leaves: 0.norm", leaf=[Branches])
    refused(Windows(), r"context must have shape \(12,\)", example=torch.rand(3, 3, 4, 4))
    net = convert_norm(branching, "acn", 2, leaf=["1.0"])
    assert len(context_norms(net)) == 1
    assert isinstance(net.get_submodule("1.0"), Branches)


def test_example_shows_what_tracing_has_lost() -> None:
    class Counts(Branches):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            type(self).calls += 1
            return self.norm(x) * (self.calls // 3)

    with pytest.raises(ValueError, match="on the example the converted network departs from the original by"):
        convert_norm(randomize(Counts()), "acn", 2, example=torch.rand(2, 3, 4, 4))


def test_a_part_that_was_converted_before_is_handed_the_context() -> None:
    torch.manual_seed(0)

    def part() -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU())

    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(part(), part()))
    whole = convert_norm(model, "cn", 2)
    apart = nn.Sequential(model[0], model[1], nn.Sequential(*(convert_norm(each, "cn", 2) for each in model[2])))
    parts = convert_norm(apart, "cn", 2)
    assert [*parts.state_dict()] == [*whole.state_dict()]
    x, context = torch.rand(4, 3, 5, 5), torch.tensor([0, 0, 1, 1])
    torch.testing.assert_close(parts(x, context), whole(x, context))
    assert isinstance(parts.get_submodule("2.0"), ConvertedNetwork)
    torch.testing.assert_close(fold_context(parts, 1)(x), whole.eval()(x, 1))
