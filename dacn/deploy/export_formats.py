"""The files that a network can leave dacn as: how each is written, and how it is run to check it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dacn.evaluation.inference import MirroredToo

Facts = dict[str, Any]
"""What a user of the file must know, plain values: classes, context, image size, input and output."""


class Deployed(nn.Module):
    """RGB bytes in, class probabilities out: the input scale is inside, so that nobody can get it wrong.

    Args:
        network: called as ``network(x)`` on ``(x - 127.5) / 128``, returns class scores.

    Shape: images ``(B, 3, H, W)`` uint8; returns ``(B, K)`` float32.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities."""
        scores: Tensor = self.network((images.float() - 127.5) / 128)
        return scores.softmax(dim=1)


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        suffix: of its name.
        packages: what it needs beyond dacn's own.
        write: writes a network, given an example batch and the facts, to a path.
        run: returns the probabilities ``(N, K)`` that the file at a path gives for images ``(N, 3, H, W)`` uint8; the
            network is the one that was written, for a file that holds no program.
    """

    suffix: str
    packages: tuple[str, ...]
    write: Callable[[nn.Module, Tensor, Facts, Path], None]
    run: Callable[[Path, Tensor, nn.Module], Tensor]


def _program(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """Return the deployed network as a program for any number of images, without traces of where it was made."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(Deployed(network).eval(), (example,), dynamic_shapes=({0: batch},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # holds the paths of this machine
    return program


def _write_exported(network: nn.Module, example: Tensor, facts: Facts, path: Path) -> None:
    with path.open("wb") as file:
        torch.export.save(_program(network, example), file, extra_files={"dacn.json": json.dumps(facts, indent=2)})


def _run_exported(path: Path, images: Tensor, network: nn.Module) -> Tensor:
    with path.open("rb") as file:
        module = torch.export.load(file).module()
    probabilities: Tensor = module(images)
    return probabilities


def _write_onnx(network: nn.Module, example: Tensor, facts: Facts, path: Path) -> None:
    import onnx

    written = torch.onnx.export(
        _program(network, example), (example,), dynamo=True, verbose=False,
        input_names=["images"], output_names=["probabilities"],
    )  # fmt: skip
    assert written is not None
    model = written.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # holds the paths of this machine
    _name_batch(model.graph)
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _name_batch(graph: Any) -> None:
    """Call the dimension that varies ``batch``; the exporter numbers it, and uses it in terms such as ``64*s34``."""
    number = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = re.sub(rf"\b{re.escape(number)}\b", "batch", dimension.dim_param)


def _run_onnx(path: Path, images: Tensor, network: nn.Module) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["probabilities"], {"images": images.numpy()})[0])


def _write_state_dict(network: nn.Module, example: Tensor, facts: Facts, path: Path) -> None:
    with path.open("wb") as file:
        torch.save({name: value.detach().clone() for name, value in _once(network).state_dict().items()}, file)


def _run_state_dict(path: Path, images: Tensor, network: nn.Module) -> Tensor:
    _once(network).load_state_dict(torch.load(path, weights_only=True))
    probabilities: Tensor = Deployed(network).eval()(images)
    return probabilities


def _once(network: nn.Module) -> nn.Module:
    """Return the network that sees an image once; to mirror it too is not a matter of weights."""
    return network.network if isinstance(network, MirroredToo) else network


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxscript", "onnxruntime"), _write_onnx, _run_onnx),
    "exported": Format(".pt2", (), _write_exported, _run_exported),
    "state_dict": Format(".pt", (), _write_state_dict, _run_state_dict),
}
"""Name to format: a program for onnxruntime, one for torch.export.load, and bare weights."""
