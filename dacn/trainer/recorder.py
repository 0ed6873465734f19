"""What records a run for people to look at: TensorBoard's files, Weights & Biases, MLflow."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from dacn.trainer.measured import Values, shown_name

IDENTITIES = "tracking.json"
"""In a run's folder: by which name each service knows the run, so that a resumed one goes on there."""


class Recorder:
    """Takes what a run measures. Whoever has no use for a kind of value leaves it out."""

    def log(self, step: int, values: Values) -> None:
        """Record one step's numbers."""

    def images(self, name: str, step: int, images: Tensor) -> None:
        """Record a picture: uint8 ``(3, H, W)``."""

    def histogram(self, name: str, step: int, values: Tensor) -> None:
        """Record the distribution of a tensor's elements."""

    def text(self, name: str, text: str) -> None:
        """Record a Markdown text."""

    def chart(self, layout: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Arrange numbers that are to be seen together: group, then chart, then patterns of their names."""

    def embedding(
        self, name: str, step: int, features: Tensor, rows: Mapping[str, Sequence[str]], images: Tensor
    ) -> None:
        """Record points, with what is known of each and a thumbnail of each."""

    def hyperparameters(self, step: int, settings: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Record the run's settings, by key path, and its final numbers, by name."""

    def close(self) -> None:
        """Finish what was recorded."""


def scalars(values: Values) -> Iterator[tuple[str, float]]:
    """Go through the numbers by the names that they are shown under; a vector's are ``name/0``, ``name/1``, ..."""
    for name, value in values.items():
        if isinstance(value, Sequence):
            yield from ((f"{shown_name(name)}/{index}", element) for index, element in enumerate(value))
        else:
            yield shown_name(name), value


def identity(out: Path, service: str, start: int, make: Callable[[], str]) -> str:
    """Return by which name a service knows the run in ``out``: a new one, or that of the run which goes on.

    Args:
        out: the run folder.
        service: such as ``wandb``.
        start: steps already done; 0 for a run that begins.
        make: makes a new name.
    """
    file = out / IDENTITIES
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not (start and service in known):
        known[service] = make()
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        partial.replace(file)
    return str(known[service])
