"""Folded networks: the outputs of one context, from torch's own modules alone."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, fx, nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig

from dacn.models.build import ModelConfig, build_model
from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, ContextNorm, ContextSequential, convert_norm, fold_context

pytestmark = pytest.mark.filterwarnings("ignore:every layer's mean and std are learned by the task")

CONTEXT = torch.tensor([0, 1, 0, 1, 1, 0])
NORMS: list[dict[str, object]] = [
    {"name": "acn", "fit": "task"},
    {"name": "acn", "fit": "likelihood"},
    {"name": "acn", "affine": False},
    {"name": "acn_base"},
    {"name": "cn", "affine": "shared"},
    {"name": "cn", "affine": "own"},
    {"name": "cn", "affine": "none", "eps": 1e-3},
    {"name": "bn"},
    {"name": "in"},
    {"name": "gn"},
    {"name": "none"},
]
BACKBONES = {"small_cnn": {"name": "small_cnn", "width": 8}, "wide_resnet": {"name": "wide_resnet", "depth": 10}}


def trained(model: nn.Module, side: int = 32) -> nn.Module:
    """Let the contexts come apart, and gamma and beta leave one and zero."""
    torch.manual_seed(0)
    model.train()
    for scale in (1.0, 2.0):
        x = torch.randn(6, 3, side, side) * (scale + CONTEXT[:, None, None, None])
        model(x, CONTEXT)
    for layer in model.modules():
        if isinstance(layer, ContextNorm | nn.modules.batchnorm._BatchNorm) and layer.weight is not None:
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
    return model.eval()


def check(model: nn.Module, side: int = 32) -> fx.GraphModule:
    """Hold the folded network to the model in every context; return the last."""
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(4, 3, side, side)
    for context in range(2):
        net = fold_context(model, context)
        expected = model.eval()(x, torch.full((4,), context))
        torch.testing.assert_close(net(x), expected, atol=1e-5, rtol=1e-5)
    homes = {type(module).__module__.split(".")[0] for module in net.modules()}
    assert homes == {"torch"}
    assert "dacn" not in net.code
    assert not any(module.training for module in net.modules() if type(module) is not nn.Module)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    return net


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: "-".join(map(str, norm.values())))
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_and_norm(backbone: str, norm: dict[str, object]) -> None:
    config = ModelConfig(backbone=BACKBONES[backbone], input_norm="acn", norm=norm)
    net = check(trained(build_model(config, num_classes=5, num_contexts=2)))
    left = sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())
    if norm["name"] in ("acn", "acn_base", "cn", "bn"):
        # At the input there is no layer to fold into. In a wide residual network the norm precedes the convolution:
        # three blocks fold one of two, and the last norm follows a sum.
        assert left == {"small_cnn": 1, "wide_resnet": 1 + 3}[backbone]
    else:
        assert left == 1


@pytest.mark.parametrize("norm", ["acn", "acn_base", "cn"])
def test_converted_resnet_has_no_norm_left(norm: str) -> None:
    net = models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=5)
    net = check(trained(convert_norm(net, norm, 2), 64), 64)
    kinds = {type(module).__name__ for module in net.modules() if type(module) is not nn.Module}
    assert kinds == {"GraphModule", "Conv2d", "ReLU", "MaxPool2d", "AdaptiveAvgPool2d", "Linear"}


def test_norms_of_tokens_go_into_the_linear_layers_after_them() -> None:
    vit = models.VisionTransformer(32, 16, 2, 4, 32, 64, num_classes=5)
    nn.init.normal_(vit.heads.head.weight)
    vit = convert_norm(vit, "acn", 2, where=lambda name, m: isinstance(m, nn.LayerNorm) and "layers" in name)
    net = check(trained(vit))
    # Attention is one module of torch that takes no norm into it: a product and a sum in place of ln_1.
    assert {name for name in net.state_dict() if "ln_" in name and "encoder_layer_0" in name} == {
        "encoder.layers.encoder_layer_0.ln_1.weight",
        "encoder.layers.encoder_layer_0.ln_1.bias",
    }
    convnext = models.ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 1)], num_classes=5)
    net = check(trained(convert_norm(convnext, "cn", 2, where=[nn.LayerNorm]), 64), 64)
    # Left is the norm before the head, behind a mean over positions.
    assert [name for name, module in net.named_modules() if "Norm" in type(module).__name__] == ["classifier.0"]
    assert not any("block.2" in name for name in net.state_dict())


@pytest.mark.parametrize("norm", ["acn", "acn_base", "cn", "bn", "in", "gn", "ln", "none"])
@pytest.mark.parametrize("where", ["first", "every"])
def test_vit(norm: str, where: str) -> None:
    config = ModelConfig(backbone={"name": "vit", "depth": 2, "width": 24, "where": where}, input_norm="acn", norm=norm)
    net = check(trained(build_model(config, num_classes=5, num_contexts=2)))
    left = {name for name in net.state_dict() if "norm" in name or "first" in name}
    assert not any("input_norm" in name for name in left)  # a patch is cut by a convolution that pads nothing
    if norm in ("acn", "acn_base", "cn", "none"):
        # Linear layers follow the norms of the blocks.
        assert all(where == "first" and re.search(r"blocks\.\d\.norm", name) for name in left)
    assert net(torch.rand(2, 3, 48, 24)).shape == (2, 5)  # other sizes than it was traced with


class Layered(nn.Module):
    """A linear layer before a norm over rows, one over tokens, and a norm of each rank."""

    takes_context = True

    def __init__(self) -> None:
        super().__init__()
        self.entry = AdaptiveContextNorm(3, 2)
        self.maps = nn.Conv2d(3, 4, 3)
        self.gate = AdaptiveContextNorm(4, 2)  # reaches the convolution through a sum only
        self.tokens = nn.Linear(4, 4)
        self.over_tokens = ContextBatchNorm(4, 2, affine="own", channels_last=True)
        self.lines = nn.Conv1d(4, 4, 1)
        self.over_lines = AdaptiveContextNorm(4, 2)
        self.rows = nn.Linear(4, 6)
        self.over_rows = AdaptiveContextNorm(6, 2)
        self.last = AdaptiveContextNorm(6, 2)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        x = self.maps(self.entry(x, context))
        x = self.gate(x + x.relu(), context).flatten(2)  # (B, 4, L)
        x = self.over_tokens(self.tokens(x.transpose(1, 2)), context=context).transpose(1, 2)
        x = self.over_lines(self.lines(x).relu(), context=context)
        x = self.over_rows(self.rows(x.mean(2)), context)
        return self.last(x.relu(), context)


def test_norms_of_every_rank() -> None:
    net = check(trained(Layered(), 6), 6)
    kinds = {name: type(module).__name__ for name, module in net.named_children()}
    assert kinds["gate"] == "BatchNorm2d"
    assert "entry" not in kinds  # in the weights of the unpadded convolution after it
    assert kinds["over_lines"] == kinds["last"] == "BatchNorm1d"
    assert not {"over_tokens", "over_rows"} & set(kinds)  # in the weights of the linear layers before them


class Shared(nn.Module):
    """A norm called twice, and a convolution called twice before norms of its own."""

    takes_context = True

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.other = nn.Conv2d(3, 3, 1), AdaptiveContextNorm(3, 2), ContextBatchNorm(3, 2)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.other(self.conv(self.norm(self.norm(self.conv(x), context).relu(), context)), context)


def test_shared_layers_are_left_whole() -> None:
    net = check(trained(Shared(), 4), 4)
    assert [name for name, _ in net.named_children()] == ["conv", "norm", "other"]


def test_convolution_with_a_second_reader_is_left_alone() -> None:
    class Branched(Shared):
        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            x = self.conv(x)
            return x + self.norm(x, context)

    net = check(trained(Branched(), 4), 4)
    assert type(net.norm) is nn.BatchNorm2d


WITHOUT_DACN = """
import sys
from pathlib import Path
import torch
from torch import nn
sys.modules["dacn"] = None  # from here on, importing it fails

for folder in Path().iterdir():
    x, expected = torch.load(folder / "expected.pt", weights_only=True)
    state = torch.load(folder / "state_dict.pt", weights_only=True)
    program = torch.export.load(folder / "program.pt2").module()
    torch.testing.assert_close(program(x), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(program(x[:2]), expected[:2], atol=1e-5, rtol=1e-5)  # another batch
    assert {name: t.shape for name, t in program.state_dict().items()} == {name: t.shape for name, t in state.items()}

class SmallCnn(nn.Module):
    def __init__(self):
        super().__init__()
        channels, layers = [3, 4, 4, 8, 8, 12, 12], []
        for i in range(6):
            if i in (2, 4):
                layers.append(nn.MaxPool2d(2))
            layers.append(nn.Conv2d(channels[i], channels[i + 1], 3, stride=2 if i == 0 else 1, padding=1))
            layers += [nn.Identity(), nn.LeakyReLU(0.1)]
        self.input_norm = nn.BatchNorm2d(3)
        self.backbone = nn.ModuleDict({"layers": nn.Sequential(*layers)})
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        return self.head(self.backbone["layers"](self.input_norm(x)).mean((2, 3)))

net = SmallCnn().eval()
net.load_state_dict(torch.load("small_cnn/state_dict.pt", weights_only=True))
x, expected = torch.load("small_cnn/expected.pt", weights_only=True)
torch.testing.assert_close(net(x), expected, atol=1e-5, rtol=1e-5)
assert not any(name.startswith("dacn.") for name in sys.modules)
"""


@pytest.mark.slow
def test_runs_where_dacn_is_not_installed(tmp_path: Path) -> None:
    def built(**backbone: object) -> nn.Module:
        return build_model(ModelConfig(backbone=backbone), 5, 2)

    networks = {
        "small_cnn": built(name="small_cnn", width=4),
        "vit": built(name="vit", width=24, depth=2, where="every"),
        "converted": convert_norm(models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=5), "acn", 2),
    }
    for name, network in networks.items():
        folder, x = tmp_path / name, torch.rand(3, 3, 64, 64)
        folder.mkdir()
        model = trained(network, 64)
        net = fold_context(model, 1)
        torch.save((x, model(x, torch.ones(3, dtype=torch.int64)).detach()), folder / "expected.pt")
        torch.save(net.state_dict(), folder / "state_dict.pt")
        program = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        torch.export.save(program, folder / "program.pt2")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DACN], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("context", [-1, 2])
def test_context_out_of_range_is_refused(context: int) -> None:
    model = ContextSequential(nn.Conv2d(3, 4, 1), AdaptiveContextNorm(4, 2))
    with pytest.raises(ValueError, match=f"context {context} is outside 0 to 1, those of layer '1'"):
        fold_context(model, context)


class Posterior(ContextNorm):
    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return x * self.posterior(x).sum()


def test_layer_without_a_fixed_map_is_refused() -> None:
    model = ContextSequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU()), ContextSequential(Posterior(4, 2)))
    with pytest.raises(ValueError, match=r"cannot fold '2\.0' \(Posterior\): no fixed affine map belongs to a context"):
        fold_context(model, 0)


def test_context_used_elsewhere_is_refused() -> None:
    class Adds(nn.Module):
        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            return x + context[:, None]

    with pytest.raises(ValueError, match="the context goes elsewhere than to a norm: getitem"):
        fold_context(Adds(), 0)


def test_network_that_cannot_be_traced_is_refused() -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match=r"cannot trace '0' \(Branches\): .*; rewrite control flow"):
        fold_context(nn.Sequential(Branches()), 0)
