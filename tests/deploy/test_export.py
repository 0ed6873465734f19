"""Exported files do what the network does, on real images, and need no dacn."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dacn
from dacn.data.known.digits import digits
from dacn.deploy import export
from dacn.deploy.export import export_run
from dacn.deploy.loading import load_run
from dacn.errors import DacnError, RunError
from tests import made_up
from tests.trained import SMALL, a_run

onnx = pytest.importorskip("onnx", reason="needs pip install 'dacn[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs pip install 'dacn[export]'")
pytest.importorskip("onnxscript", reason="needs pip install 'dacn[export]'")

WRN = {"backbone": {"name": "wide_resnet", "depth": 10, "width": 1}}
NETWORKS: dict[str, dict[str, Any]] = {
    "acn": SMALL | {"norm": "acn"},
    "wide resnet, cn, acn_base at the input": WRN | {"norm": "cn", "input_norm": "acn_base"},
}
MORE: dict[str, dict[str, Any]] = {
    "bn": SMALL | {"norm": "bn", "input_norm": "none"},
    "cn": SMALL | {"norm": "cn"},
    "gn": SMALL | {"norm": "gn"},
    "mn": SMALL | {"norm": "mn", "input_norm": "none"},
    "wide resnet, acn": WRN | {"norm": "acn"},
    "wide resnet, bn": WRN | {"norm": "bn"},
    "resnet18, acn": {"backbone": {"name": "torchvision", "arch": "resnet18"}, "norm": "acn"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_run(tmp_path_factory.mktemp("run") / "tiny")


def real_images(count: int = 40) -> torch.Tensor:
    test = digits(16).target_test
    assert test is not None
    return test.images[:count]


def assert_same_as_the_network(run: Path, path: Path, context: str) -> None:
    images = real_images()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"images": images.numpy()})
    expected = load_run(run, device="cpu").predict(images, context)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    # Scores too, up to a constant of each image; in a deep network those of 10 and more have no more digits to share.
    scores = np.log(probabilities) - np.log(probabilities).mean(axis=1, keepdims=True)
    log = expected.log().numpy()
    np.testing.assert_allclose(scores, log - log.mean(axis=1, keepdims=True), atol=1e-4, rtol=2e-5)
    for size in (1, 3):  # any number of images
        (some,) = session.run(None, {"images": images[:size].numpy()})
        np.testing.assert_allclose(some, probabilities[:size], atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_equals_the_network(tmp_path: Path, name: str) -> None:
    run = a_run(tmp_path / "run", NETWORKS[name])
    result = export_run(run, out=tmp_path / "net.onnx", context="target")
    assert_same_as_the_network(run, tmp_path / "net.onnx", "target")
    assert result["check"]["largest_difference"] <= 1e-5
    assert (result["check"]["images"], result["check"]["of"]) == (64, "images of digits_photo")


@pytest.mark.slow
@pytest.mark.parametrize("context", ["source", "target", "unknown"])
@pytest.mark.parametrize("name", NETWORKS | MORE)
def test_onnx_equals_every_network(tmp_path: Path, name: str, context: str, capfd: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path / "run", (NETWORKS | MORE)[name])
    export_run(run, out=tmp_path / "net.onnx", context=context)
    assert_same_as_the_network(run, tmp_path / "net.onnx", context)
    assert capfd.readouterr().err == ""  # the runtime found all shapes to be what the file says


def test_an_unknown_context_takes_its_posterior_along(run: Path, tmp_path: Path) -> None:
    dacn.export_run(run, format="exported", out=tmp_path / "net.pt2", context="unknown")
    program = torch.export.load(tmp_path / "net.pt2").module()
    expected = load_run(run, device="cpu").predict(real_images(), "unknown")
    torch.testing.assert_close(program(real_images()), expected, atol=1e-6, rtol=1e-4)


def test_what_an_onnx_file_says(run: Path, tmp_path: Path) -> None:
    result = export_run(run, out=tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    (given,), (returned,) = model.graph.input, model.graph.output
    shapes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (given, returned)]
    assert shapes == [["batch", 3, 16, 16], ["batch", 10]]
    assert (given.name, given.type.tensor_type.elem_type) == ("images", onnx.TensorProto.UINT8)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["classes"]) == [str(k) for k in range(10)]
    assert (metadata["context"], metadata["dacn"]) == ("target", dacn.__version__)
    assert json.loads(metadata["image_size"]) == [16, 16]
    assert "RGB from 0 to 255, channels first; the centre square, resized to 16 x 16" in metadata["preparation"]
    assert "def prepare(path):" in metadata["preparation_code"]
    facts = json.loads((tmp_path / "net.onnx.json").read_text())
    assert facts | {"out": str(tmp_path / "net.onnx")} == result
    assert (facts["recipe"], facts["seed"], facts["step"], facts["checkpoint"]) == ("tiny", 3, 12, "selected")
    content = (tmp_path / "net.onnx").read_bytes()
    assert b".py" not in content  # the exporter would note the files of this machine
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.onnx", "net.onnx.json"]


def test_the_source_of_digits_says_that_they_have_a_margin(run: Path, tmp_path: Path) -> None:
    result = export_run(run, format="exported", out=tmp_path / "net.pt2", context="source")
    assert "of up to 28 pixels: enlarged to 28 and given a black margin of 2" in result["preparation"]


PLAIN = """
import json, sys
import torch
from torch import nn
sys.modules["dacn"] = None  # from here on, importing it fails
images, expected = torch.load("expected.pt", weights_only=True)

program = torch.export.load("net.pt2", extra_files=(extra := {"dacn.json": ""}))
torch.testing.assert_close(program.module()(images), expected, atol=1e-5, rtol=1e-4)
torch.testing.assert_close(program.module()(images[:1]), expected[:1], atol=1e-5, rtol=1e-4)
assert json.loads(extra["dacn.json"])["classes"] == list("0123456789")

facts = json.load(open("net.pt.json"))
net = nn.Module()
for name, layer in facts["layers"].items():
    *above, last = name.split(".")
    place = net
    for step in above:
        if not hasattr(place, step):
            place.add_module(step, nn.Module())
        place = getattr(place, step)
    place.add_module(last, eval("nn." + layer))
net.load_state_dict(torch.load("net.pt", weights_only=True))
exec(facts["forward"])
scores = forward(net.eval(), (images.float() - 127.5) / 128)
torch.testing.assert_close(scores.softmax(dim=1), expected, atol=1e-5, rtol=1e-4)
assert not any(name.startswith("dacn.") for name in sys.modules)
"""


def test_programs_and_weights_run_where_dacn_is_not_installed(run: Path, tmp_path: Path) -> None:
    export_run(run, format="exported", out=tmp_path / "net.pt2")
    export_run(run, format="state_dict", out=tmp_path / "net.pt")
    images = real_images()
    torch.save((images, load_run(run, device="cpu").predict(images, "target")), tmp_path / "expected.pt")
    done = subprocess.run([sys.executable, "-c", PLAIN], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    weights = torch.load(tmp_path / "net.pt", weights_only=True)
    assert all(type(value) is torch.Tensor and value.is_contiguous() for value in weights.values())


def test_weights_of_an_unknown_context_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DacnError) as error:
        export_run(run, format="state_dict", context="unknown", out=tmp_path / "net.pt")
    assert str(error.value) == (
        "--format state_dict: under an unknown context the weights alone do not make the network; "
        "use --format onnx or exported"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_layer_that_cannot_be_folded_is_exported_as_it_is(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ValueError("cannot fold 'x' (Mixture): no fixed affine map belongs to a context")

    monkeypatch.setattr(export, "fold_context", refuse)
    export_run(run, format="exported", out=tmp_path / "net.pt2", context="source")
    program = torch.export.load(tmp_path / "net.pt2").module()
    expected = load_run(run, device="cpu").predict(real_images(), "source")
    torch.testing.assert_close(program(real_images()), expected, atol=1e-6, rtol=1e-4)
    with pytest.raises(DacnError, match=r"state_dict: cannot fold 'x' \(Mixture\): .*; use --format onnx or exported"):
        export_run(run, format="state_dict", out=tmp_path / "net.pt")


def test_images_to_check_on(run: Path, tmp_path: Path) -> None:
    Image.fromarray(real_images(1)[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    result = export_run(run, format="exported", out=tmp_path / "net.pt2", images=tmp_path / "a.png")
    assert (result["check"]["images"], result["check"]["of"]) == (1, "images of a.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(DacnError, match=r"--images .*bad\.png: none of the first 1 images can be read"):
        export_run(run, format="exported", out=tmp_path / "net.pt2", images=tmp_path / "bad.png")


def test_random_images_where_the_run_s_are_gone(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", pair=made_up.pair())
    result = export_run(run, format="exported", out=tmp_path / "net.pt2")
    assert result["check"]["of"] == "random images"


def test_a_file_that_does_something_else_is_not_left_behind(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "fold_context", lambda model, _, example: export.fold.fold_context(model, 0))
    monkeypatch.setattr(export, "fold", sys.modules["dacn.nn.convert.fold"], raising=False)
    with pytest.raises(
        RunError, match=r"net\.pt2: not written, its probabilities are up to \S+ from the network's on 64"
    ):
        export_run(run, format="exported", context="target", out=tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []


def test_what_torch_cannot_export_is_one_line(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no such thing\nand a long story")

    monkeypatch.setattr(torch.export, "export", fails)
    with pytest.raises(RunError) as error:
        export_run(run, format="exported", out=tmp_path / "net.pt2")
    assert str(error.value) == "torch cannot export this network: RuntimeError: no such thing"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("format", "context"), [pytest.param("exported", "unknown", marks=pytest.mark.slow), ("state_dict", "target")]
)
def test_a_file_of_a_network_that_sees_mirror_images_too(tmp_path: Path, format: str, context: str) -> None:
    run = a_run(tmp_path / "run", flips=True)
    facts = export_run(run, format=format, out=tmp_path / "net", context=context)
    assert facts["check"]["largest_difference"] < 1e-4
    network = load_run(run, device="cpu")
    images = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network.predict(images, context), network.predict(images.flip(3), context))
    assert ("mirror" in facts["output"].get("of", "")) == (format == "state_dict")
