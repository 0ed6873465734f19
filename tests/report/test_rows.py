import json
from pathlib import Path
from statistics import mean, stdev

import pytest

from dacn.report.names import row_names
from dacn.report.page import page
from dacn.report.rows import make_rows
from dacn.report.runs import find_runs
from dacn.report.significance import compare_paired
from dacn.report.table import against_first, as_json, markdown
from dacn.report.write import gather
from tests.report.written import SEEN, norm, write_run


def test_a_row_is_a_recipe_over_its_seeds(tmp_path: Path) -> None:
    values = {"bn": (90.0, 91.0, 95.0), "cn": (92.0, 92.5, 96.0)}
    for name, targets in values.items():
        for seed, target in enumerate(targets):
            write_run(tmp_path / name / str(seed), seed, target, **norm(name))
    rows, repeated = make_rows(find_runs([tmp_path])[0])
    assert repeated == []
    assert [row.name for row in rows] == ["trial: model.norm=bn", "trial: model.norm=cn"]
    for row, targets in zip(rows, values.values(), strict=True):
        spread = row.spread("target", "selected")
        assert spread is not None
        assert row.seeds == [0, 1, 2]
        assert spread == pytest.approx((mean(targets), stdev(targets)))
    assert rows[0].comparison is None
    assert rows[1].comparison is not None
    assert rows[1].comparison.difference == pytest.approx(1.5)


def test_one_run_has_no_spread_and_no_target_labels_no_numbers(tmp_path: Path) -> None:
    write_run(tmp_path / "a", target=None)
    ((row,), _) = make_rows(find_runs([tmp_path])[0])
    assert row.name == "trial"
    assert row.spread("source", "selected") == (99.0, None)
    assert row.spread("target", "selected") is None


def test_the_same_run_twice_is_no_second_measurement(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    again = write_run(tmp_path / "b")
    rows, repeated = make_rows(find_runs([tmp_path])[0])
    assert [len(row.runs) for row in rows] == [1]
    assert [run.folder for run in repeated] == [again]


def test_names_hold_what_differs_and_nothing_else() -> None:
    bn, acn = {"name": "bn", "momentum": 0.1}, {"name": "acn", "eta": 0.1, "fit": "likelihood"}
    recipes = [
        {"name": "a", "seed": 0, "norm": bn, "train": {"steps": 5, "ema": 0.9}},
        {"name": "a", "seed": 1, "norm": acn, "train": {"steps": 5, "ema": 0.9}},
        {"name": "a", "seed": 0, "norm": acn | {"eta": 0.05}, "train": {"steps": 5, "ema": 0.99}},
        {"name": "b", "seed": 0, "norm": bn, "train": {"steps": 9}},
    ]
    assert row_names(recipes) == [
        "a: norm=bn train.ema=0.9",
        "a: norm=acn norm.eta=0.1 train.ema=0.9",
        "a: norm=acn norm.eta=0.05 train.ema=0.99",
        "b",
    ]
    assert row_names([{"name": "a", "data": None}, {"name": "a", "data": {"source": {"folder": "x"}}}]) == [
        "a: data=null",
        "a: data={source: {folder: x}}",
    ]


def test_a_key_that_an_older_recipe_lacks_is_no_difference_to_name(tmp_path: Path) -> None:
    old, new = {"name": "a", "lr": 1}, {"name": "a", "lr": 2, "context": {"name": "domain"}}
    assert row_names([old, new]) == ["a: lr=1", "a: lr=2"]
    write_run(tmp_path / "old")
    write_run(tmp_path / "new", 1, evaluate={"milestones": []})  # what it did without the key nobody knows
    rows, _ = make_rows(find_runs([tmp_path])[0])
    assert [row.name for row in rows] == [f"trial ({tmp_path / folder})" for folder in ("new", "old")]


def test_the_paired_test_by_hand() -> None:
    a, b = {0: 91.0, 1: 93.0, 2: 92.0, 7: 1.0}, {0: 90.0, 1: 91.0, 2: 91.5, 8: 99.0}
    result = compare_paired(a, b)
    assert result is not None
    assert (result.pairs, result.difference) == (3, pytest.approx(3.5 / 3))
    # t = mean / (std / sqrt(n)); with two degrees of freedom the two-sided p is 1 - t / sqrt(2 + t^2).
    t = (3.5 / 3) / (stdev([1.0, 2.0, 0.5]) / 3**0.5)
    assert result.p == pytest.approx(1 - t / (2 + t * t) ** 0.5)
    assert result.mark == ""


@pytest.mark.parametrize(("noise", "mark"), [(0.001, "**"), (0.4, "*"), (5.0, "")])
def test_marks(noise: float, mark: str) -> None:
    values = {0: 91.0, 1: 91.0 + noise, 2: 91.0 - noise}
    result = compare_paired(values, dict.fromkeys(range(3), 90.0))
    assert result is not None
    assert result.mark == mark


@pytest.mark.parametrize("values", [{0: 91.0}, {0: 91.0, 1: 92.0}, {0: 90.0, 1: 91.0}])
def test_too_little_to_tell_gives_no_p(values: dict[int, float]) -> None:
    """One pair, or the same difference in each: no spread to judge it by."""
    result = compare_paired(values, {0: 90.0, 1: 91.0})
    assert result is not None
    assert (result.p, result.mark) == (None, "")
    assert compare_paired(values, {5: 1.0}) is None


def data(home: str, **more: str) -> dict[str, object]:
    return {"data": {"source": {"folder": f"{home}/src"}, "target": {"folder": f"{home}/tgt"}, **more}}


def test_the_same_recipe_on_other_images_is_another_row(tmp_path: Path) -> None:
    for number, (seen, home) in enumerate([(SEEN, "/one"), (SEEN, "/two"), (SEEN | {"source": "x"}, "/one")]):
        write_run(tmp_path / str(number), number, seen=seen, **data(home))
    rows, _ = make_rows(find_runs([tmp_path])[0])
    assert [(row.name, row.seeds) for row in rows] == [
        (f"trial ({tmp_path}/0)", [0, 1]),  # wherever they lie
        (f"trial ({tmp_path}/2)", [2]),
    ]


def test_runs_that_do_not_know_their_images_go_by_where_they_lay(tmp_path: Path) -> None:
    for number, (seen, home) in enumerate([(None, "/one"), (None, "/two"), (None, "/one"), (SEEN, "/one")]):
        write_run(tmp_path / str(number), number, seen=seen, **data(home))
    rows, left_out = gather([tmp_path])
    assert [row.seeds for row in rows] == [[0, 2], [1], [3]]
    (told,) = left_out
    assert told.startswith(f"Not known which images they saw, an older dacn wrote them: {tmp_path}/0, {tmp_path}/1, ")
    assert [row.same_test for row in rows] == [True, False, False]


def test_rows_are_compared_on_the_same_test_images_alone(tmp_path: Path) -> None:
    others = {"same": SEEN | {"source": "x", "target": "y"}, "other": SEEN | {"target_test": "z"}}
    for name, seen in {"first": SEEN, **others}.items():
        for seed, target in enumerate((90.0, 91.0, 93.0)):
            write_run(tmp_path / name / str(seed), seed, target + seed * (name != "first"), seen=seen, **norm(name))
    rows, _ = make_rows(find_runs([tmp_path / name for name in ("first", "same", "other")])[0])
    assert [against_first(row).partition(" (")[0] for row in rows] == ["-", "+1.0", "other test images"]
    assert "rows measured on other test images are not compared" in markdown(rows)
    assert markdown([rows[0], rows[2]]).count("other test images") == 2
    trees = json.loads(as_json(rows))["rows"]
    assert [(tree["comparison"] is None, tree["same_test_images"]) for tree in trees] == [
        *((True, True), (False, True), (True, False))
    ]
    assert "other test images" in page(rows)


def test_older_runs_are_compared_if_their_recipes_test_on_the_same(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seen=None, **data("/one"))
    write_run(tmp_path / "b", seen=None, **data("/one"), **norm("cn"))
    write_run(tmp_path / "c", seen=None, **data("/one", target_test="t"), **norm("mn"))
    rows, _ = make_rows(find_runs([tmp_path])[0])
    assert [row.same_test for row in rows] == [True, True, False]


def test_a_single_path_that_differs_is_in_the_name(tmp_path: Path) -> None:
    for name in ("dogs", "cats"):
        write_run(tmp_path / name, seen=SEEN | {"target": name}, data={"target": {"folder": name}, "root": "/d"})
    rows, _ = make_rows(find_runs([tmp_path / "dogs", tmp_path / "cats"])[0])
    assert [row.name for row in rows] == ["trial: data.target.folder=dogs", "trial: data.target.folder=cats"]
