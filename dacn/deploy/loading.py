"""From the folder of a run to its network; the run's data need not be there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dacn.deploy.network import Network
from dacn.errors import DataError, did_you_mean
from dacn.models.build import build_model
from dacn.models.context_net import ClusterAssigner, ContextClassifier
from dacn.recipe.recipe import Recipe, parse_recipe
from dacn.run.build import pick_device
from dacn.run.interface import Interface, read_interface
from dacn.trainer.checkpoint import load_checkpoint


def load_run(run: Path | str, checkpoint: str = "selected", device: str = "auto") -> Network:
    """Return the network of a run; its data need not be there.

    Args:
        run: the run folder.
        checkpoint: ``last``, or ``selected``, which the label-free score chose.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DacnError: there is no such run or checkpoint, or it is damaged.

    Example::

        network = dacn.load_run("runs/digits_acn-seed0")
        probabilities = network.predict(images)  # (N, 3, 32, 32) uint8 to (N, 10)
        names = [network.classes[i] for i in probabilities.argmax(dim=1)]
    """
    path = checkpoint_of(Path(run), checkpoint)
    saved = load_checkpoint(path)
    interface, recipe = read_interface(path, saved), _recipe_in(path, saved)
    try:
        context_net = _context_net(interface, saved["model"])
        sizes = (len(interface.classes), len(interface.contexts))
        model = build_model(recipe.model, *sizes, context_net, weights=False)
        model.load_state_dict(saved["model"])
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: its weights are not those of the network it describes ({reason})") from error
    model = model.to(pick_device(device), memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return Network(model, interface, recipe, path, int(saved.get("step", 0)), saved.get("adapted") or {})


def checkpoint_of(run: Path, checkpoint: str) -> Path:
    """Return the file of a run's checkpoint.

    Raises:
        DataError: there is no such run, or no such checkpoint in it.
    """
    if not run.is_dir():
        near = [folder.name for folder in run.parent.iterdir() if folder.is_dir()] if run.parent.is_dir() else []
        what = "is a file, expected the folder of a run" if run.exists() else "no such run"
        raise DataError(f"{run}: {what}{did_you_mean(run.name, near)}")
    folder = run / "checkpoints"
    path = folder / f"{checkpoint}.pt"
    if not path.is_file():
        there = [name for name in ("last", "selected") if (folder / f"{name}.pt").is_file()]
        if not there:
            raise DataError(f"{run}: not a run folder, it has no checkpoints; `dacn train` writes them")
        raise DataError(f"{run}: has no checkpoint {checkpoint!r} yet; give --checkpoint {there[0]}")
    return path


def _recipe_in(path: Path, saved: Mapping[str, Any]) -> Recipe:
    """Return the parts of a checkpoint's recipe that its network needs."""
    origin: Any = saved.get("origin")
    tree: Any = origin.get("recipe") if isinstance(origin, dict) else None
    if not isinstance(tree, dict):
        raise DataError(f"{path}: does not say which recipe wrote it; it is of an older dacn, train anew")
    needed = {key: tree[key] for key in ("name", "seed", "model", "evaluate") if key in tree}
    return parse_recipe(needed, f"{path} (written by dacn {origin.get('dacn', 'unknown')})")


def _context_net(interface: Interface, weights: Mapping[str, Tensor]) -> nn.Module | None:
    """Return what tells contexts from images, if anything does; the sizes of clusters are those of their tensors."""
    if interface.context_from == "domain":
        return None
    if interface.context_from == "classifier":
        return ContextClassifier(len(weights["context_net.head.bias"]))  # a context that was added is none of its own
    names = ("projection", "offset", "mean", "precision", "bias")
    return ClusterAssigner(interface.context_from, *(weights[f"context_net.{name}"] for name in names))
