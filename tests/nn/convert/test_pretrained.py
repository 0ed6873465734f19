"""A network that knows ImageNet, converted: the first steps on two domains of PACS do not undo what it knows."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from dacn.nn import ContextNorm, convert_norm

DATA = Path(__file__).parents[3].parent / "shared" / "data"
WEIGHTS, PACS = DATA / "weights" / "tf_efficientnet_lite0.pt", DATA / "pacs160"
SIDE = 96


def images(domain: str, first: int, count: int) -> tuple[Tensor, Tensor]:
    """Return ``count`` images of each class from the ``first`` on, as the network takes them, and their labels."""
    folders = sorted(folder for folder in (PACS / domain).iterdir() if folder.is_dir())
    arrays, labels = [], []
    for label, folder in enumerate(folders):
        for file in sorted(folder.iterdir())[first : first + count]:
            arrays.append(np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
            labels.append(label)
    x = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x, torch.tensor(labels)


@torch.no_grad()
def accuracy(net: nn.Module, x: Tensor, label: Tensor, *context: int) -> float:
    return float((net.eval()(x, *context).argmax(1) == label).float().mean())


def five_steps(net: nn.Module, x: Tensor, label: Tensor, target_x: Tensor | None) -> None:
    """Train at a tenth of the recipes' rate, 24 images of each domain a step."""
    optimizer = torch.optim.SGD(net.train().parameters(), 0.003, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        rows = torch.randperm(len(x), generator=generator)[:24]
        if target_x is None:
            logits = net(x[rows])
        else:
            others = torch.randperm(len(target_x), generator=generator)[:24]
            logits = net(torch.cat([x[rows], target_x[others]]), torch.tensor([0] * 24 + [1] * 24))
        loss = F.cross_entropy(logits[:24], label[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.slow
@pytest.mark.skipif(not (WEIGHTS.is_file() and PACS.is_dir()), reason=f"{WEIGHTS} and {PACS} are not both there")
def test_five_steps_at_a_tenth_of_the_rate_keep_source_accuracy() -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("tf_efficientnet_lite0")
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    model.reset_classifier(0)
    (x, label), (test_x, test_label) = images("photo", 0, 20), images("photo", 60, 40)
    target_x, _ = images("sketch", 0, 12)
    with torch.no_grad():
        features = model.eval()(x)
    head = LogisticRegression(max_iter=200).fit(features.numpy(), label.numpy())
    model.reset_classifier(7)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(head.coef_))
        model.classifier.bias.copy_(torch.from_numpy(head.intercept_))

    before = accuracy(model, test_x, test_label)
    assert before > 0.85
    net = convert_norm(model, "acn", 2)
    assert accuracy(net, test_x, test_label, 0) == accuracy(net, test_x, test_label, 1) == before
    five_steps(net, x, label, target_x)
    assert all(layer.initialized.all() for layer in net.modules() if isinstance(layer, ContextNorm))
    # The statistics of 24 images cost a BatchNorm some points, too, in five steps of momentum 0.1.
    five_steps(model, x, label, None)
    after, of_batch_norm = accuracy(net, test_x, test_label, 0), accuracy(model, test_x, test_label)
    assert after > before - 0.05
    assert after > of_batch_norm - 0.02
