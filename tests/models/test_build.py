import pytest
import torch
from pydantic import ValidationError
from torch import nn

from dacn.errors import RecipeError
from dacn.models.build import BACKBONES, ModelConfig, build_model, require_image_size
from dacn.models.norms import AcnConfig, CnConfig
from dacn.models.pretrained.backbone import PretrainedBackbone
from dacn.models.pretrained.torchvision_net import TorchvisionConfig
from dacn.models.small_cnn import SmallCnn
from dacn.models.vit import Vit
from dacn.models.wide_resnet import WideResNet
from dacn.nn import AdaptiveContextNorm, ContextBatchNorm


def test_default_is_acn_by_task_at_the_input_and_by_likelihood_inside() -> None:
    model = build_model(ModelConfig(), num_classes=10, num_contexts=2)
    assert model.input_norm.fit == "task"
    inside = [m for m in model.backbone.modules() if isinstance(m, AdaptiveContextNorm)]
    assert [layer.fit for layer in inside] == ["likelihood"] * 6
    assert model.head.out_features == 10


def test_one_word_stands_for_a_mapping() -> None:
    assert ModelConfig(norm="cn", input_norm="none", backbone="wide_resnet") == ModelConfig(
        norm={"name": "cn"}, input_norm={"name": "none"}, backbone={"name": "wide_resnet"}
    )
    assert ModelConfig(norm="cn").norm == CnConfig()


def test_fit_that_is_named_is_kept() -> None:
    config = ModelConfig(input_norm=AcnConfig(fit="likelihood"), norm={"name": "acn", "fit": "task"})
    assert (config.input_norm.fit, config.norm.fit) == ("likelihood", "task")


def test_resolved_config_builds_the_same_again() -> None:
    config = ModelConfig(norm="acn", backbone={"name": "wide_resnet", "depth": 10})
    assert ModelConfig.model_validate(config.model_dump()) == config
    assert config.model_dump()["norm"]["fit"] == "likelihood"


@pytest.mark.parametrize(("name", "backbone"), [("small_cnn", SmallCnn), ("vit", Vit), ("wide_resnet", WideResNet)])
def test_backbone_and_its_options(name: str, backbone: type[nn.Module]) -> None:
    model = build_model(ModelConfig(backbone={"name": name, "width": 9}, norm="cn"), 3, num_contexts=4)
    assert type(model.backbone) is backbone
    assert model.backbone.out_features == {"small_cnn": 27, "vit": 9, "wide_resnet": 576}[name]
    norms = [m for m in model.modules() if isinstance(m, ContextBatchNorm)]
    assert norms
    assert {layer.num_contexts for layer in norms} == {4}
    assert BACKBONES[name][0] is backbone


def test_torchvision_network_takes_the_norm_of_the_recipe() -> None:
    model = build_model(ModelConfig(backbone={"name": "torchvision", "arch": "resnet18"}, norm="cn"), 3, num_contexts=4)
    assert type(model.backbone) is PretrainedBackbone
    norms = [m for m in model.backbone.modules() if isinstance(m, ContextBatchNorm)]
    assert [layer.num_contexts for layer in norms] == [4] * 20
    assert model(torch.rand(4, 3, 32, 32), torch.arange(4)).shape == (4, 3)
    assert ModelConfig(backbone="torchvision").backbone == TorchvisionConfig(arch="resnet18")


def test_same_seed_same_network() -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(3)
        networks.append(build_model(ModelConfig(), 10, 2).state_dict())
    assert all(torch.equal(networks[0][key], networks[1][key]) for key in networks[0])


@pytest.mark.parametrize("options", [{"norm": "batch"}, {"backbone": "resnet"}, {"normm": "cn"}, {"norm": None}])
def test_bad_model_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ModelConfig(**options)


def test_image_size_is_tried_without_a_trace() -> None:
    model = build_model(ModelConfig(norm="cn"), 5, 2).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    require_image_size(model, 32, 32)
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_image_size_that_a_backbone_cannot_take() -> None:
    net = build_model(ModelConfig(backbone={"name": "torchvision", "arch": "squeezenet1_1"}), 3, 2)
    message = r"data\.image_size: the backbone cannot take images of 8x8 pixels \(.*too small.*\); set another"
    with pytest.raises(RecipeError, match=message):
        require_image_size(net, 8, 8)


def test_too_little_memory_is_not_about_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(ModelConfig(), 5, 2)

    def exhausted(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: not enough memory")

    monkeypatch.setattr(model, "forward", exhausted)
    with pytest.raises(RuntimeError, match="not enough memory"):
        require_image_size(model, 32, 32)
