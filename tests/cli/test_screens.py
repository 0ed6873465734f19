"""What the commands print in a terminal of 80 and of 120 columns, and into a pipe."""

import io
import os
import pty
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

from dacn.cli import main
from dacn.trainer.progress_line import ProgressLine
from tests.report.written import norm, write_run

WIDTHS = [80, 120]
TINY = {
    "data": {"pair": "digits", "image_size": 16},
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"steps": 4, "source_batch": 4, "target_ratio": 1, "log_every": 1},
    "evaluate": {"every": 2},
}


def plain(text: str) -> list[str]:
    """The lines of what a terminal was sent, without its control codes."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))


def assert_fits(text: str, columns: int) -> list[str]:
    lines = [line.rstrip() for line in plain(text)]
    too_long = [line for line in lines if len(line) > columns and " " in line.strip()]
    assert not too_long, too_long
    assert not [line for line in lines if "…" in line or "..." in line]
    return lines


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    """A terminal of so many columns, as far as rich asks."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    columns: int = request.param
    monkeypatch.setenv("COLUMNS", str(columns))
    return columns


def dacn(*arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        write_run(tmp_path / "runs" / f"bn{seed}", seed, 90.0 + seed)
        write_run(tmp_path / "runs" / f"cn{seed}", seed, 93.0 + 2 * seed, **norm("cn"))
    return tmp_path


@pytest.mark.parametrize("terminal", WIDTHS, indirect=True)
def test_report_is_a_table_in_a_terminal(runs: Path, terminal: int) -> None:
    lines = assert_fits(dacn("report", "runs"), terminal)
    head = lines[0].split()
    assert head[:2] == ["accuracy,", "%"]
    assert "selected" in head
    assert any("90.5 ± 0.7" in line for line in lines)
    assert not any("|" in line for line in lines)
    left_out = [line for line in lines if line.startswith("left out on this screen")]
    assert bool(left_out) == ("seeds" not in head), "what is missing is said"


@pytest.mark.parametrize("terminal", WIDTHS, indirect=True)
def test_markdown_when_it_is_asked_for(runs: Path, terminal: int) -> None:
    assert dacn("report", "runs", "--format", "md").startswith("|  | source |")


def test_markdown_into_a_pipe(runs: Path) -> None:
    said = dacn("report", "runs")
    assert said.startswith("|  | source |")
    assert "\x1b" not in said


@pytest.mark.parametrize("terminal", WIDTHS, indirect=True)
def test_training_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: int) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    lines = assert_fits(dacn("train", "tiny.yaml", "--out", "run", "--device", "cpu"), terminal)
    assert any(re.fullmatch(r"step 2/4  source [\d.]+ %, target [\d.]+ % right", line) for line in lines)
    assert any(re.fullmatch(r" +mutual information .*; chosen without labels so far: step 2", line) for line in lines)
    if terminal == WIDTHS[0]:
        detailed = dacn("train", "tiny.yaml", "--out", "run", "--device", "cpu", "--force", "-v")
        assert any("averaged weights, context" in line for line in assert_fits(detailed, terminal))


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_bar_and_time_left_stay_on_one_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Console(force_terminal=True, width=columns, file=io.StringIO())
    line = ProgressLine(screen, 131_072)
    clock = iter([0.0] + [10.0] * 9)
    monkeypatch.setattr("dacn.trainer.progress_line.time.monotonic", lambda: next(clock))
    line.progress(1, {})
    values = {"loss": 0.8123, "loss/source": 0.75, "loss/target": 0.25, "kept": 0.31, "images_per_second": 1450.4}
    line.log(1001, values)
    line.close()
    assert isinstance(screen.file, io.StringIO)
    shown = [text for text in plain(screen.file.getvalue()) if text.startswith("step 1001/131072")]
    assert "21:40 left" in shown[-1] or "21:41 left" in shown[-1]
    assert "━" in shown[-1]
    assert "loss 0.8123" in shown[-1]
    assert ("loss/source" in shown[-1]) == (columns == 120)
    assert max(map(len, shown)) <= columns


@pytest.mark.slow
@pytest.mark.parametrize("columns", WIDTHS)
def test_in_a_real_terminal(tmp_path: Path, columns: int) -> None:
    """A pseudo-terminal: the live line, the evaluations and the last tables, none wider than the screen."""
    import fcntl
    import termios

    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "dacn", "train", "tiny.yaml", "--out", "run", "--device", "cpu"]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        said += part
    os.close(ours)
    assert process.wait() == 0, said.decode()
    lines = assert_fits(said.decode(), columns)
    assert any("━" in line and line.startswith("step 4/4") for line in lines)
