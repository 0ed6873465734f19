"""What a converted network keeps of the model: frozen and shared parameters, momentum, hooks, computed weights."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, convert_norm, fold_context

CONTEXT = torch.tensor([0, 1, 0, 1, 1, 0])
pytestmark = pytest.mark.filterwarnings("ignore:every layer's mean and std are learned by the task")


def batch_norm(features: int = 4, **options: object) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(features, **options)
    for tensor in (norm.running_mean, norm.running_var, *norm.parameters()):
        tensor.data.uniform_(0.5, 1.5)
    return norm


def model(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), *layers)


@pytest.mark.parametrize(
    ("norm", "options"),
    [("acn", {}), ("acn", {"fit": "task"}), ("acn_base", {}), ("cn", {}), ("cn", {"affine": "own"})],
)
def test_frozen_parameters_stay_frozen(norm: str, options: dict[str, object]) -> None:
    net = model(batch_norm(), batch_norm())
    net[1].requires_grad_(False)
    net[2].bias.requires_grad_(False)
    net[0].weight.requires_grad_(False)
    converted = convert_norm(net, norm, 2, **options)
    frozen = {name for name, p in converted.named_parameters() if not p.requires_grad}
    assert frozen == {"0.weight", "1.weight", "1.bias", "2.bias"}
    before = copy.deepcopy(dict(converted.named_parameters()))
    optimizer = torch.optim.SGD(converted.parameters(), 0.1)
    converted.train()(torch.randn(6, 3, 8, 8), CONTEXT).square().sum().backward()
    optimizer.step()
    for name, parameter in converted.named_parameters():
        if name != "0.bias":  # which a norm takes out again
            assert torch.equal(parameter, before[name]) is (name in frozen)


@pytest.mark.parametrize("affine", ["shared", "own"])
def test_shared_parameters_stay_shared(affine: str) -> None:
    net = model(batch_norm(), batch_norm(), batch_norm(), nn.Linear(6, 6), nn.Linear(6, 6))
    net[2].weight = net[1].weight
    net[5].weight = net[4].weight
    converted = convert_norm(net, "cn", 2, affine=affine)
    layers = [converted.get_submodule(str(i)) for i in range(6)]
    assert layers[1].weight is layers[2].weight
    assert layers[1].weight is not layers[3].weight
    assert layers[1].bias is not layers[2].bias
    assert layers[4].weight is layers[5].weight
    assert len(list(converted.parameters())) == len(list(net.parameters()))
    x = torch.rand(6, 3, 8, 8)
    torch.testing.assert_close(converted.eval()(x, 1), net.eval()(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(copy.deepcopy(converted)(x, 1), net(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("momentum", [0.3, 0.0, 1.0, None])
def test_momentum_stays_what_it_is(momentum: float | None) -> None:
    net = model(batch_norm(momentum=momentum)).train()
    for _ in range(2):
        net(torch.randn(6, 3, 8, 8))
    converted = convert_norm(net, "cn", 2)
    layer = converted.get_submodule("1")
    assert layer.momentum == momentum
    for step in range(3):  # each context sees what BatchNorm sees
        x = torch.randn(6, 3, 8, 8)
        torch.testing.assert_close(converted(x, step % 2), net(x), atol=1e-5, rtol=1e-5)
        converted(x, 1 - step % 2)
    for table, own in ((layer.running_mean, net[1].running_mean), (layer.running_var, net[1].running_var)):
        torch.testing.assert_close(table, own.expand(2, 4), atol=1e-5, rtol=1e-5)


def test_plain_average_counts_the_batches_of_each_context() -> None:
    layer = ContextBatchNorm(2, 3, momentum=None).double()
    seen: list[list[np.ndarray]] = [[], [], []]
    torch.manual_seed(0)
    for present in ([0, 1], [0], [0, 1]):
        context = torch.tensor([k for k in present for _ in range(4)])
        x = torch.randn(len(context), 2, 3, dtype=torch.float64)
        layer(x, context)
        for k in present:
            seen[k].append(x[context == k].transpose(0, 1).reshape(2, -1).numpy())
    for k in (0, 1):
        mean = np.mean([rows.mean(1) for rows in seen[k]], axis=0)
        var = np.mean([rows.var(1, ddof=1) for rows in seen[k]], axis=0)
        np.testing.assert_allclose(layer.running_mean[k].numpy(), mean)
        np.testing.assert_allclose(layer.running_var[k].numpy(), var)
    assert layer.num_batches_tracked.tolist() == [3, 2, 0]
    assert layer.running_mean[2].tolist() == [0, 0]
    assert layer.running_var[2].tolist() == [1, 1]


@pytest.mark.parametrize("learned", [True, False])
def test_statistics_of_momentum_0_stay_in_acn_too(learned: bool) -> None:
    norm = batch_norm(momentum=0.0) if learned else nn.BatchNorm2d(4, momentum=0.0)
    layer = convert_norm(model(norm), "acn", 2).train().get_submodule("1")
    assert isinstance(layer, AdaptiveContextNorm)
    before = [table.clone() for table in layer.tables()]
    layer(torch.randn(6, 4, 5, 5), CONTEXT)
    for old, new in zip(before, layer.tables(), strict=True):
        torch.testing.assert_close(new, old, rtol=0, atol=0)
    assert convert_norm(model(norm), "acn", 2, eta=0.2).get_submodule("1").eta == 0.2


class Traced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = batch_norm()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


def test_hooks_of_kept_layers_and_of_the_network_are_called() -> None:
    calls: list[str] = []
    net = model(Traced(), nn.ReLU())
    net.register_forward_hook(lambda module, args, y: calls.append("network") or y + 1)
    net.register_full_backward_hook(lambda *_: calls.append("backward"))
    net[2].register_forward_hook(lambda *_: calls.append("relu"))
    net.register_state_dict_post_hook(lambda module, state, *_: state.update(extra=torch.tensor(1)))
    net.register_load_state_dict_pre_hook(lambda module, state, *_: state.pop("extra"))
    converted = convert_norm(net, "acn", 2)
    assert not calls
    x = torch.rand(6, 3, 8, 8, requires_grad=True)
    y = converted.eval()(x, CONTEXT)
    y.sum().backward()
    assert calls == ["relu", "network", "backward"]
    torch.testing.assert_close(y, net.eval()(x), atol=1e-5, rtol=1e-5)
    state = converted.state_dict()
    assert "extra" in state
    converted.load_state_dict(state)


def test_hooks_where_nothing_is_called_are_refused() -> None:
    def refused(register: str, module: int | None, message: str) -> None:
        net = model(Traced(), batch_norm())
        handle = getattr(net if module is None else net[module], register)(lambda *_: None)
        with pytest.raises(ValueError, match=message):
            convert_norm(net, "acn", 2)
        handle.remove()
        convert_norm(net, "acn", 2)

    refused(
        "register_forward_hook", 1, r"'1' \(Traced\) has a forward hook, but holds norm layers .* remove\(\) of the"
    )
    refused("register_full_backward_hook", 1, r"'1' \(Traced\) has a backward hook")
    refused("register_forward_hook", 2, r"'2' \(BatchNorm2d\) has a forward hook, but is replaced; remove it first")
    refused("register_state_dict_pre_hook", 2, r"'2' \(BatchNorm2d\) has a state-dict pre-hook, but is replaced")
    refused(
        "register_forward_pre_hook", None, r"'' \(Sequential\) has a forward pre-hook, which would lose the context"
    )
    net = model(batch_norm())
    net[0].register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"'0' \(Conv2d\) has a forward hook, which a folded network has no place for"):
        fold_context(convert_norm(net, "acn", 2), 0)


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
def test_computed_weights_are_kept_and_folded() -> None:
    net = model(batch_norm(), nn.Conv2d(4, 4, 1), batch_norm(), nn.Conv2d(4, 4, 1), batch_norm())
    parametrizations.weight_norm(net[0])
    parametrizations.spectral_norm(net[2])
    nn.utils.spectral_norm(net[4])
    x = torch.rand(6, 3, 8, 8)
    with torch.no_grad():
        net.train()(x)
        net.eval()
        converted = convert_norm(net, "acn", 2)
        torch.testing.assert_close(converted(x, 0), net(x), atol=1e-5, rtol=1e-5)
        assert "0.parametrizations.weight.original0" in converted.state_dict()
        folded = fold_context(converted, 1)
        torch.testing.assert_close(folded(x), net(x), atol=1e-5, rtol=1e-5)
        assert sorted(folded.state_dict()) == sorted(f"{i}.{name}" for i in (0, 2, 4) for name in ("weight", "bias"))
        x = x + 1
        torch.testing.assert_close(converted(x, 0), net(x), atol=1e-5, rtol=1e-5)  # left as it was
    nn.utils.weight_norm(net[4], "bias", dim=0)
    with pytest.raises(ValueError, match=r"cannot copy the model: .*parametrizations\.weight_norm does not"):
        convert_norm(net, "acn", 2)


def test_dtype_and_device_of_each_layer() -> None:
    net = model(batch_norm().double(), batch_norm().half())
    converted = convert_norm(net, "acn", 2)
    assert converted.get_submodule("1").mean.dtype == torch.float64
    assert converted.get_submodule("2").log_std.dtype == torch.float16
    assert convert_norm(net.to("meta"), "cn", 2).get_submodule("1").running_var.device.type == "meta"


@pytest.mark.filterwarnings("ignore:.*is deprecated")
def test_wrapped_and_compiled_networks_are_refused() -> None:
    net = model(Traced())
    for wrapped, message in (
        (nn.DataParallel(net), "the model is wrapped in DataParallel: hand over its .module and wrap the result"),
        (torch.compile(net), "the model is compiled: hand over its ._orig_mod and compile the result"),
        (torch.jit.trace(net.eval(), torch.rand(1, 3, 8, 8)), "the model is TorchScript, which has no forward"),
        (model(torch.compile(Traced())), "'1' is compiled: hand over its ._orig_mod"),
    ):
        with pytest.raises(ValueError, match=message):
            convert_norm(wrapped, "acn", 2)
        with pytest.raises(ValueError, match=message):
            fold_context(wrapped, 0)


def test_network_compiled_in_place_is_taken() -> None:
    net = model(Traced()).eval()
    net.compile(backend="eager")
    x = torch.rand(6, 3, 8, 8)
    torch.testing.assert_close(convert_norm(net, "acn", 2)(x, 0), net(x), atol=1e-5, rtol=1e-5)


def test_other_kinds_of_norm() -> None:
    from torchvision.ops import FrozenBatchNorm2d

    frozen, x = FrozenBatchNorm2d(4), torch.rand(6, 4, 5, 5)
    for buffer in frozen.buffers():
        buffer.uniform_(0.5, 1.5)
    instance = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
    instance(x)
    for norm in (frozen, instance, nn.SyncBatchNorm(4)):
        norm = norm.eval()
        for name in ("acn", "cn"):
            layer = convert_norm(nn.Sequential(norm), name, 2, where=[type(norm)]).get_submodule("0")
            if type(norm) is not nn.SyncBatchNorm:
                torch.testing.assert_close(layer(x, 1), norm(x), atol=1e-5, rtol=1e-5)
            assert layer.weight.requires_grad is (norm is not frozen)
    rms = nn.Sequential(nn.RMSNorm(4))
    assert convert_norm(rms, "acn", 2, where=[nn.RMSNorm]).get_submodule("0").eps == torch.finfo(torch.float32).eps
    lazy = nn.Sequential(nn.LazyBatchNorm2d())
    with pytest.raises(
        ValueError, match=r"cannot replace '0' \(LazyBatchNorm2d\): its number of channels .* run a batch"
    ):
        convert_norm(lazy, "acn", 2)
    lazy(x)
    assert convert_norm(lazy, "acn", 2).get_submodule("0").num_features == 4
    scaled = nn.Sequential(parametrizations.weight_norm(nn.LayerNorm(4), dim=None))
    with pytest.raises(
        ValueError, match=r"cannot replace '0' \(ParametrizedLayerNorm\): its parameters are parametrized"
    ):
        convert_norm(scaled, "acn", 2, where=[nn.LayerNorm])


def test_gaussians_learned_by_the_task_in_several_layers_are_warned_of() -> None:
    net = model(batch_norm(), batch_norm())
    for norm, options in (("acn", {"fit": "task"}), ("acn_base", {})):
        with pytest.warns(UserWarning, match=r"mean and std are learned by the task's loss.*clip gradients"):
            convert_norm(net, norm, 2, **options)
