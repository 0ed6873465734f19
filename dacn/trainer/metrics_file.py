"""``metrics.jsonl``: what was measured, a JSON object a logged step."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from dacn.trainer.measured import Values


class MetricsFile:
    """Writes a row a step, at once: what a killed process had logged is in the file.

    Args:
        path: of the file. A fresh run writes it anew.
        start: steps already done. Rows of later steps, which an earlier process logged after its checkpoint, are
            dropped.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        _rewind(path, start)
        self._file = path.open("ab", buffering=0)
        self._row: dict[str, object] = {}
        self._row_at = 0  # where in the file the last row begins

    def log(self, step: int, values: Values) -> None:
        """Write a row, or add to the last one if it is of the same step. A value that is not finite is null."""
        if step != self._row.get("step"):
            self._row, self._row_at = {"step": step}, self._file.tell()
        self._row |= {name: _json(value) for name, value in values.items()}
        self._file.truncate(self._row_at)
        self._file.write(json.dumps(self._row, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


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
