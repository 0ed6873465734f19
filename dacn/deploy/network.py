"""A trained network, ready for use: what is left of a run when its data are gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dacn.data.fit import Fit, centre_crop, fit_as
from dacn.data.read.image_files import Chunk, open_images
from dacn.data.read.images import Images
from dacn.data.values import upright
from dacn.errors import DacnError, DataError, did_you_mean
from dacn.evaluation.contexts import infer_contexts
from dacn.evaluation.inference import predict
from dacn.models.classifier import Classifier
from dacn.nn import ContextNorm
from dacn.recipe.recipe import Recipe
from dacn.run.interface import Interface

AnyImages = Tensor | NDArray[Any] | Sequence[Image.Image] | Sequence[Path | str] | Path | str
"""What `Network.predict` takes."""
INFERRED, UNKNOWN = "inferred", "unknown"
"""The context that is told from each image, and that of an image that may be of any."""


@dataclass(frozen=True)
class Network:
    """The averaged network of a checkpoint, with what it takes to use it.

    Args:
        model: called as ``model(x, context)``, in evaluation.
        interface: classes, contexts and image size.
        recipe: name, seed, model and evaluation of the run's recipe; its data and training are left out.
        checkpoint: the file that this came from.
        step: steps of training.
        adapted: what `dacn adapt` says of the last context, if it was added after training; empty otherwise.
    """

    model: Classifier
    interface: Interface
    recipe: Recipe
    checkpoint: Path
    step: int
    adapted: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """What column i of `predict` stands for."""
        return self.interface.classes

    @property
    def contexts(self) -> tuple[str, ...]:
        """What `predict` takes as a context, besides ``"unknown"``."""
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

    @property
    def resize_size(self) -> int:
        """Pixels of both sides that an image is brought to, before its centre square of `image_size` is taken."""
        return self.image_size if self.interface.resize_size is None else self.interface.resize_size

    def fit(self, context: str) -> Fit:
        """Return how images of a context are brought to `resize_size`; where that is open, as the target's."""
        return self.interface.fits[self.contexts.index(context) if context in self.contexts else -1]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.head.weight.device

    def context(self, name: str | None) -> str:
        """Return the context that a name stands for.

        Args:
            name: one of `contexts`; ``"target"``, the last one if none is called so; ``"inferred"``, told from each
                image, where the context is not the domain; ``"unknown"``; or None for what a target image is evaluated
                under: the target's or the inferred one, an unknown one where the target's was not trained. In a network
                that was adapted, None stands for the context that it was adapted to.

        Raises:
            DacnError: there is no such context, or no training has seen it.
        """
        contexts, by_domain = self.contexts, self.interface.context_from == "domain"
        by_context = any(isinstance(module, ContextNorm) for module in self.model.modules())
        trained = [contexts[k] for k in self.interface.trained] if by_context else [*contexts]
        if name is None:
            deployed = contexts[-1] if by_domain or self.adapted else INFERRED
            return UNKNOWN if by_domain and deployed not in trained else deployed
        if name == "target" and by_domain and name not in contexts:
            name = contexts[-1]
        if name == UNKNOWN or name in trained or (name == INFERRED and not by_domain):
            return name
        valid = [*trained, *([] if by_domain else [INFERRED]), UNKNOWN]
        expected = f"expected {', '.join(valid[:-1])} or {valid[-1]}"
        if name in contexts:
            raise DacnError(f"--context {name}: this network was trained without images of that context; {expected}")
        near = did_you_mean(name, valid)
        raise DacnError(f"--context {name}: {self.checkpoint} knows no such context{near}; {expected}")

    def rows(self, images: Tensor, context: str) -> Tensor | None:
        """Return the context of each image, or None where it is to be unknown.

        Shape: images ``(N, 3, H, W)`` uint8, on the model's device; returns ``(N,)`` int64.
        """
        if context == UNKNOWN:
            return None
        if context == INFERRED:
            return infer_contexts(self.model, images)
        return torch.full((len(images),), self.contexts.index(context), device=images.device)

    def predict(self, images: AnyImages, context: str | None = None) -> Tensor:
        """Return the probability of each class.

        Args:
            images: RGB bytes of the network's size in a tensor; or what is fitted as in training: PIL images, a NumPy
                array of bytes, a folder (its images in the order of their names), an image file, an ``.npz`` archive,
                or a list of image files. `dacn.predict_run` returns names beside predictions.
            context: see `context`.

        Shape: a tensor ``(N, 3, H, W)`` uint8, an array ``(N, H, W)`` or ``(N, H, W, C)``; returns ``(N, K)`` float32,
        on the CPU.

        Raises:
            DacnError: images of another type or size, one that cannot be read or whose range is not known, or a context
                that there is not.

        Example::

            network = dacn.load_run("runs/first")
            probabilities = network.predict("photos/")  # (N, K)
            names = [network.classes[i] for i in probabilities.argmax(dim=1)]
        """
        context = self.context(context)
        if isinstance(images, str | Path):
            return self._predict_files([Path(images)], context)
        if isinstance(images, Sequence) and images and isinstance(images[0], str | Path):
            return self._predict_files([Path(str(path)) for path in images], context)
        if isinstance(images, np.ndarray):
            images = _as_pictures(images)
        if not isinstance(images, Tensor):
            if not len(images):
                return torch.empty(0, len(self.classes))
            size, fit = self.resize_size, self.fit(context)
            pictures = cast(Sequence[Image.Image], images)
            pixels = [fit_as(self._upright(image), size, fit) for image in pictures]  # (S, S, 3) each
            images = centre_crop(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), self.image_size)
        height, width = self.interface.image_size
        if images.dtype != torch.uint8 or images.shape[1:] != (3, height, width):
            raise DacnError(
                f"images: got {images.dtype} {tuple(images.shape)}, expected uint8 (N, 3, {height}, {width}), RGB from "
                "0 to 255"
            )
        images = images.to(self.device)
        how = self.recipe.evaluate
        return predict(self.model, images, self.rows(images, context), how.batch_size, flips=how.flips).cpu()

    def adapt(self, images: Images, method: str = "context", name: str = "adapted", **options: Any) -> "Network":
        """Return a network that knows one context more, learned from images without labels; this one stays as it is.

        Args:
            images: of the new domain, RGB bytes of the network's size.
            method: ``context``, ``tent``, ``eata``, ``sar`` or ``shot``.
            name: of the new context.
            options: see `dacn.deploy.adapt.offline.adapt_network`.

        Shape: images ``(N, 3, H, W)`` uint8.

        Raises:
            DacnError: no such method, one that this network does not allow, or a name that is taken.
        """
        from dacn.deploy.adapt.offline import adapt_network  # which is built on this class

        return adapt_network(self, images, method=method, name=name, **options)

    def _predict_files(self, paths: Sequence[Path], context: str) -> Tensor:
        """Return the probabilities of all images at some paths; no more of them than a batch are held in memory."""
        how: Any = (self.resize_size, self.fit(context), self.interface.value_range)
        found = [open_images(path, *how, crop=self.image_size) for path in paths]
        batch = self.recipe.evaluate.batch_size
        return torch.cat([self._predict_chunk(chunk, context) for each in found for chunk in each.chunks(batch)])

    def _predict_chunk(self, chunk: Chunk, context: str) -> Tensor:
        bad = [f"{name}: {problem}" for name, problem in zip(chunk.names, chunk.problems, strict=True) if problem]
        if bad:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise DataError(f"{bad[0]}{more}; dacn.predict_run(..., on_bad_image='skip') leaves such images out")
        return self.predict(chunk.images, context)

    def _upright(self, image: Image.Image) -> Image.Image:
        try:
            return upright(image, self.interface.value_range)
        except ValueError as error:
            raise DataError(f"{getattr(image, 'filename', '') or 'an image'}: {error}") from error


def _as_pictures(images: NDArray[Any]) -> list[Image.Image]:
    """Return an array of bytes, grey or RGB, as pictures."""
    grey = images.ndim == 4 and images.shape[3] == 1
    shape = images.shape[:3] if grey else images.shape
    if images.dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
        raise DacnError(
            f"images: got an array of {images.dtype} {images.shape}, expected uint8 (N, H, W) or (N, H, W, 3), from 0 "
            "to 255; a torch tensor has its channels first"
        )
    return [Image.fromarray(image) for image in images.reshape(shape)]
