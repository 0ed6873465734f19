"""A network that was trained elsewhere: weights in a file, an architecture of torchvision or timm, names of classes."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from dacn.deploy.adapt.adapt import adapt_run
from dacn.deploy.loading import load_run
from dacn.deploy.network import Network
from dacn.errors import DataError, did_you_mean
from dacn.models.build import build_model, notes_on
from dacn.models.pretrained.torchvision_net import architectures
from dacn.models.pretrained.weights_file import read_weights
from dacn.recipe.recipe import Recipe, parse_recipe
from dacn.run.interface import Interface
from dacn.run.origin import origin_of
from dacn.trainer.checkpoint import save_checkpoint

CONTEXT = "trained"
"""What the one context is called that such a network knows."""


def adapt_file(
    file: Path,
    images: Path,
    *,
    arch: str,
    classes: Path | None = None,
    num_classes: int | None = None,
    image_size: int = 224,
    resize_size: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Adapt a network that was trained elsewhere, as `adapt_run` does for a run.

    Args:
        file: a state dict, or a checkpoint that holds one.
        images: see `adapt_run`.
        arch: a name of torchvision's or, where it has none of it, of timm's.
        classes: a text file with the name of a class a line, in the order of the outputs.
        num_classes: in place of names; by default as many as the file has outputs. They are called 0, 1, ...
        image_size: pixels of both sides that the network takes.
        resize_size: to which images are brought before their centre is taken; by default 8/7 of it, as 256 to 224.
        options: of `adapt_run`.

    Raises:
        DacnError: no such file or architecture, weights that do not fit, or another number of classes.
    """
    names = None if classes is None else _names(classes)
    if names is None and num_classes is not None:
        names = tuple(map(str, range(num_classes)))
    with TemporaryDirectory() as place:
        network = network_of(file, arch, names, image_size, resize_size or round(image_size * 8 / 7), Path(place))
        return adapt_run(file.with_suffix(""), images, network=network, **options)


def network_of(
    file: Path, arch: str, classes: tuple[str, ...] | None, image_size: int, resize_size: int, place: Path
) -> Network:
    """Return the network of a file, which is kept as a checkpoint in the folder ``place``."""
    weights = read_weights(file)
    recipe = _recipe(file, arch)
    model = build_model(recipe.model, 2, 1)
    if missing := [note for note in notes_on(model) if "at random" in note]:
        raise DataError(f"--model {missing[0].partition(': ')[2]}; set another --arch")
    head = _head(weights, model.head.in_features, file)
    count = len(head[0])
    if classes is not None and len(classes) != count:
        raise DataError(f"--model {file}: tells {count} classes apart, and {len(classes)} are named")
    model.head = torch.nn.Linear(model.head.in_features, count)
    model.head.load_state_dict(dict(zip(("weight", "bias"), head, strict=True)))
    interface = Interface(
        classes=classes or tuple(map(str, range(count))),
        contexts=(CONTEXT,),
        context_from="domain",
        trained=(0,),
        image_size=(image_size, image_size),
        resize_size=resize_size,
        fits=("crop",),
    )
    state = {"origin": origin_of(recipe), "network": interface.model_dump(mode="json"), "step": 0}
    save_checkpoint(place / "checkpoints" / "selected.pt", {**state, "model": model.state_dict()})
    return load_run(place, device="cpu")


def _recipe(file: Path, arch: str) -> Recipe:
    """Return a recipe with the network, its norms as they are."""
    known = architectures()
    library = "torchvision" if arch in known else "timm"
    if library == "timm" and find_spec("timm") is None:
        raise DataError(
            f"--arch {arch}: torchvision has no such network{did_you_mean(arch, known)}; for those of timm: "
            "pip install 'dacn[timm]'"
        )
    backbone = {"name": library, "arch": arch, "pretrained": str(file.absolute())}
    tree = {"name": file.stem, "model": {"backbone": backbone, "input_norm": "none", "norm": "bn"}}
    return parse_recipe(tree, f"--model {file}")


def _head(weights: Mapping[str, Tensor], features: int, file: Path) -> tuple[Tensor, Tensor]:
    """Return weight ``(K, F)`` and bias ``(K,)`` of the last linear layer over so many features."""
    found = [
        (value, weights[f"{name.removesuffix('weight')}bias"])
        for name, value in weights.items()
        if name.endswith("weight") and value.ndim == 2 and value.shape[1] == features
        if f"{name.removesuffix('weight')}bias" in weights
    ]
    if not found:
        raise DataError(f"--model {file}: has no linear layer with a bias over {features} features at its end")
    return found[-1]


def _names(path: Path) -> tuple[str, ...]:
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--classes {path}: cannot be read ({error})") from error
    if len(set(names)) < max(2, len(names)):
        raise DataError(f"--classes {path}: expected at least two different names, one a line")
    return names
