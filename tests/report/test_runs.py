import json
from pathlib import Path

import pytest

from dacn.errors import DataError
from dacn.report.runs import GRID, find_runs
from tests.report.written import write_run


def test_runs_are_found_at_any_depth_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for seed in (10, 9):
        write_run(tmp_path / "norm=bn" / f"seed{seed}", seed)
    begun = write_run(tmp_path / "begun", finished=False)
    runs, unfinished = find_runs([tmp_path])
    assert [run.folder.name for run in runs] == ["seed9", "seed10"]
    assert [run.seed for run in runs] == [9, 10]
    assert unfinished == [begun]


def test_runs_of_a_comparison_come_in_its_order(tmp_path: Path) -> None:
    cells = ["norm=bn/seed0", "norm=bn/seed1", "norm=acn/seed0", "norm=acn/seed1"]
    for name in [*cells, "norm=abc/seed0"]:
        write_run(tmp_path / "runs" / "x-compare" / name, int(name[-1]))
    (tmp_path / "runs" / "x-compare" / GRID).write_text(json.dumps({"cells": cells}))
    write_run(tmp_path / "runs" / "b")
    write_run(tmp_path / "runs" / "y")

    def order(path: Path) -> list[str]:
        return [run.folder.relative_to(tmp_path / "runs").as_posix() for run in find_runs([path])[0]]

    inside = [f"x-compare/{name}" for name in [*cells, "norm=abc/seed0"]]
    assert order(tmp_path / "runs" / "x-compare") == inside
    assert order(tmp_path / "runs") == ["b", *inside, "y"]
    assert order(tmp_path / "runs" / "x-compare" / "norm=acn") == inside[2:4]
    (tmp_path / "runs" / "x-compare" / GRID).write_text("{")
    assert order(tmp_path / "runs" / "x-compare")[0] == "x-compare/norm=abc/seed0"


def test_a_run_given_twice_counts_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    assert len(find_runs([folder, tmp_path])[0]) == 1


def test_numbers_that_are_no_numbers_are_none(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", target=None)
    ((run,), _) = find_runs([folder])
    assert run.number("source", "selected") == 99.0
    assert run.number("target", "selected") is None
    assert run.number("target", "selected", "deeper") is None
    assert run.number("warnings") is None
    (folder / "summary.json").write_text('{"seconds": NaN, "steps": true}')
    ((run,), _) = find_runs([folder])
    assert (run.number("seconds"), run.number("steps")) == (None, None)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("summary.json", '{"recipe": ', "the run cannot be read"),
        ("summary.json", "[1, 2]", r"summary\.json: damaged, it holds no keys"),
        ("recipe.yaml", "a: [", "the run cannot be read"),
        ("recipe.yaml", "seed: soon", r"recipe\.yaml: seed: got 'soon', expected a whole number"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, file: str, content: str, message: str) -> None:
    folder = write_run(tmp_path / "a")
    (folder / file).write_text(content)
    with pytest.raises(DataError, match=message) as error:
        find_runs([tmp_path])
    assert str(folder) in str(error.value)


def test_folders_without_runs(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(DataError, match="rusn: no such folder; did you mean 'runs'"):
        find_runs([tmp_path / "rusn"])
    (tmp_path / "runs" / "a.log").touch()
    with pytest.raises(DataError, match=r"a\.log: is a file; give a run's folder, or one of runs"):
        find_runs([tmp_path / "runs" / "a.log"])
    with pytest.raises(DataError, match=r"runs: holds no run; a run is a folder with a recipe\.yaml"):
        find_runs([tmp_path / "runs"])
