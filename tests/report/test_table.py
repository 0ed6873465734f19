import csv
import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from dacn.report.rows import Row
from dacn.report.table import FORMATS, HEADINGS
from dacn.report.write import gather, write_tables
from tests.report.written import norm, write_run

NASTY = r"50%_a&b|c*d#1$[x]{y}~^\`<z>"


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    for seed, target in enumerate((90.0, 91.0, 95.5)):
        write_run(tmp_path / "bn" / str(seed), seed, target, **norm("bn"))
    for seed, target in ((1, 94.0), (2, 97.0)):
        write_run(tmp_path / "cn" / str(seed), seed, target, **norm("cn"))
    write_run(tmp_path / "unlabelled", 0, None, name=NASTY)
    return gather([tmp_path])[0]


def test_markdown(rows: list[Row]) -> None:
    lines = FORMATS["md"](rows).splitlines()
    assert lines[0] == f"| {' | '.join(HEADINGS)} |"
    assert lines[2] == "| trial: model.norm=bn | 99.0 | 91.2 | 92.2 ± 2.9 | 93.2 | - | 0 / 1 / 2 | 3 | 31 s | 100 |"
    assert lines[3] == (
        "| trial: model.norm=cn | 99.0 | 94.5 | 95.5 ± 2.1 | 96.5 | +2.2 (p = 0.20, 2 pairs) | 1 / 2 | 2 | 32 s | 100 |"
    )
    assert lines[4].endswith(" | 99.0 | - | - | - | - | 0 | 1 | 30 s | 100 |")
    assert lines[4].startswith(r"| 50%\_a\&b\|c\*d\#1$\[x\]{y}\~^\\\`\<z\> |")
    assert FORMATS["md"](rows[:1]).count("\\") == 0  # nor is an underscore inside a word, model.input_norm, markup
    assert "two-sided paired t-test" in lines[6]
    assert "fewer than five pairs" in lines[6]


def test_csv(rows: list[Row]) -> None:
    table = list(csv.DictReader(io.StringIO(FORMATS["csv"](rows))))
    assert float(table[0]["target_selected_mean"]) == pytest.approx(276.5 / 3)
    assert (table[0]["difference"], table[0]["seeds"], table[0]["n"]) == ("-", "0 1 2", "3")
    assert (table[1]["pairs"], float(table[1]["difference"])) == ("2", 2.25)
    assert table[2]["row"] == NASTY
    assert {table[2][f"target_selected_{part}"] for part in ("mean", "std")} == {"-"}


def test_json(rows: list[Row]) -> None:
    tree = json.loads(FORMATS["json"](rows))
    assert [row["name"] for row in tree["rows"]] == ["trial: model.norm=bn", "trial: model.norm=cn", NASTY]
    first, second, third = tree["rows"]
    assert first["comparison"] is None
    assert second["comparison"]["pairs"] == 2
    assert [run["target_selected"] for run in second["runs"]] == [94.0, 97.0]
    assert third["target_selected"] is None
    assert third["source"] == {"mean": 99.0, "std": None}


def test_latex(rows: list[Row]) -> None:
    text = FORMATS["tex"](rows)
    assert r"trial: model.norm=bn & 99.0 & 91.2 & 92.2 $\pm$ 2.9 & 93.2 & - & 0 / 1 / 2 & 3 & 31 s & 100 \\" in text
    escaped = r"50\%\_a\&b\textbar{}c*d\#1\${[}x]\{y\}\textasciitilde{}\textasciicircum{}\textbackslash{}`"
    assert f"{escaped}\\textless{{}}z\\textgreater{{}} & 99.0 & - &" in text
    assert all(line.count("&") - line.count(r"\&") == len(HEADINGS) - 1 for line in text.splitlines() if "99.0" in line)
    assert text.startswith("% Against the first row")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(rows: list[Row], tmp_path: Path) -> None:
    document = f"\\documentclass{{article}}\\begin{{document}}\n{FORMATS['tex'](rows)}\\end{{document}}"
    (tmp_path / "table.tex").write_text(document)
    subprocess.run(["pdflatex", "-halt-on-error", "table.tex"], cwd=tmp_path, check=True, capture_output=True)


def test_files(rows: list[Row], tmp_path: Path) -> None:
    files = write_tables(tmp_path / "out", "comparison", rows)
    assert [file.name for file in files] == [f"comparison.{suffix}" for suffix in (*FORMATS, "png")]
    assert (tmp_path / "out" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {file.name for file in files}
