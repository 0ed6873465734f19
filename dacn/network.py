"""A trained network, ready for use: what is left of a run when its data are gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dacn.data.fit import Fit, fit_as
from dacn.errors import DacnError, DataError, did_you_mean
from dacn.evaluation.matrix import predict
from dacn.interface import Interface, read_interface
from dacn.models.build import ModelConfig, build_model
from dacn.models.classifier import Classifier
from dacn.nn import ContextNorm
from dacn.recipe import Recipe, parse_recipe
from dacn.run import pick_device
from dacn.trainer.checkpoint import load_checkpoint

UNKNOWN = "unknown"
"""The context of an image that may be of any domain."""


@dataclass(frozen=True)
class Network:
    """The averaged network of a checkpoint, with what it takes to use it.

    Args:
        model: called as ``model(x, context)``, in evaluation.
        interface: classes, contexts and image size.
        recipe: name, seed, model and evaluation of the run's recipe; its data and training are left out.
        checkpoint: the file that this came from.
        step: steps of training.
    """

    model: Classifier
    interface: Interface
    recipe: Recipe
    checkpoint: Path
    step: int

    @property
    def classes(self) -> tuple[str, ...]:
        """What column i of `predict` stands for."""
        return self.interface.classes

    @property
    def contexts(self) -> tuple[str, ...]:
        """What `predict` takes as a context, besides ``"unknown"``; the target's is the last."""
        return self.interface.contexts

    @property
    def image_size(self) -> int:
        """Pixels of both sides.

        Raises:
            DacnError: the two differ, as only those of images made in Python can.
        """
        height, width = self.interface.image_size
        if height != width:
            raise DacnError(
                f"{self.checkpoint}: takes images of {height} x {width} pixels, which no file is fitted to; make them "
                "in Python and call dacn.load_run(...).predict"
            )
        return height

    def fit(self, context: int | None) -> Fit:
        """Return how images of a context are brought to `image_size`; those of an unknown one as the target's."""
        return self.interface.fits[-1 if context is None else context]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.head.weight.device

    def context(self, name: str | None) -> tuple[str, int | None]:
        """Return the name and the index of a context; None for the index of an unknown one.

        Args:
            name: one of `contexts`, ``"target"`` (the last, whatever it is called), ``"unknown"``, or None for what a
                target image is evaluated under: the target's context, an unknown one where that was not trained.

        Raises:
            DacnError: there is no such context, or no training has seen it.
        """
        contexts, trained = self.contexts, self.interface.trained
        by_context = any(isinstance(module, ContextNorm) for module in self.model.modules())
        last = len(contexts) - 1
        if name == UNKNOWN or (name is None and by_context and last not in trained):
            return UNKNOWN, None
        index = contexts.index(name) if name in contexts else last if name in (None, "target") else None
        valid = [*(contexts[k] for k in trained), UNKNOWN] if by_context else [*contexts, UNKNOWN]
        if index is None:
            raise DacnError(
                f"--context {name}: {self.checkpoint} knows no such context{did_you_mean(str(name), valid)}; "
                f"expected {_one_of(valid)}"
            )
        if by_context and index not in trained:
            raise DacnError(
                f"--context {name}: this network was trained without images of that context; expected {_one_of(valid)}"
            )
        return contexts[index], index

    def predict(self, images: Tensor | Sequence[Image.Image], context: str | None = None) -> Tensor:
        """Return the probability of each class.

        Args:
            images: RGB bytes of the network's size, or PIL images of any, which are fitted as in training.
            context: see `context`.

        Shape: images ``(N, 3, H, W)`` uint8; returns ``(N, K)`` float32, on the CPU.

        Raises:
            DacnError: a tensor of another type or size, or a context that there is not.
        """
        _, index = self.context(context)
        if not isinstance(images, Tensor):
            size, fit = self.image_size, self.fit(index)
            pixels = [fit_as(ImageOps.exif_transpose(image), size, fit) for image in images]  # (S, S, 3) each
            images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
        height, width = self.interface.image_size
        if images.dtype != torch.uint8 or images.shape[1:] != (3, height, width):
            raise DacnError(
                f"images: got {images.dtype} {tuple(images.shape)}, expected uint8 (N, 3, {height}, {width}), RGB from "
                "0 to 255"
            )
        images = images.to(self.device)
        rows = None if index is None else torch.full((len(images),), index, device=self.device)
        return predict(self.model, images, rows, self.recipe.evaluate.batch_size).cpu()


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
    model = build_model(_without_download(recipe.model), len(interface.classes), len(interface.contexts))
    try:
        model.load_state_dict(saved["model"])
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: its weights are not those of the network it describes ({reason})") from error
    model = model.to(pick_device(device), memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return Network(model, interface, recipe, path, int(saved.get("step", 0)))


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


def _without_download(config: ModelConfig) -> ModelConfig:
    """Return the config of the same network that starts without pretrained weights: a checkpoint replaces them."""
    if not getattr(config.backbone, "pretrained", False):
        return config
    return config.model_copy(update={"backbone": config.backbone.model_copy(update={"pretrained": False})})


def _one_of(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
