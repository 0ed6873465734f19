"""TensorBoard's files: scalars, pictures, histograms, texts, and points for the projector."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from dacn.trainer.measured import Values, shown_name
from dacn.trainer.recorder import Recorder


class EventFile(Recorder):
    """Writes what TensorBoard shows of one run.

    Args:
        folder: where its files are.
        start: steps already done. What an earlier process wrote of later steps is not shown any more; nothing is where
            a run starts anew.
        classes: names of the elements of vectors that have as many.
    """

    def __init__(self, folder: Path, start: int = 0, classes: Sequence[str] = ()) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self.folder, self.classes = folder, classes
        self._Summary = Summary
        self._writer = SummaryWriter(folder, purge_step=start + 1 if start else 0)

    def log(self, step: int, values: Values) -> None:
        """Add one step's scalars; the elements of a vector are ``name/CLASS``, or ``name/0``, ``name/1``, ..."""
        # One event for all scalars: `add_scalar` makes one of each, which takes far longer.
        told = [self._Summary.Value(tag=name, simple_value=value) for name, value in _scalars(values, self.classes)]
        self._writer._get_file_writer().add_summary(self._Summary(value=told), step)  # type: ignore[no-untyped-call]

    def images(self, name: str, step: int, images: Tensor) -> None:
        """Add a picture: uint8 ``(3, H, W)``."""
        self._writer.add_image(name, images.cpu(), step)

    def histogram(self, name: str, step: int, values: Tensor) -> None:
        """Add a histogram of a tensor's finite elements."""
        values = values.detach().float().cpu()
        values = values[values.isfinite()]
        if len(values):
            self._writer.add_histogram(name, values, step)

    def text(self, name: str, text: str) -> None:
        """Add a Markdown text."""
        self._writer.add_text(name, text)

    def chart(self, layout: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Put scalars together in *Custom scalars*: group, then chart, then patterns of their names."""
        charts = {
            group: {name: ["Multiline", list(tags)] for name, tags in panels.items()}
            for group, panels in layout.items()
        }
        self._writer.add_custom_scalars(charts)

    def embedding(
        self, name: str, step: int, features: Tensor, rows: Mapping[str, Sequence[str]], images: Tensor
    ) -> None:
        """Add points to the projector, in place of what an earlier call left there.

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

    def hyperparameters(self, step: int, settings: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Add the settings of the run and its final numbers to the table of runs.

        They go into the run's own event file: `SummaryWriter.add_hparams` would make a second run of them.

        Args:
            step: that the final numbers are of.
            settings: by key path; what is neither a number nor a text is written out.
            metrics: by name.
        """
        from torch.utils.tensorboard.summary import hparams

        plain = {key: _plain(value) for key, value in settings.items()}
        for part in hparams(plain, dict(metrics)):  # type: ignore[no-untyped-call]
            self._writer._get_file_writer().add_summary(part)  # type: ignore[no-untyped-call]
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish the files."""
        self._writer.close()


GROUPS = {"label_free": "scores without labels", "contexts": "normalization contexts", "ece": "reliability"}
"""What groups of scalars are called in TensorBoard, which sorts them: accuracy and loss come first."""


def tag_of(name: str) -> str:
    """Return the name that a scalar has in TensorBoard.

    >>> tag_of("accuracy/target"), tag_of("loss"), tag_of("kept"), tag_of("label_free/mutual_information")
    ('accuracy/target', 'loss', 'training/kept', 'scores without labels/mutual_information')
    """
    group, slash, rest = shown_name(name).partition("/")
    if not slash:
        return group if group == "loss" else f"training/{group}"
    return f"{GROUPS.get(group, group)}/{rest}"


def _scalars(values: Values, classes: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Go through the numbers by the names that TensorBoard shows them under; of vectors, a number a class."""
    for name, value in values.items():
        if isinstance(value, Sequence):
            names = classes if len(classes) == len(value) else [*map(str, range(len(value)))]
            yield from ((f"{shown_name(name)}/{of}", element) for of, element in zip(names, value, strict=True))
        else:
            yield tag_of(name), value


def _plain(value: object) -> float | str:
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return json.dumps(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())  # the projector reads a table with a point a line and tabs between its columns
