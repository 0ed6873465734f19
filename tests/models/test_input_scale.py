import torch

from dacn.models.build import ModelConfig, build_model
from dacn.models.input_scale import InputScale

RESNET = ModelConfig.model_validate({"backbone": {"name": "torchvision", "arch": "resnet18"}, "norm": "bn"})


def test_images_are_scaled_as_the_weights_expect() -> None:
    pixels = torch.randint(0, 256, (2, 3, 4, 4))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    expected = torch.stack([(pixels[:, c] / 255 - mean[c]) / std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(InputScale(mean, std)((pixels - 127.5) / 128), expected)


def test_a_network_saved_before_there_was_a_scale_sees_images_as_it_did() -> None:
    net = build_model(RESNET, 5, 2).eval()
    saved = {name: tensor for name, tensor in net.state_dict().items() if not name.startswith("input_scale.")}
    x, context = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    with torch.no_grad():
        before = net.head(net.backbone(x, context))
        assert not torch.allclose(net(x, context), before, atol=1e-3)
        net.load_state_dict(saved)
        torch.testing.assert_close(net(x, context), before)
