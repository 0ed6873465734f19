"""A scikit-learn classifier that is trained on one domain and adapted to another."""

import io
import warnings
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from dacn.api import train
from dacn.data.domain import Domain, DomainPair
from dacn.data.fit import fit_images
from dacn.errors import DataError

Array = NDArray[Any]

SMALLEST = 16
"""Pixels of both sides that smaller images are enlarged to, for the convolutions halve them three times."""


class DomainAdapter(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Classifies images of a target domain that has no labels, after a source domain that has them.

    Images are arrays of bytes, or of numbers that are scaled by the least and the largest one of the training images:
    ``(N, H, W)``, ``(N, H, W, C)``, or flattened square grey ones, ``(N, F)``, as scikit-learn's own digits are. Where
    F is no square, zeros fill it up.

    Args:
        algorithm: a name, or a mapping with options, as in a recipe.
        norm: the norm of every layer, as in a recipe.
        backbone: as in a recipe.
        steps: of training; None: 200 passes over the target, on a CPU at most 20 minutes.
        minutes: how long it may take, in place of ``steps``.
        image_size: pixels of both sides; None: those of the images, at least 16.
        flips: whether a mirrored image is still of its class.
        settings: any other part of a recipe, such as ``{"train": {"source_batch": 32}}``.
        random_state: of everything random.
        device: ``auto``, ``cpu`` or ``cuda``.
        out: keeps the run folder there; None: a temporary one, which is removed.
        verbose: whether the run's progress is printed.

    Attributes:
        classes_: the labels, sorted.
        network_: the trained network (`dacn.deploy.network.Network`).
        summary_: what the run's summary.json holds.
        n_features_in_: F, of flattened images.

    Example::

        adapter = dacn.DomainAdapter(algorithm="adamatch", norm="acn", steps=2000)
        adapter.fit(photos, labels, X_target=sketches)
        adapter.predict(sketches)
    """

    def __init__(
        self,
        algorithm: str | Mapping[str, Any] = "adamatch",
        norm: str | Mapping[str, Any] = "acn",
        backbone: str | Mapping[str, Any] = "small_cnn",
        *,
        steps: int | None = None,
        minutes: float | None = None,
        image_size: int | None = None,
        flips: bool = False,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = None,
        device: str = "auto",
        out: Path | str | None = None,
        verbose: bool = False,
    ) -> None:
        self.algorithm, self.norm, self.backbone = algorithm, norm, backbone
        self.steps, self.minutes, self.image_size, self.flips = steps, minutes, image_size, flips
        self.settings, self.random_state, self.device = settings, random_state, device
        self.out, self.verbose = out, verbose

    def fit(self, X: Any, y: Any, X_target: Any = None) -> Self:  # noqa: N803 - scikit-learn's names
        """Train on labelled source images and unlabelled target images.

        Args:
            X: the source's images.
            y: their labels, of any kind.
            X_target: the target's images; None: the source's own without their labels, so that nothing is adapted to.
        """
        source, y = self._checked(X, y, reset=True)
        check_classification_targets(y)
        encoder = LabelEncoder().fit(y)
        self.classes_ = encoder.classes_
        if len(self.classes_) < 2:
            raise ValueError(f"DomainAdapter: got one class, {str(self.classes_[0])!r}; expected at least two")
        target = source if X_target is None else self._checked(X_target, reset=False)
        self._range = _range_of(source, target)
        side = max(SMALLEST, *_pictures(source).shape[1:3])
        self._size = int(self.image_size or side)
        labels = torch.from_numpy(encoder.transform(y).astype(np.int64))
        pair = DomainPair(
            source=Domain("source", self._images(source), labels, tuple(str(k) for k in range(len(self.classes_)))),
            target=Domain("target", self._images(target)),
            flips=self.flips,
            name="domain_adapter",
        )
        shown = nullcontext() if self.verbose else redirect_stdout(io.StringIO())
        with TemporaryDirectory() as scratch, shown:
            run = self._train(pair, Path(self.out) if self.out is not None else Path(scratch) / "run")
            self.network_, self.summary_ = run.network, run.summary
        for text in self.summary_["warnings"] if self.verbose else ():
            warnings.warn(text, UserWarning, stacklevel=2)
        return self

    def _train(self, pair: DomainPair, folder: Path) -> Any:
        given = dict(self.settings or {})
        model = {"norm": self.norm, "backbone": self.backbone} | dict(given.pop("model", {}))
        given["evaluate"] = {"figures": False} | dict(given.get("evaluate", {}))
        return train(
            pair,
            algorithm=self.algorithm,
            model=model,
            steps=self.steps,
            minutes=self.minutes,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            out=folder,
            device=self.device,
            force=self.out is None,
            **given,
        )

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return the probability of each class, columns in the order of ``classes_``; X as target images."""
        check_is_fitted(self)
        images = self._images(self._checked(X, reset=False))
        probabilities: Array = self.network_.predict(images).double().numpy()
        normalized: Array = probabilities / probabilities.sum(axis=1, keepdims=True)
        return normalized

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the most probable class of each target image."""
        probabilities = self.predict_proba(X)
        labels: Array = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def _checked(self, given: Any, y: Any = "no_validation", *, reset: bool) -> Any:
        """Return what is finite numbers, and of flattened images as many as in training."""
        if np.asarray(given).ndim not in (3, 4):
            return _validate(self, given, y, reset=reset)
        images = check_array(given, allow_nd=True)
        if isinstance(y, str):
            return images
        check_consistent_length(images, y)
        return images, np.asarray(y)

    def _images(self, values: Array) -> torch.Tensor:
        """Return images as bytes ``(N, 3, size, size)``."""
        if self._range is not None:
            low, high = self._range
            values = np.rint((values.astype(float).clip(low, high) - low) * (255 / (high - low))).astype(np.uint8)
        return fit_images(_pictures(values), self._size)


def _range_of(*images: Array) -> tuple[float, float] | None:
    """Return what becomes black and white; None where all are bytes."""
    if all(each.dtype == np.uint8 for each in images):
        return None
    low, high = min(float(each.min()) for each in images), max(float(each.max()) for each in images)
    return low, high if high > low else low + 1


def _pictures(values: Array) -> Array:
    """Return flattened images as squares ``(N, S, S)``, others as they are."""
    if values.ndim == 2:
        side = int(np.ceil(np.sqrt(values.shape[1])))
        return np.pad(values, ((0, 0), (0, side * side - values.shape[1]))).reshape(-1, side, side)
    if values.ndim == 4 and values.shape[3] not in (1, 3):
        raise DataError(f"images of shape {values.shape}; expected (N, H, W), (N, H, W, 1) or (N, H, W, 3)")
    return values


def _validate(estimator: Any, X: Any, y: Any, *, reset: bool) -> Any:  # noqa: N803
    """Return what scikit-learn's own estimators would take; a method of theirs up to version 1.5."""
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:
        return estimator._validate_data(X, y, reset=reset)
    return validate_data(estimator, X, y, reset=reset)
