"""Networks of timm, with the small ones that timm has for tests."""

import re
from functools import partial
from importlib import util
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.errors import DataError, RecipeError
from dacn.models.build import ModelConfig, build_model, notes_on
from dacn.models.pretrained.timm_net import TimmConfig, timm_net
from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, fold_context

timm = pytest.importorskip("timm")
SLOW = pytest.mark.slow
FIXED = {"dynamic_img_size": False}  # which is what most of timm's transformers have
CONTEXT = torch.tensor([0, 0, 1, 1])
acn = partial(AdaptiveContextNorm, num_contexts=2, fit="likelihood")


def trained(arch: str) -> nn.Module:
    """Return a network with the statistics that training might leave."""
    torch.manual_seed(0)
    net: nn.Module = timm.create_model(arch)
    for layer in net.modules():
        if isinstance(layer, _BatchNorm):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return net.eval()


def pixels(side: int) -> Tensor:
    return torch.randint(0, 256, (4, 3, side, side), generator=torch.Generator().manual_seed(0)).float()


def as_timm_has_it(net: nn.Module, images: Tensor) -> Tensor:
    """What timm makes of pixels: values from 0 to 1, normalized, through the network without its head."""
    mean, std = (torch.tensor(net.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    net.reset_classifier(0)
    with torch.no_grad():
        return net((images / 255 - mean) / std)


@pytest.mark.parametrize(
    "arch", ["test_resnet", "test_vit", *(pytest.param(f"test_{n}", marks=SLOW) for n in ("efficientnet", "convnext"))]
)
def test_weights_from_a_file_give_timm_features(arch: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    torch.save(trained(arch).state_dict(), file)
    backbone = {"name": "timm", "arch": arch, "pretrained": file, "options": FIXED if arch == "test_vit" else {}}
    config = ModelConfig(backbone=backbone, norm="cn")
    model = build_model(config, 3, 2).eval()
    images = pixels(160 if arch == "test_vit" else 64)
    x = (images - 127.5) / 128
    expected = as_timm_has_it(trained(arch), images)
    for context in (None, CONTEXT):
        got = model.features(x, context)
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    kept = arch in ("test_vit", "test_convnext")
    assert any(isinstance(m, ContextBatchNorm) for m in model.modules()) is not kept
    assert bool(notes_on(model)) is kept
    torch.testing.assert_close(fold_context(model, 1)(x), model(x, torch.ones_like(CONTEXT)))


def test_transformer_of_another_size_takes_a_context_norm_where_the_recipe_says() -> None:
    net = timm_net(acn, "test_vit", where=["LayerNorm"], options=FIXED | {"img_size": 96, "drop_path_rate": 0.1})
    assert any(isinstance(m, AdaptiveContextNorm) for m in net.modules())
    assert not any(isinstance(m, nn.LayerNorm) for m in net.modules())
    assert net(torch.rand(4, 3, 96, 96), CONTEXT).shape == (4, net.out_features)
    assert not net.notes


def test_input_scale_is_that_of_the_weights_unless_the_recipe_says() -> None:
    assert timm_net(acn, "test_resnet").scale == (timm.create_model("test_resnet").pretrained_cfg["mean"],) * 2
    own = timm_net(acn, "test_resnet", mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    assert own.scale == ((0.1, 0.2, 0.3), (1, 2, 3))


def test_options_that_the_network_does_not_take() -> None:
    message = re.escape("model.backbone.options: test_resnet does not take {'drop_pth': 1} (")
    with pytest.raises(RecipeError, match=message):
        timm_net(acn, "test_resnet", options={"drop_pth": 1})


def test_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> nn.Module:
        raise OSError("no network\nand more")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(DataError, match=r"weights of resnet50 cannot be had: no network; .* set pretrained: false"):
        timm_net(acn, "resnet50", pretrained=True)


def test_config_knows_the_names_and_the_tags() -> None:
    assert TimmConfig(arch="resnet50.a1_in1k").arch == "resnet50.a1_in1k"
    with pytest.raises(ValidationError, match=r"timm has no network 'resnet5O'; did you mean 'resnet50'\?"):
        TimmConfig(arch="resnet5O")
    with pytest.raises(ValidationError, match=r"timm has no weights 'a1_in2k' of resnet50; did you mean 'a1_in1k'\?"):
        TimmConfig(arch="resnet50.a1_in2k")


def test_without_timm_the_recipe_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = util.find_spec
    monkeypatch.setattr(
        "dacn.models.pretrained.timm_net.find_spec", lambda name: None if name == "timm" else real(name)
    )
    with pytest.raises(ValidationError, match=r"needs timm, not installed here: pip install 'dacn\[timm\]'"):
        TimmConfig(arch="resnet50")
