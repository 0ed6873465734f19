"""Streams: order of prediction and learning, several domains, a collapse, the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from dacn.cli import main
from dacn.data.known.digits import digits
from dacn.data.views.augment import to_input
from dacn.deploy.adapt import online
from dacn.deploy.adapt.context import Context
from dacn.deploy.adapt.domains import Domains, image_distances
from dacn.deploy.adapt.online import Stream
from dacn.deploy.adapt.row import context_layers, copy_row, with_row
from dacn.deploy.loading import load_run
from dacn.deploy.network import Network
from dacn.errors import DacnError
from tests.deploy.adapt.networks import NEW
from tests.deploy.adapt.networks import images as noise
from tests.deploy.adapt.networks import network as tiny
from tests.trained import SMALL, a_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_run(tmp_path_factory.mktemp("run") / "cn", SMALL | {"norm": "cn"})


@pytest.fixture(scope="module")
def network(run: Path) -> Network:
    return load_run(run, device="cpu")


@pytest.fixture(scope="module")
def images() -> Tensor:
    return digits(16).target.images[:64]


def test_context_takes_a_batch_in_and_predicts_it(network: Network, images: Tensor) -> None:
    stream = Stream(network, context="target")
    got = torch.cat([stream.predict(part) for part in torch.split(images, 16)])
    wider = with_row(network, "new")
    copy_row(wider.model, 1, 2)
    context = Context(wider.model, 2, depth=2 / 3)
    assert len(context.layers) == 5  # of seven, that of the input among them
    expected = torch.cat([context.step(to_input(part)).softmax(1) for part in torch.split(images, 16)])
    assert torch.equal(got, expected)
    assert stream.summary() == {"method": "context", "start": "target", "images": 64, "restarts": 0}


@pytest.mark.parametrize("method", ["tent", "eata", "sar", "lame"])
def test_other_methods_predict_before_they_learn(network: Network, images: Tensor, method: str) -> None:
    one, other = (
        Stream(network, method, lr=0.5) if method != "lame" else Stream(network, method),
        Stream(network, method),
    )
    first = one.predict(images[:16])
    assert torch.equal(first, other.predict(images[:16]))  # whatever the rate, nothing had been learned
    later = one.predict(images[16:32]), other.predict(images[16:32])
    assert torch.equal(*later) == (method in ("lame", "eata", "sar"))  # unsure as it is, no row of it is reliable


def test_the_network_that_was_given_stays(network: Network, images: Tensor) -> None:
    before = network.predict(images)
    for method in ("context", "tent"):
        Stream(network, method).predict(images)
    assert torch.equal(network.predict(images), before)


def test_a_batch_of_one(network: Network, images: Tensor) -> None:
    stream = Stream(network)
    for image in images[:5]:
        assert stream.predict(image[None]).isfinite().all()
    assert stream.predict(images[:0]).shape == (0, 10)


def test_a_collapse_starts_anew(network: Network, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "WINDOW", 60)
    stream = Stream(network, "tent", lr=30.0)
    for _ in range(3):
        for part in torch.split(images, 16):
            stream.predict(part)
    assert stream.notes
    assert "the method went back to where it started: " in stream.notes[0]
    assert stream.summary()["restarts"] == len(stream.notes)


def test_no_more_than_a_window_is_held(network: Network, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "WINDOW", 40)
    stream = Stream(network)
    held = []
    for _ in range(3):
        for part in torch.split(images, 16):
            stream.predict(part)
            held.append(sum(len(recent) for recent, _ in stream._recent))
    assert max(held) <= 40 + 15


def two_domains() -> tuple[Domains, Tensor, Tensor]:
    model = tiny()
    for layer in context_layers(model).values():  # as wide as what reaches them, so that distances mean something
        layer.running_mean.zero_()
    return Domains(model, 1, count=2, groups=1), noise(24), 3 * noise(24, seed=3) + 4


def test_image_distances_are_means_over_layers() -> None:
    model, x = tiny(), noise(3)
    whole = image_distances(model, x, NEW)
    alone = torch.cat([image_distances(model, x[i : i + 1], NEW) for i in range(3)])
    torch.testing.assert_close(whole, alone)


def test_two_domains_have_contexts_of_their_own_and_find_them_again() -> None:
    domains, one, other = two_domains()
    domains.step(one)
    assert domains.facts["opened"] == 1
    domains.step(other)
    assert domains.facts["opened"] == 2
    mixed = torch.stack([one[:8], other[:8]], dim=1).flatten(0, 1)  # interleaved
    assert domains.assign(mixed).tolist() == [0, 1] * 8
    assert domains.assign(one).tolist() == [0] * 24  # it comes back
    assert domains.facts["opened"] == 2
    domains.reset()
    assert domains.facts["opened"] == 1


def test_mistakes(network: Network) -> None:
    with pytest.raises(DacnError, match="--method shot: passes several times"):
        Stream(network, "shot")
    with pytest.raises(DacnError, match="--domains 2: expected 1, or more with --method context alone"):
        Stream(network, "tent", domains=2)


def test_the_command(run: Path, images: Tensor, tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", images=images.permute(0, 2, 3, 1).numpy())
    arguments = ["predict", str(run), str(tmp_path / "new.npz"), "--adapt", "online", "--batch-size", "20", "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    stream = Stream(load_run(run, device="cpu"))
    expected = torch.cat([stream.predict(part) for part in torch.split(images, 20)])
    assert told["adapted"] == stream.summary()
    assert [row["confidence"] for row in told["predictions"]] == pytest.approx(expected.amax(1).tolist(), abs=1e-5)
    printed = CliRunner().invoke(main, [*arguments[:-1], "--method", "tent", "--out", str(tmp_path / "out.csv")])
    assert "64 images as a stream, adapted by tent from the context" in printed.output
