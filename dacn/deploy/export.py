"""A run's network as a file that is used without dacn, checked against the network before it takes its name."""

import json
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from dacn.data.pair.pairs import build_pair
from dacn.data.read.image_files import open_images
from dacn.data.read.images import fetch
from dacn.deploy.export_formats import FORMATS, Facts, Format
from dacn.deploy.loading import load_run
from dacn.deploy.network import INFERRED, Network
from dacn.deploy.preparation import preparation_as_code, preparation_in_words
from dacn.errors import DacnError, RunError, did_you_mean
from dacn.evaluation.inference import MirroredToo
from dacn.machine.whole_file import require_writable, whole_file
from dacn.models.classifier import Classifier
from dacn.nn import fold_context
from dacn.recipe.recipe import load_recipe

TOLERANCE = 1e-4
"""How far a probability of the file may be from the network's."""
CHECKED = 64  # images


class _UnderContext(nn.Module):
    """A network under one context, an inferred or an unknown one, as a function of the images alone."""

    def __init__(self, model: Classifier, context: int | str, *, flips: bool) -> None:
        super().__init__()
        self.model, self.context = model, context
        self.scores = MirroredToo(model) if flips else model  # both under the context of the image as it is

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor | None = None
        if isinstance(self.context, int):
            rows = x.new_full(x.shape[:1], self.context, dtype=torch.int64)
        elif self.context == INFERRED:
            assert self.model.context_net is not None
            rows = self.model.context_net(x).argmax(dim=1)
        scores: Tensor = self.scores(x, rows)
        return scores


def missing_packages(format: str) -> str | None:
    """Return what a format needs that is not installed here, with the command that installs it; None: nothing."""
    missing = [package for package in FORMATS[format].packages if find_spec(package) is None]
    if not missing:
        return None
    return f"--format {format} needs {' and '.join(missing)}, not installed here: pip install 'dacn[export]'"


def export_run(
    run: Path | str,
    *,
    format: str = "onnx",
    out: Path | str | None = None,
    context: str | None = None,
    checkpoint: str = "selected",
    images: Path | str | None = None,
) -> dict[str, Any]:
    """Write the network of a run, for one context, to a file that needs no dacn, and facts about it to ``<file>.json``.

    An ``onnx`` or ``exported`` file takes RGB bytes ``(B, 3, H, W)`` and gives probabilities ``(B, K)``. A known
    context is folded into the weights (`dacn.nn.fold_context`); under an unknown or inferred one the file holds the
    arithmetic that tells it. ``state_dict`` holds the folded network's weights by name; its facts list the layers and
    the forward pass.

    Args:
        run: the run folder; its data need not be there.
        format: ``onnx``, ``exported`` (a torch.export program) or ``state_dict``.
        out: the file; by default ``<recipe's name>-<context>`` with the format's suffix.
        context: see `dacn.deploy.network.Network.context`.
        checkpoint: ``last`` or ``selected``.
        images: a folder, image or archive to check the file on; by default the run's own target images, random ones
            where these are not at hand.

    Returns:
        The facts that are written to ``<file>.json``, with the result of the check.

    Raises:
        DacnError: no such run, context, format or images; packages that are missing.
        RunError: the network cannot be exported, or the file does not do what the network does.
    """
    if format not in FORMATS:
        raise DacnError(f"--format {format}: no such format{did_you_mean(format, FORMATS)}; {', '.join(FORMATS)}")
    kind = FORMATS[format]
    if (told := missing_packages(format)) is not None:
        raise DacnError(told)
    network = load_run(run, checkpoint, "cpu")
    context = network.context(context)
    out = Path(out) if out is not None else Path(f"{network.recipe.name}-{context}{kind.suffix}")
    require_writable(out)
    plain = _plain(network, context, format)
    facts = _facts(network, context, checkpoint, format, plain)
    shown, origin = _images(Path(run), network, context, None if images is None else Path(images))
    expected = network.predict(shown, context)
    with whole_file(out) as path, whole_file(out.with_name(f"{out.name}.json")) as facts_path:
        _write(kind, plain, facts, path)
        difference = float((kind.run(path, shown, plain) - expected).abs().max())
        if not difference <= TOLERANCE:
            raise RunError(
                f"{out}: not written, its probabilities are up to {difference:.2g} from the network's on {len(shown)} "
                f"{origin}; expected at most {TOLERANCE:g}"
            )
        facts["check"] = {"images": len(shown), "of": origin, "largest_difference": difference}
        facts_path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return {"out": str(out), **facts}


def _plain(network: Network, context: str, format: str) -> nn.Module:
    """Return the network under one context as a function of the images alone, folded where that is possible."""
    index = network.contexts.index(context) if context in network.contexts else None
    flips = network.recipe.evaluate.flips
    plain: nn.Module = _UnderContext(network.model, context if index is None else index, flips=flips)
    reason = f"under an {context} context the weights alone do not make the network"
    if index is not None:
        try:
            size = network.interface.image_size
            plain = fold_context(network.model, index, example=torch.zeros(1, 3, *size))
        except ValueError as error:  # a layer that stays more than an affine map
            reason = str(error)
    if format == "state_dict" and not isinstance(plain, fx.GraphModule):
        raise DacnError(f"--format state_dict: {reason}; use --format onnx or exported")
    for tensor in (*plain.parameters(), *plain.buffers()):
        # torch.export warns of weights in channels-last order, and of those that are a part of something larger.
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
    if flips and isinstance(plain, fx.GraphModule):
        plain = MirroredToo(plain)
    return plain.requires_grad_(False)


def _facts(network: Network, context: str, checkpoint: str, format: str, plain: nn.Module) -> Facts:
    """Return what a user of the file must know."""
    height, width = network.interface.image_size
    read = network.interface.value_range
    facts: Facts = {
        "dacn": version("dacn"),
        "recipe": network.recipe.name,
        "seed": network.recipe.seed,
        "checkpoint": checkpoint,
        "step": network.step,
        "format": format,
        "context": context,
        "classes": list(network.classes),
        "image_size": [height, width],
        "input": {"name": "images", "type": "uint8", "shape": ["batch", 3, height, width]},
        "output": {"name": "probabilities", "type": "float32", "shape": ["batch", len(network.classes)]},
        "range": None if read is None else [read.low, read.high],
        "preparation": f"RGB from 0 to 255, channels first, {height} x {width}, made as for training",
    }
    if height == width:  # else they were made in Python, and no file is fitted to them
        prepared = network.resize_size, network.fit(context), read, width
        facts["preparation"] = preparation_in_words(*prepared)
        facts["preparation_code"] = preparation_as_code(*prepared)
    if format == "state_dict":
        if isinstance(plain, MirroredToo):
            facts["output"]["of"] = "the image; predictions are means of its probabilities and its mirror image's"
            plain = plain.network
        assert isinstance(plain, fx.GraphModule)
        facts["input"] = {"name": "x", "type": "float32", "shape": ["batch", 3, height, width]}
        facts["output"]["name"] = "scores"
        facts["preparation"] += "; then (x - 127.5) / 128"
        facts["layers"] = {name: repr(layer) for name, layer in plain.named_modules() if not any(layer.children())}
        facts["forward"] = plain.code.strip()
    return facts


def _images(run: Path, network: Network, context: str, given: Path | None) -> tuple[Tensor, str]:
    """Return images to check a file on, ``(N, 3, H, W)`` uint8, and what to call them."""
    if given is not None:
        fit, read = network.fit(context), network.interface.value_range
        source = open_images(given, network.resize_size, fit, read, crop=network.image_size)
        chunk = next(source.chunks(CHECKED))
        sound = [row for row, problem in enumerate(chunk.problems) if problem is None]
        if not sound:
            raise DacnError(f"--images {given}: none of the first {len(chunk.problems)} images can be read")
        return chunk.images[sound], f"images of {given.name}"
    try:
        config = load_recipe(run / "recipe.yaml").data
        assert config is not None  # a recipe file names its data
        pair = build_pair(config.model_copy(update={"download": False}))
    except DacnError:  # moved, deleted, or made in Python
        shape = (CHECKED, 3, *network.interface.image_size)
        return torch.randint(256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8), "random images"
    domain = pair.target_test or pair.target
    rows = torch.linspace(0, len(domain) - 1, min(CHECKED, len(domain))).long()
    return fetch(domain.images, rows), f"images of {domain.name}"


def _write(kind: Format, network: nn.Module, facts: Facts, path: Path) -> None:
    # Of two images: a program that saw one would be for one alone.
    example = torch.zeros(2, 3, *facts["image_size"], dtype=torch.uint8)
    try:
        kind.write(network, example, facts, path)
    except (DacnError, OSError):
        raise
    except Exception as error:  # an exporter ran a whole compiler: anything may have come out
        reason = str(error).strip().partition("\n")[0]
        raise RunError(f"torch cannot export this network: {type(error).__name__}: {reason}") from error
