import io
import re

import pytest
from rich.console import Console

from dacn.trainer.progress_line import ProgressLine
from tests.trainer.consoles import VALUES, plain_console, printed


def set_clock(monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
    clock = iter(seconds)
    monkeypatch.setattr("dacn.trainer.progress_line.time.monotonic", lambda: next(clock))


def test_without_a_terminal_each_log_is_a_plain_line(monkeypatch: pytest.MonkeyPatch) -> None:
    console = plain_console()
    line = ProgressLine(console, 1200)
    set_clock(monkeypatch, 10.0, 20.0, 20.0)
    line.progress(1, {})
    line.log(101, VALUES)  # 100 steps in 10 seconds, and 1099 to go
    line.log(101, {"target/accuracy": 91.254, "oracle/pseudo_label_accuracy": 97.0, "p_target": [0.5, 0.5]})
    line.print("[bold] is not markup, and a long line is not wrapped")
    line.close()
    assert printed(console) == [
        "step 101/1200  loss 0.8123  loss/source 0.75  kept 0.31  1450 images/s  1:50 left",
        "step 101/1200  target/accuracy 91.25  oracle, not used/pseudo_label_accuracy 97",
        "[bold] is not markup, and a long line is not wrapped",
    ]


def test_hours_left(monkeypatch: pytest.MonkeyPatch) -> None:
    console = plain_console()
    line = ProgressLine(console, 5002, start=1)
    set_clock(monkeypatch, 0.0, 3.0)
    line.log(1, {"loss": 1.0})
    line.log(2, {"loss": 1.0})
    assert printed(console) == ["step 1/5002  loss 1", "step 2/5002  loss 1  4:10:00 left"]


def test_an_evaluation_may_be_told_in_lines_of_its_own() -> None:
    console = plain_console()
    ProgressLine(console, 9).log(3, {"a_distance": 1.5}, "two\nlines")
    assert printed(console) == ["step 3/9  two", "          lines"]


def test_a_live_line_shows_the_last_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    line = ProgressLine(console, 100)
    line.log(50, VALUES)
    line.progress(60, {})
    line.print("figures are written")
    line.log(60, {"source/accuracy": 98.5})
    line.close()
    assert isinstance(console.file, io.StringIO)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    assert "figures are written" in text
    assert "step 60/100  source/accuracy 98.5" in text
    last = text.strip().splitlines()[-1]
    assert re.match(r"step 60/100 .* left  loss 0.8123  kept 0.31  1450 images/s  loss/source 0.75", last)
