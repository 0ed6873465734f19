"""A trained network's word on images: classes and probabilities as a table."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from dacn.data.read.image_files import Chunk, open_images
from dacn.data.read.passed_over import describe_passed_over
from dacn.data.values import ValueRange
from dacn.deploy.adapt.online import BATCH, Stream
from dacn.deploy.loading import load_run
from dacn.errors import DacnError, DataError, RunError
from dacn.machine.faults import out_of_memory
from dacn.machine.whole_file import require_writable, whole_file

TOP = 3
COLUMNS = ("path", "class", "confidence", "class_2", "confidence_2", "class_3", "confidence_3", "problem")
"""Of the table: the most probable class and its probability, the next two, and why an image could not be read."""

Row = dict[str, Any]


def predict_run(
    run: Path | str,
    images: Path | str,
    *,
    out: Path | str | None = None,
    context: str | None = None,
    checkpoint: str = "selected",
    device: str = "auto",
    on_bad_image: Literal["error", "skip"] = "error",
    value_range: tuple[float, float] | None = None,
    batch_size: int | None = None,
    adapt: Literal["online"] | None = None,
    method: str = "context",
    domains: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Predict the class of images with the network of a run.

    Images are fitted as in training, and no more of them than a batch are held in memory.

    Args:
        run: the run folder; its data need not be there.
        images: a folder of images at any depth, one image, or an .npz archive with ``images``.
        out: CSV file of the columns `COLUMNS`; without one, the result holds the rows as ``predictions``.
        context: see `dacn.deploy.network.Network.context`.
        checkpoint: ``last`` or ``selected``.
        device: ``auto``, ``cpu`` or ``cuda``.
        on_bad_image: what an unreadable image does: ``error`` writes nothing and names all of them, ``skip`` writes a
            row without a class that says why.
        value_range: ``(low, high)``, what becomes black and white in images of more than 8 bits; by default as in the
            run's training.
        batch_size: images at a time; by default the recipe's evaluate.batch_size, or 16 in a stream.
        adapt: ``online`` takes the images for a stream of a new domain, and learns from each batch without labels
            (`dacn.deploy.adapt.online.Stream`); the context is then the known one that it starts from, by default the
            nearest. Unreadable images teach nothing.
        method: how a stream is learned from.
        domains: how many domains it may be of, told apart by themselves.
        progress: told how many of how many images are done.

    Returns:
        Run, checkpoint, step and context; how many images were predicted, ``unreadable`` or given each class; their
        mean confidence; the ``range`` of values of more than 8 bits, with ``notes`` on those images; and in
        ``passed_over`` what else the folder holds (`dacn.data.read.passed_over.PassedOver`), which ``notes`` tell too.

    Raises:
        DacnError: no such run, context or images, an empty range, or images that cannot be read.
        RunError: out of memory, or the table cannot be written.
    """
    if out is not None:
        require_writable(Path(out))
    network = load_run(run, checkpoint, device)
    stream = None
    if adapt is not None:
        known = None if context is None else network.context(context)
        stream = Stream(network, method, known, domains)
        batch_size = batch_size or BATCH
    shown = context = network.context(context)

    def ask(rows: Tensor) -> Tensor:
        return network.predict(rows, shown) if stream is None else stream.predict(rows)

    if value_range is not None and not value_range[0] < value_range[1]:
        raise DacnError(f"--range {value_range[0]:g} {value_range[1]:g}: expected LOW below HIGH")
    reading = ValueRange(*value_range) if value_range is not None else network.interface.value_range
    source = open_images(Path(images), network.resize_size, network.fit(context), reading, crop=network.image_size)
    counts, confidence, unreadable = Counter[str](), 0.0, 0
    kept: list[Row] = []
    with ExitStack() as stack:
        write = kept.append if out is None else _table(stack.enter_context(whole_file(Path(out))), stack)
        batches = source.chunks(batch_size or network.recipe.evaluate.batch_size)
        for row in _rows(ask, network.classes, batches, len(source), on_bad_image, progress):
            write(row)
            unreadable += bool(row["problem"])
            if not row["problem"]:
                counts[row["class"]] += 1
                confidence += row["confidence"]
    predicted = counts.total()
    return {
        "run": str(run),
        "checkpoint": checkpoint,
        "step": network.step,
        "context": context if stream is None else network.contexts[stream.start],
        **({} if stream is None else {"adapted": stream.summary()}),
        "images": predicted,
        "unreadable": unreadable,
        "range": None if reading is None else [reading.low, reading.high],
        "notes": [*filter(None, [describe_passed_over(images, source.passed_over)]), *source.notes(), *_told(stream)],
        "mean_confidence": round(confidence / predicted, 6),
        "classes": {name: counts[name] for name in network.classes},
        "passed_over": [asdict(part) for part in source.passed_over],
        **({"predictions": kept} if out is None else {"out": str(out)}),
    }


def _told(stream: Stream | None) -> list[str]:
    return [] if stream is None else stream.notes


def _rows(
    ask: Callable[[Tensor], Tensor],
    classes: Sequence[str],
    batches: Iterator[Chunk],
    total: int,
    on_bad_image: str,
    progress: Callable[[int, int], None],
) -> Iterator[Row]:
    """Yield a row an image.

    Once an image is bad that must not be, the others are only read, to name all that are.
    """
    problems: list[str] = []
    done = 0
    for chunk in batches:
        bad = [f"  {name}: {problem}" for name, problem in zip(chunk.names, chunk.problems, strict=True) if problem]
        problems += bad
        if not problems or on_bad_image == "skip":
            with _memory_explained():
                sound = torch.tensor([problem is None for problem in chunk.problems])
                probabilities = torch.zeros(len(sound), len(classes))
                if sound.any():
                    probabilities[sound] = ask(chunk.images[sound])
            yield from _chunk_rows(chunk, probabilities, classes)
        done += len(chunk.names)
        progress(done, total)
    if problems and (on_bad_image == "error" or len(problems) == total):
        more = f"\n  and {len(problems) - 5} more" if len(problems) > 5 else ""
        fix = "replace or remove them" + (", or --on-bad-image skip" if len(problems) < total else "")
        raise DataError(
            f"{len(problems):,} of {total:,} images cannot be read; {fix}:\n" + "\n".join(problems[:5]) + more
        )


def _chunk_rows(chunk: Chunk, probabilities: Tensor, classes: Sequence[str]) -> Iterator[Row]:
    top = probabilities.topk(min(TOP, len(classes)), dim=1)
    for name, problem, values, indices in zip(
        chunk.names, chunk.problems, top.values.tolist(), top.indices.tolist(), strict=True
    ):
        row: Row = dict.fromkeys(COLUMNS, "") | {"path": name, "problem": problem or ""}
        if problem is None:
            for column, (value, index) in enumerate(zip(values, indices, strict=True)):
                row[COLUMNS[1 + 2 * column]] = classes[index]
                row[COLUMNS[2 + 2 * column]] = round(value, 6)
        yield row


@contextmanager
def _memory_explained() -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise RunError("out of memory; lower --batch-size") from error


def _table(path: Path, stack: ExitStack) -> Callable[[Row], Any]:
    """Return what writes a row to a new CSV file; a name that is no UTF-8 keeps its bytes."""
    file = stack.enter_context(path.open("w", encoding="utf-8", errors="surrogateescape", newline=""))
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    return writer.writerow
