"""Weights from files: wrapped, prefixed, of other sizes, missing, of another network."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dacn.errors import DataError
from dacn.models.pretrained.take_weights import common_prefix, take_weights
from dacn.models.pretrained.weights_file import read_weights

FILE = Path("w.pt")


def network() -> nn.Module:
    """Two layers that stay and a head that a backbone loses."""
    net = nn.Sequential()
    net.stem, net.norm, net.fc = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 10)
    return net


def without_head(net: nn.Module) -> tuple[nn.Module, set[str]]:
    net.set_submodule("fc", nn.Identity())
    return net, {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.net.", "module._orig_mod.encoder."])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_prefixes_wrappers_and_other_heads_are_nothing_to_tell(prefix: str, key: str | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = network()
    source.fc = nn.Linear(6, 3)  # another number of classes
    state: object = {f"{prefix}{name}": tensor for name, tensor in source.state_dict().items()}
    file = tmp_path / "w.pt"
    torch.save(state if key is None else {"epoch": 7, key: state, "lr": torch.tensor(0.1)}, file)
    net, head = without_head(network())
    assert take_weights(net, read_weights(file), head, file) == []
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name]), name


def test_report_of_what_did_not_fit() -> None:
    net, head = without_head(network())
    fresh = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = network().state_dict()
    del state["norm.running_var"], state["norm.num_batches_tracked"]  # counters are nobody's loss
    state |= {"norm.bias": torch.zeros(5), "neck.weight": torch.zeros(2)}
    lacks, resized, unknown = take_weights(net, state, head, FILE)
    assert lacks == "model.backbone.pretrained: w.pt: lacks norm.running_var, which start at random"
    assert resized.endswith("of another size, so these start at random: norm.bias 5 where the network has 6")
    assert unknown.endswith("w.pt: the network has no place for neck.weight")
    assert torch.equal(net.norm.bias, fresh["norm.bias"])
    assert torch.equal(net.stem.weight, state["stem.weight"])


@pytest.mark.parametrize(
    "weights", [{"conv.weight": torch.zeros(3)}, {"norm.weight": torch.zeros(6), "norm.bias": torch.zeros(6)}]
)
def test_another_networks_weights_are_refused(weights: dict[str, Tensor]) -> None:
    net, head = without_head(network())
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    message = r"w\.pt: gives \d+ % of the network's weights, so it is another network's; it has .*, the network stem\."
    with pytest.raises(DataError, match=message):
        take_weights(net, weights, head, FILE)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_weights_of_half_precision_and_names_that_repeat() -> None:
    net, head = without_head(network())
    take_weights(net, {name: tensor.half() for name, tensor in network().state_dict().items()}, head, FILE)
    assert net.stem.weight.dtype == torch.float32
    names = ["a.layer.weight", "a.layer.layer.weight", "a.weight"]
    assert common_prefix(names, {"layer.weight", "layer.layer.weight", "weight"}) == "a."
    assert common_prefix(["x"], {"weight"}) == ""


class Script(nn.Module):
    """A class that a whole pickled model would need."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Script(), r"holds more than tensors and plain values, .*torch\.save\(model\.state_dict\(\), path\)"),
        ([1, 2], r"holds list, expected a state dict"),
        ({"epoch": 3, "loss": 0.1}, r"holds a mapping of epoch, loss, expected a state dict .* under state_dict, "),
    ],
)
def test_files_without_weights(content: object, message: str, tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save(content, file)
    with pytest.raises(DataError, match=message):
        read_weights(file)


def test_files_that_are_none_or_damaged(tmp_path: Path) -> None:
    file = tmp_path / "resnet50.pt"
    torch.save(network().state_dict(), file)
    with pytest.raises(DataError, match=r"resnet5\.pt: there is no such file; did you mean 'resnet50\.pt'\?"):
        read_weights(tmp_path / "resnet5.pt")
    with pytest.raises(DataError, match=r"nowhere.w\.pt: there is no such file"):
        read_weights(tmp_path / "nowhere" / "w.pt")
    whole = file.read_bytes()
    for damaged in (b"", b"<html>not found</html>", whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"resnet50\.pt: (damaged|holds more than tensors)"):
            read_weights(file)


def test_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    file = tmp_path / "w.safetensors"
    state = network().state_dict()
    safetensors.save_file(state, file)
    assert {name: tensor.tolist() for name, tensor in read_weights(file).items()} == {
        name: tensor.tolist() for name, tensor in state.items()
    }
    file.write_bytes(b"short")
    with pytest.raises(DataError, match="damaged, or no safetensors file"):
        read_weights(file)
    monkeypatch.setattr("dacn.models.pretrained.weights_file.find_spec", lambda name: None)
    with pytest.raises(DataError, match="needs safetensors, not installed here: pip install safetensors"):
        read_weights(file)
