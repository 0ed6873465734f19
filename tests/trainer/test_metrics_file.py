import json
import math
from pathlib import Path

import pytest

from dacn.trainer.metrics_file import MetricsFile


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def test_each_step_has_one_object_however_often_it_is_logged(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.log(50, {"loss": 0.8123, "p_source": [0.25, 0.75]})
    file.log(100, {"loss": 0.5, "kept": 0.9})
    file.log(100, {"target/accuracy": 91.25, "kept": 1.0})
    assert rows(path) == [  # at once, not when the file is closed
        {"step": 50, "loss": 0.8123, "p_source": [0.25, 0.75]},
        {"step": 100, "loss": 0.5, "kept": 1.0, "target/accuracy": 91.25},
    ]
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.log(101, {"loss": 0.5})


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.log(1, {"loss": math.nan, "threshold": -math.inf, "p_target": [0.5, math.inf]})
    file.close()
    assert rows(path) == [{"step": 1, "loss": None, "threshold": None, "p_target": [0.5, None]}]


@pytest.mark.parametrize(("start", "kept"), [(0, []), (50, []), (200, [100, 200]), (400, [100, 200, 300])])
def test_rows_after_the_start_and_a_torn_last_one_are_dropped(tmp_path: Path, start: int, kept: list[int]) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {step}}}\n' for step in (100, 200, 300)) + '{"step": 350, "lo')
    MetricsFile(path, start).close()
    assert [row["step"] for row in rows(path)] == kept
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]
