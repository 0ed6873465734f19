import copy
import re
from functools import partial

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torchvision import models

from dacn.errors import DataError, RecipeError
from dacn.models.build import require_image_size
from dacn.models.classifier import Classifier
from dacn.models.pretrained.torchvision_net import TorchvisionConfig, torchvision_net
from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, fold_context

CONTEXT = torch.tensor([0, 0, 1, 1])
acn = partial(AdaptiveContextNorm, num_contexts=2, fit="likelihood")


@pytest.mark.parametrize(
    ("arch", "out_features", "norms"),
    [("resnet18", 512, 20), ("mobilenet_v3_small", 1024, 34), ("squeezenet1_1", 512, 0)],
)
def test_features_and_norms(arch: str, out_features: int, norms: int) -> None:
    net = torchvision_net(acn, arch)
    assert net.out_features == out_features
    assert net(torch.rand(4, 3, 64, 64), CONTEXT).shape == (4, out_features)
    layers = [m for m in net.modules() if isinstance(m, AdaptiveContextNorm)]
    assert len(layers) == norms
    assert all(layer.initialized.all() for layer in layers)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())


@pytest.mark.slow
@pytest.mark.parametrize("arch", [name for name in models.list_models(module=models) if not name.startswith("regnet_")])
def test_every_classification_network(arch: str) -> None:
    side = 299 if arch == "inception_v3" else 224
    with torch.device("meta"):  # shapes without numbers, which building a RegNet does not know
        # Every norm layer is replaced, of whichever kind, where there are any.
        where = [] if arch.startswith(("alexnet", "squeezenet", "vgg")) and "bn" not in arch else ["*"]
        net = torchvision_net(partial(ContextBatchNorm, num_contexts=2), arch, where=where).eval()
        assert net(torch.rand(2, 3, side, side), torch.tensor([0, 1])).shape == (2, net.out_features)


def test_fresh_network_leaves_its_contexts_to_their_first_batch() -> None:
    net = torchvision_net(acn)
    assert not any(m.initialized.any() for m in net.modules() if isinstance(m, AdaptiveContextNorm))


def test_pretrained_statistics_start_every_context(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    original = models.resnet18()
    for layer in original.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    asked = {}

    def get_model(name: str, **options: object) -> nn.Module:
        asked.update(name=name, **options)
        return copy.deepcopy(original)

    monkeypatch.setattr(models, "get_model", get_model)
    x = torch.rand(4, 3, 64, 64)
    body = nn.Sequential(*list(original.eval().children())[:-1], nn.Flatten())
    for norm in (acn, partial(ContextBatchNorm, num_contexts=2), nn.BatchNorm2d):
        net = torchvision_net(norm, "resnet18", pretrained=True).eval()
        assert asked == {"name": "resnet18", "weights": "DEFAULT"}
        torch.testing.assert_close(net(x, CONTEXT), body(x), atol=1e-5, rtol=1e-5)


def test_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **options: object) -> nn.Module:
        raise OSError("no network")

    monkeypatch.setattr(models, "get_model", offline)
    with pytest.raises(DataError, match=r"weights of resnet18 cannot be had: no network; .* or set pretrained: false"):
        torchvision_net(acn, pretrained=True)


def test_classifier_trains_copies_and_folds() -> None:
    torch.manual_seed(0)
    # Double precision: two rows of 2x2 maps leave channels of next to no variance, which magnify every rounding.
    model = Classifier(nn.Identity(), torchvision_net(acn, "mobilenet_v3_small"), num_classes=5).double()
    x = torch.rand(4, 3, 64, 64, dtype=torch.float64)
    model(x, CONTEXT).pow(2).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    twin = copy.deepcopy(model)
    twin.load_state_dict(model.state_dict())
    expected = model.eval()(x, torch.ones_like(CONTEXT))
    assert torch.equal(twin.eval()(x, torch.ones_like(CONTEXT)), expected)
    torch.testing.assert_close(fold_context(model, 1)(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("arch", "where", "replaced"),
    [
        ("convnext_tiny", ["LayerNorm"], 18),
        ("convnext_tiny", ["LayerNorm", "LayerNorm2d"], 23),
        ("convnext_tiny", ["features.1.*"], 3),
        ("convnext_tiny", [], 0),
        ("convnext_tiny", None, 0),
        ("vit_b_16", None, 0),
        ("resnet18", ["layer1.*", "bn1"], 5),
        ("resnet18", [], 0),
    ],
)
def test_where_chooses_the_norm_layers(arch: str, where: list[str] | None, replaced: int) -> None:
    with torch.device("meta"):
        net = torchvision_net(acn, arch, where=where).eval()
        assert sum(isinstance(m, AdaptiveContextNorm) for m in net.modules()) == replaced
        side = 224 if arch.startswith("vit") else 32
        assert net(torch.rand(4, 3, side, side), CONTEXT).shape == (4, net.out_features)
    told = where is None and not replaced
    assert bool(net.notes) is told
    if told:
        assert re.search(rf"model\.norm replaces nothing in {arch}, .* \(LayerNorm.*where: \[LayerNorm", net.notes[0])


@pytest.mark.parametrize(
    ("arch", "where", "message"),
    [
        (
            "convnext_tiny",
            ["LayerNrm"],
            r"convnext_tiny has no norm layer 'LayerNrm'; did you mean 'LayerNorm'\? \(it has LayerNorm2d \(5\), ",
        ),
        ("resnet18", ["LayerNorm"], r"resnet18 has no norm layer 'LayerNorm' \(it has BatchNorm2d \(20\)\)"),
        ("alexnet", ["BatchNorm2d"], r"alexnet has no norm layer 'BatchNorm2d' \(it has none\)"),
    ],
)
def test_where_that_does_not_hold(arch: str, where: list[str], message: str) -> None:
    with torch.device("meta"), pytest.raises(RecipeError, match=message):
        torchvision_net(acn, arch, where=where)


def test_vision_transformer_tells_the_size_it_takes() -> None:
    model = Classifier(nn.Identity(), torchvision_net(acn, "vit_b_32", where=["LayerNorm"]), num_classes=5)
    with pytest.raises(RecipeError, match=r"images of 32x32 pixels \(Wrong image height! Expected 224 but got another"):
        require_image_size(model, 32, 32)


def test_config_knows_the_names() -> None:
    assert TorchvisionConfig(arch="resnet50", where=["bn1"]).where == ("bn1",)
    message = re.escape("torchvision has no classification network 'resnet80'; did you mean 'resnet")
    with pytest.raises(ValidationError, match=message):
        TorchvisionConfig(arch="resnet80")
    with pytest.raises(ValidationError, match="no classification network 'fcn_resnet50'"):
        TorchvisionConfig(arch="fcn_resnet50")
