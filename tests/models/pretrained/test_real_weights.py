"""ImageNet weights in a recipe's network: five steps at the backbone's rate do not undo what they know."""

import copy

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from dacn.models.build import ModelConfig, build_model, notes_on
from dacn.models.classifier import Classifier
from dacn.trainer.optimizer import SgdConfig, build_optimizer
from tests.nn.convert.test_pretrained import PACS, WEIGHTS, images

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (WEIGHTS.is_file() and PACS.is_dir()), reason=f"{WEIGHTS} and {PACS} are not both there"),
]


def as_loaded(x: Tensor) -> Tensor:
    """Return images on the loader's scale, of those from -1 to 1."""
    return x * (127.5 / 128)


@torch.no_grad()
def accuracy(model: Classifier, x: Tensor, label: Tensor, context: int) -> float:
    scores = model.eval()(x, torch.full((len(x),), context))
    return float((scores.argmax(1) == label).float().mean())


@pytest.mark.parametrize("norm", ["cn", "acn", "bn"])
def test_five_steps_at_the_backbones_rate_keep_source_accuracy(norm: str) -> None:
    pytest.importorskip("timm")
    torch.manual_seed(0)
    backbone = {"name": "timm", "arch": "tf_efficientnet_lite0", "pretrained": WEIGHTS}
    model = build_model(ModelConfig(backbone=backbone, norm=norm), 7, 2)
    assert notes_on(model) == ()
    (x, label), (test_x, test_label) = images("photo", 0, 20), images("photo", 60, 40)
    x, test_x, target = as_loaded(x), as_loaded(test_x), as_loaded(images("sketch", 0, 12)[0])
    with torch.no_grad():
        features = model.eval().features(x, torch.zeros(len(x), dtype=torch.int64))
    fitted = LogisticRegression(max_iter=200).fit(features.numpy(), label.numpy())
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(fitted.coef_))
        model.head.bias.copy_(torch.from_numpy(fitted.intercept_))
    before = accuracy(model, test_x, test_label, 0)
    assert before > 0.85
    assert accuracy(model, test_x, test_label, 1) == before
    start = copy.deepcopy(model.backbone.state_dict())

    optimizer = build_optimizer(SgdConfig(lr=0.01, backbone_lr=0.1, nesterov=True), model.train())
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        rows, others = (torch.randperm(len(each), generator=generator)[:24] for each in (x, target))
        scores = model(torch.cat([x[rows], target[others]]), torch.tensor([0] * 24 + [1] * 24))
        F.cross_entropy(scores[:24], label[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert any(not torch.equal(start[name], tensor) for name, tensor in model.backbone.state_dict().items())
    # With shared statistics half of the photographs' batch is sketches, which costs what contexts save.
    assert accuracy(model, test_x, test_label, 0) > before - (0.15 if norm == "bn" else 0.05)
