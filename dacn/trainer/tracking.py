"""Where everything measured goes: console, TensorBoard and metrics.jsonl are fed the same (name, value) pairs."""

import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from torch import Tensor

Values = Mapping[str, float | Sequence[float]]
"""What one step measured: a number or a vector by name, such as ``"loss/source"``."""

ORACLE = "oracle/"
"""Starts the name of what only target labels can tell. It is shown as *oracle, not used*."""


class Tracker:
    """Writes ``metrics.jsonl`` and ``tensorboard/`` in a run folder, and shows progress on the console.

    A fresh run starts both anew. A resumed one continues them, and what an earlier process logged after the checkpoint
    is dropped. In a terminal the console shows a live line; elsewhere it prints plain ones.

    Args:
        out: the run folder.
        steps: the actual number of training steps.
        start: steps already done, more than 0 when a run is resumed.
        console: where to show progress; by default the standard output.

    Attributes:
        warnings: what `warn` was told, in order.
        folder: where TensorBoard's files are.

    Example::

        with Tracker(Path("runs/first"), steps=1200) as tracker:
            tracker.log(50, {"loss": 0.81, "kept": 0.3, "p_source": [0.4, 0.6], "images_per_second": 1450.0})
    """

    def __init__(self, out: Path, *, steps: int, start: int = 0, console: Console | None = None) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self.warnings: list[str] = []
        out.mkdir(parents=True, exist_ok=True)
        metrics = out / "metrics.jsonl"
        _rewind(metrics, start)
        self._metrics = metrics.open("ab", buffering=0)
        self._row: dict[str, object] = {}
        self._row_at = 0  # where in the file the last row begins
        self.folder = out / "tensorboard"
        self._Summary = Summary
        self._writer = SummaryWriter(self.folder, purge_step=start + 1 if start else 0)
        self._line = _ProgressLine(console or Console(), steps, start)

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
        if step != self._row.get("step"):
            self._row, self._row_at = {"step": step}, self._metrics.tell()
        self._row |= {name: _json(value) for name, value in values.items()}
        self._metrics.truncate(self._row_at)
        self._metrics.write(json.dumps(self._row, allow_nan=False).encode() + b"\n")
        # One event for all scalars: `add_scalar` makes one of each, which takes far longer.
        scalars = [self._Summary.Value(tag=name, simple_value=value) for name, value in _scalars(values)]
        self._writer._get_file_writer().add_summary(self._Summary(value=scalars), step)  # type: ignore[no-untyped-call]
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
        self._writer.add_image(name, images.cpu(), step)

    def histogram(self, name: str, step: int, values: Tensor) -> None:
        """Add a histogram of a tensor's finite elements to TensorBoard."""
        values = values.detach().float().cpu()
        values = values[values.isfinite()]
        if len(values):
            self._writer.add_histogram(name, values, step)

    def text(self, name: str, text: str) -> None:
        """Add a Markdown text to TensorBoard."""
        self._writer.add_text(name, text)

    def chart(self, layout: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Put scalars together in TensorBoard's *Custom scalars*: group, then chart, then patterns of their names."""
        charts = {
            group: {name: ["Multiline", list(tags)] for name, tags in panels.items()}
            for group, panels in layout.items()
        }
        self._writer.add_custom_scalars(charts)

    def embedding(
        self, name: str, step: int, features: Tensor, rows: Mapping[str, Sequence[str]], images: Tensor
    ) -> None:
        """Add points to TensorBoard's projector, in place of what an earlier call left there.

        Args:
            name: of the embedding.
            step: steps done.
            features: finite numbers, on the CPU.
            rows: columns of what is known of each point, by name, at least two.
            images: a thumbnail of each point.

        Shape: features ``(N, F)``, images ``(N, 3, h, w)`` uint8.
        """
        for old in self.folder.glob(f"*/{name}"):
            shutil.rmtree(old)
        metadata = [[_one_line(value) for value in row] for row in zip(*rows.values(), strict=True)]
        self._writer.add_embedding(features, metadata, images.float() / 255, step, name, metadata_header=list(rows))

    def hyperparameters(self, settings: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Add the settings of the run and its final numbers to TensorBoard's table of runs.

        They go into the run's own event file: `SummaryWriter.add_hparams` would make a second run of them.

        Args:
            settings: by key path; what is neither a number nor a text is written out.
            metrics: by name.
        """
        from torch.utils.tensorboard.summary import hparams

        plain = {key: _plain(value) for key, value in settings.items()}
        for part in hparams(plain, dict(metrics)):  # type: ignore[no-untyped-call]
            self._writer._get_file_writer().add_summary(part)  # type: ignore[no-untyped-call]
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, self._line.steps)

    def close(self) -> None:
        """Finish the files and leave the live line as it stands."""
        self._line.close()
        self._writer.close()
        self._metrics.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _ProgressLine:
    """Step, loss parts, kept share, images a second and time left: live in a terminal, else a line for each log."""

    def __init__(self, console: Console, steps: int, start: int) -> None:
        self.console, self.steps = console, steps
        self.first: tuple[int, float] | None = None  # the first step told, and when: compiling comes before it
        self.live = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
            disable=not console.is_interactive,
        )
        self.task = self.live.add_task("", total=steps, completed=start, text="")
        self.parts: list[str] = []
        self.live.start()

    def log(self, step: int, values: Values, text: str | None) -> None:
        if not _progress_parts(values):  # an evaluation: worth keeping on the screen
            scalars = {name: value for name, value in values.items() if not isinstance(value, Sequence)}
            start = f"step {step}/{self.steps}  "
            text = text or "  ".join(f"{_shown(name)} {value:.4g}" for name, value in scalars.items())
            self.print(start + text.replace("\n", "\n" + " " * len(start)))
            return
        self.progress(step, values)
        if self.live.disable:
            self.print("  ".join([f"step {step}/{self.steps}", *self.parts, *self._time_left(step)]))

    def progress(self, step: int, values: Values) -> None:
        self.first = self.first or (step, time.monotonic())
        self.parts = _progress_parts(values) or self.parts
        if not self.live.disable:
            self.live.update(self.task, completed=step, text="  ".join([*self.parts, *self._time_left(step)]))

    def print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self.live.stop()

    def _time_left(self, step: int) -> list[str]:
        """Return the time left at the rate since the first step told; nothing before there is a rate."""
        assert self.first is not None
        first_step, first_time = self.first
        if step <= first_step:
            return []
        seconds = (time.monotonic() - first_time) / (step - first_step) * (self.steps - step)
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return [f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"]


def _progress_parts(values: Values) -> list[str]:
    names = [name for name in values if name in ("loss", "kept") or name.startswith("loss/")]
    parts = [f"{name} {values[name]:.4g}" for name in names]
    if parts and "images_per_second" in values:
        parts.append(f"{values['images_per_second']:.0f} images/s")
    return parts


def _scalars(values: Values) -> Iterator[tuple[str, float]]:
    """Go through the numbers by the names that TensorBoard shows them under."""
    for name, value in values.items():
        if isinstance(value, Sequence):
            yield from ((f"{_shown(name)}/{index}", element) for index, element in enumerate(value))
        else:
            yield _shown(name), value


def _shown(name: str) -> str:
    return f"oracle, not used/{name.removeprefix(ORACLE)}" if name.startswith(ORACLE) else name


def _plain(value: object) -> float | str:
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return json.dumps(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())  # the projector reads a table with a point a line and tabs between its columns


def _json(value: float | Sequence[float]) -> object:
    """Return what JSON can hold: it knows no NaN and no infinity."""
    if isinstance(value, Sequence):
        return [_json(element) for element in value]
    return value if math.isfinite(value) else None


def _rewind(path: Path, start: int) -> None:
    """Drop what was logged after step ``start``, and everything where a run starts anew."""
    rows = path.read_bytes().splitlines() if start and path.exists() else []
    temporary = path.with_name(f"{path.name}.partial")
    temporary.write_bytes(b"".join(row + b"\n" for row in rows if _step(row) <= start))
    temporary.replace(path)


def _step(row: bytes) -> float:
    """Return a row's step; a row that a killed process left unfinished counts as the last."""
    try:
        return int(json.loads(row)["step"])
    except ValueError:
        return math.inf
