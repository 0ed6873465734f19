"""Where everything measured goes: console, TensorBoard and metrics.jsonl are fed the same (name, value) pairs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from torch import Tensor

from dacn.trainer.measured import ORACLE, Values
from dacn.trainer.metrics_file import MetricsFile
from dacn.trainer.progress_line import ProgressLine
from dacn.trainer.recorders import open_recorders

__all__ = ["ORACLE", "Tracker", "Values"]


class Tracker:
    """Writes ``metrics.jsonl`` and ``tensorboard/`` in a run folder, and shows progress on the console.

    A fresh run starts both anew. A resumed one continues them, and what an earlier process logged after the checkpoint
    is dropped. In a terminal the console shows a live line; elsewhere it prints plain ones.

    Args:
        out: the run folder.
        steps: the actual number of training steps.
        start: steps already done, more than 0 when a run is resumed.
        console: where to show progress; by default the standard output.
        recorders: what else is told of everything, by the names of `dacn.trainer.recorders`.
        classes: what TensorBoard calls the elements of vectors that have as many.

    Attributes:
        warnings: what `warn` was told, in order.
        folder: where TensorBoard's files are.

    Example::

        with Tracker(Path("runs/first"), steps=1200) as tracker:
            tracker.log(50, {"loss": 0.81, "kept": 0.3, "p_source": [0.4, 0.6], "images_per_second": 1450.0})
    """

    def __init__(
        self,
        out: Path,
        *,
        steps: int,
        start: int = 0,
        console: Console | None = None,
        recorders: Sequence[str] = ("tensorboard",),
        classes: Sequence[str] = (),
    ) -> None:
        self.warnings: list[str] = []
        out.mkdir(parents=True, exist_ok=True)
        self.steps, self.folder = steps, out / "tensorboard"
        self._metrics = MetricsFile(out / "metrics.jsonl", start)
        self._recorders = open_recorders(recorders, out, start, classes)
        self._line = ProgressLine(console or Console(), steps, start)

    def log(self, step: int, values: Values, text: str | None = None) -> None:
        """Record one step's values everywhere.

        What is logged in several calls for the same step is one JSON object all the same. A value that is not finite is
        null there. The elements of a vector are TensorBoard scalars ``name/0``, ``name/1``, ...

        Args:
            step: steps done.
            values: the progress line shows ``loss``, ``loss/...``, ``kept`` and ``images_per_second``. A call without a
                loss or kept share, such as an evaluation, has all of its scalars printed, or ``text`` in their place.
            text: one line or more.
        """
        self._metrics.log(step, values)
        for recorder in self._recorders:
            recorder.log(step, values)
        self._line.log(step, values, text)

    def progress(self, step: int, values: Values | None = None) -> None:
        """Move the live line, and nothing else. Cheap enough for every step."""
        self._line.progress(step, values or {})

    def notice(self, text: str) -> None:
        """Print a line, above the progress line."""
        self._line.print(text)

    def warn(self, text: str) -> None:
        """Print a warning, and keep it for the summary."""
        self.warnings.append(text)
        self.notice(f"warning: {text}")

    def images(self, name: str, step: int, images: Tensor) -> None:
        """Add a picture to TensorBoard: uint8 ``(3, H, W)``."""
        for recorder in self._recorders:
            recorder.images(name, step, images)

    def histogram(self, name: str, step: int, values: Tensor) -> None:
        """Add a histogram of a tensor's finite elements to TensorBoard."""
        for recorder in self._recorders:
            recorder.histogram(name, step, values)

    def text(self, name: str, text: str) -> None:
        """Add a Markdown text to TensorBoard."""
        for recorder in self._recorders:
            recorder.text(name, text)

    def chart(self, layout: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Put scalars together in TensorBoard's *Custom scalars*: group, then chart, then patterns of their names."""
        for recorder in self._recorders:
            recorder.chart(layout)

    def embedding(
        self, name: str, step: int, features: Tensor, rows: Mapping[str, Sequence[str]], images: Tensor
    ) -> None:
        """Add points to TensorBoard's projector, as `EventFile.embedding` has them."""
        for recorder in self._recorders:
            recorder.embedding(name, step, features, rows, images)

    def hyperparameters(self, settings: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Add the settings of the run, by key path, and its final numbers, by name, to TensorBoard's table of runs."""
        for recorder in self._recorders:
            recorder.hyperparameters(self.steps, settings, metrics)

    def close(self) -> None:
        """Finish the files and leave the live line as it stands."""
        self._line.close()
        for recorder in self._recorders:
            recorder.close()
        self._metrics.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
