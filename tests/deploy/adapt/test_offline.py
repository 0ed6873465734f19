"""A network adapted to a set of images, as users call it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dacn.data.known.digits import digits
from dacn.deploy.adapt import offline
from dacn.deploy.adapt.context import Context
from dacn.deploy.adapt.methods import OFFLINE
from dacn.deploy.adapt.row import context_layers, copy_row, with_row
from dacn.deploy.loading import load_run
from dacn.deploy.network import Network
from dacn.errors import DacnError
from tests.trained import SMALL, a_run


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return load_run(a_run(tmp_path_factory.mktemp("run") / "cn", SMALL | {"norm": "cn"}), device="cpu")


@pytest.fixture(scope="module")
def images() -> Tensor:
    return digits(16).target.images[:60]


@pytest.mark.parametrize("method", OFFLINE)
def test_every_method_leaves_a_network_of_the_new_context(network: Network, images: Tensor, method: str) -> None:
    known = {context: network.predict(images, context) for context in network.contexts}
    adapted = network.adapt(images, method=method, name="b", passes=1)
    assert adapted.contexts == (("b",) if method == "shot" else ("source", "target", "b"))
    for context in known if method != "shot" else ():
        assert torch.equal(adapted.predict(images, context), known[context])
    for context, before in known.items():  # the one that was given stays as it was
        assert torch.equal(network.predict(images, context), before)
    assert torch.equal(adapted.predict(images), adapted.predict(images, "b"))
    assert not torch.equal(adapted.predict(images), known["target"])
    facts = adapted.adapted
    assert (facts["method"], facts["name"], facts["images"]) == (method, "b", 60)
    assert facts["start"] == min(facts["distances"], key=facts["distances"].get)
    assert facts["distance_after"] < facts["distances"][facts["start"]]


def test_an_adapted_network_is_adapted_again(network: Network, images: Tensor) -> None:
    first = network.adapt(images, name="b")
    again = first.adapt(255 - images, name="c")
    assert again.contexts == ("source", "target", "b", "c")
    assert torch.equal(again.predict(images, "b"), first.predict(images, "b"))
    assert set(again.adapted["distances"]) == {"source", "target", "b"}
    assert first.adapt(images, name="d").adapted["start"] == "b"  # a domain that comes back


def test_images_of_a_known_context_start_there_and_hardly_move(network: Network) -> None:
    adapted = network.adapt(digits(16).source.images[:32], name="b")
    assert adapted.adapted["start"] == "source"


def test_more_images_than_pass_at_a_time_end_near_where_one_pass_of_all_does(
    network: Network, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = network.adapt(images, name="b", strength=4.0)
    monkeypatch.setattr(offline, "CHUNK", 16)
    parts = network.adapt(images, name="b", strength=4.0)
    assert float((whole.predict(images) - parts.predict(images)).abs().max()) < 0.05


def test_a_deep_network_does_not_fall_apart(tmp_path: Path, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images in several parts, its norm layers, each behind many others, get about the rows that one part gives."""
    pytest.importorskip("timm")
    deep = {"backbone": {"name": "timm", "arch": "test_efficientnet"}, "norm": "cn"}
    network = load_run(a_run(tmp_path / "deep", deep), device="cpu")
    strange = 255 - images.roll(1, dims=1) // 2
    whole = network.adapt(strange, name="b", strength=1.0)
    monkeypatch.setattr(offline, "CHUNK", 16)
    parts = network.adapt(strange, name="b", strength=1.0)
    for one, other in zip(context_layers(whole.model).values(), context_layers(parts.model).values(), strict=True):
        gap = (one.running_mean[2] - other.running_mean[2]).abs() / (one.running_var[2] + one.eps).sqrt()
        assert float(gap.mean()) < 0.1


def test_the_order_of_images_does_not_count(network: Network, images: Tensor) -> None:
    one, other = (network.adapt(x, name="b") for x in (images, images.flip(0)))
    torch.testing.assert_close(one.predict(images), other.predict(images), atol=1e-4, rtol=0)


def test_the_seed_decides(network: Network, images: Tensor) -> None:
    one, same, other = (network.adapt(images, method="tent", passes=1, batch_size=20, seed=s) for s in (0, 0, 1))
    assert torch.equal(one.predict(images), same.predict(images))
    assert not torch.equal(one.predict(images), other.predict(images))


def test_a_collapse_goes_back(network: Network, images: Tensor) -> None:
    adapted = network.adapt(images, method="tent", name="b", passes=2, lr=30.0)
    assert "went back" in adapted.adapted["note"]
    assert "classes in use" in adapted.adapted["note"]
    assert torch.equal(adapted.predict(images), network.predict(images, adapted.adapted["start"]))


def test_single_images_are_adapted_to(network: Network, images: Tensor) -> None:
    adapted = network.adapt(images[:1], name="b")
    assert adapted.adapted["share"] <= 1 / 17
    assert adapted.predict(images).isfinite().all()


def test_by_a_row_that_starts_elsewhere(network: Network, images: Tensor) -> None:
    wider = with_row(network, "b")
    copy_row(wider.model, 1, 2)
    assert torch.equal(wider.predict(images, "b"), network.predict(images, "target"))
    Context(wider.model, 2).step((images.float() - 127.5) / 128)
    assert not torch.equal(wider.predict(images, "b"), network.predict(images, "target"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "tnet"}, "--method tnet: no such method; did you mean 'tent'"),
        ({"method": "lame"}, "--method lame: corrects the predictions of a batch and leaves no network behind"),
        ({"name": "source"}, "--name source: means something else to --context"),
        ({"name": "unknown"}, "--name unknown: means something else"),
        ({"name": " "}, "--name ' ': expected a name"),
        ({"method": "tent", "speed": 3}, "--method tent: .*'speed'"),
    ],
)
def test_mistakes(network: Network, images: Tensor, options: dict[str, object], message: str) -> None:
    with pytest.raises(DacnError, match=message):
        network.adapt(images, **options)  # type: ignore[arg-type]


def test_a_name_that_is_taken(network: Network, images: Tensor) -> None:
    adapted = network.adapt(images[:2], name="b")
    with pytest.raises(DacnError, match=r"--name b: .* has a context of that name already"):
        adapted.adapt(images[:2], name="b")


def test_group_norm(tmp_path: Path, images: Tensor) -> None:
    network = load_run(a_run(tmp_path, SMALL | {"input_norm": "none", "norm": "gn"}), device="cpu")
    with pytest.raises(DacnError, match=r"--method context: the network has no norm layer with statistics.*sar"):
        network.adapt(images)
    adapted = network.adapt(images, method="tent", passes=1)
    assert adapted.contexts == ("adapted",)
    assert not torch.equal(adapted.predict(images), network.predict(images))
    assert adapted.adapted["distances"] == {}


def test_the_context_that_is_called_target_stays_so(network: Network, images: Tensor) -> None:
    adapted = network.adapt(images, name="b")
    assert adapted.context("target") == "target"
    assert adapted.context(None) == "b"
    assert replace(network, adapted={}).context(None) == "target"
