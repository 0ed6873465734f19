"""A network that was trained elsewhere, from a file of weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torchvision import models

from dacn.cli import main
from dacn.deploy.loading import load_run
from tests.deploy.adapt.networks import noise_images


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("elsewhere")
    torch.manual_seed(0)
    net = models.resnet18(num_classes=3)
    net.train()(torch.rand(8, 3, 32, 32))  # so that its statistics are not those of a fresh one
    torch.save({"state_dict": net.state_dict()}, place / "resnet.pt")
    np.savez(place / "b.npz", images=noise_images(12))
    (place / "names.txt").write_text("cat\ndog\nfox\n")
    return place


def call(place: Path, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["adapt", "--model", str(place / "resnet.pt"), str(place / "b.npz"), *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_the_frozen_network_is_the_files(place: Path) -> None:
    out = str(place / "out")
    call(place, "--arch", "resnet18", "--classes", str(place / "names.txt"), "--image-size", "32", "--out", out)
    adapted = load_run(out, device="cpu")
    assert adapted.contexts == ("trained", "b")
    assert adapted.classes == ("cat", "dog", "fox")
    assert (adapted.image_size, adapted.resize_size) == (32, 37)
    net = models.resnet18(num_classes=3)
    net.load_state_dict(torch.load(place / "resnet.pt", weights_only=True)["state_dict"])
    images = torch.from_numpy(noise_images(12)).permute(0, 3, 1, 2)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        scores = net.eval()((images / 255 - mean[:, None, None]) / std[:, None, None])
    torch.testing.assert_close(adapted.predict(images, "trained"), scores.softmax(1), atol=1e-4, rtol=0)
    assert not torch.equal(adapted.predict(images), adapted.predict(images, "trained"))
    assert (place / "out" / "checkpoints" / "frozen.pt").is_file()


def test_mistakes(place: Path) -> None:
    assert "--model and --arch go together" in call(place, code=2)
    assert "expected RUN IMAGES" in call(place, "more", "--arch", "resnet18", code=2)
    assert "tells 3 classes apart, and 4 are named" in call(place, "--arch", "resnet18", "--num-classes", "4", code=2)
    assert "another network's" in call(place, "--arch", "vgg11", code=2)
    assert "did you mean" in call(place, "--arch", "resnet19x", code=2)
