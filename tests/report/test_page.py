"""The page: what it says, that it stands alone, and that a real browser shows it."""

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dacn.report.write import gather, write_page
from tests.report.written import norm, write_run

HOSTILE = '<script>alert("x")</script> & "quoted"'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Links(HTMLParser):
    """Collects what a page would fetch, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    for seed, target in enumerate((90.0, 91.0)):
        write_run(runs / "bn" / str(seed), seed, target, **norm("bn"))
        write_run(runs / "acn" / str(seed), seed, target + 2 * seed, **norm("acn", eta=0.05))
    write_run(runs / "hostile", target=None, name=HOSTILE)
    write_run(runs / "begun", finished=False)
    rows, left_out = gather([runs])
    write_page(tmp_path / "report.html", rows, left_out)
    return tmp_path / "report.html"


def test_it_stands_alone(page: Path) -> None:
    parser = Links()
    parser.feed(page.read_text())
    assert len(parser.links) == 3  # a figure of each seed, which the runs share, and an empty icon
    assert all(link.startswith("data:") for link in parser.links)
    assert parser.tags.count("script") == 1
    assert not {"iframe", "object", "embed", "base", "form"} & {*parser.tags}
    assert "url(" not in page.read_text()
    assert "@import" not in page.read_text()
    assert "default-src 'none'" in page.read_text()
    assert not list(page.parent.glob("*.partial"))


def test_names_are_escaped(page: Path) -> None:
    assert page.read_text().count("<script") == 1, "the page's own, which its policy names by a digest"
    assert "<script>alert" not in page.read_text()
    assert "&lt;script&gt;" in page.read_text()


@pytest.mark.slow
def test_five_runs_with_their_figures_are_less_than_2_mb(tmp_path: Path) -> None:
    pictures = sorted((Path(__file__).parents[2] / "docs" / "pictures").glob("*.png"))[:10]
    for seed in range(5):
        folder = write_run(tmp_path / "runs" / str(seed), seed) / "figures"
        for picture in pictures:
            (folder / picture.name).write_bytes(picture.read_bytes() + bytes([seed]))  # no two runs have the same
    rows, left_out = gather([tmp_path])
    write_page(tmp_path / "report.html", rows, left_out)
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
    assert (tmp_path / "report.html").read_text().count("data:image/webp") > 40


ASKED = """
<script>
const rows = () => [...document.querySelectorAll(".results tbody tr")];
const seen = {wide: document.documentElement.scrollWidth - window.innerWidth};
document.querySelectorAll(".results thead th")[3].click();
seen.sorted = rows().map((row) => row.cells[3].textContent.trim());
document.querySelectorAll(".results thead th")[0].click();
document.querySelectorAll(".results thead th")[0].click();
seen.names = rows().map((row) => row.cells[0].textContent);
const svg = document.querySelector(".plot svg"), box = svg.getBoundingClientRect();
svg.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + 60}));
seen.told = document.querySelector(".told").textContent;
document.documentElement.dataset.seen = JSON.stringify(seen);
</script>
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1280])
def test_it_answers_in_a_browser(page: Path, tmp_path: Path, width: int) -> None:
    """Nothing is wider than the screen, a click sorts the table, a pointer reads the curves."""
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    text = page.read_text()
    policy = text[text.index("<meta http-equiv") : text.index("<title>")]  # it would keep this test's script out
    asked = tmp_path / "asked.html"
    asked.write_text(text.replace(policy, "").replace("</body>", f"{ASKED}</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom"]
    flags.append(f"--user-data-dir={tmp_path / 'profile'}")
    done = subprocess.run([CHROMIUM, *flags, asked.as_uri()], capture_output=True, text=True, timeout=240, check=True)
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found is not None
    seen = json.loads(unescape(found[1]))
    assert seen["wide"] <= 0
    assert [float(text.split()[0]) for text in seen["sorted"] if text != "-"] == [91.5, 90.5]
    assert seen["names"] == sorted(seen["names"])
    assert re.match(r"step [\d,]+: .*trial", seen["told"])


def test_without_metrics_and_figures_there_is_a_page_all_the_same(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", target=None)
    for file in ("metrics.jsonl", "environment.json", "figures/curves.png"):
        (folder / file).unlink()
    (folder / "summary.json").write_text("{}")
    rows, left_out = gather([tmp_path])
    write_page(tmp_path / "report.html", rows, left_out)
    assert "<h2>Curves</h2>" not in (tmp_path / "report.html").read_text()


def test_contexts_that_are_no_domains_are_shown_known_inferred_and_unknown(tmp_path: Path) -> None:
    file = write_run(tmp_path / "run") / "summary.json"
    contexts = {"kind": "superclass", "leaks": True, "target": {"known": 72.0, "inferred": 60.25, "unknown": None}}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"contexts": contexts}))
    rows, left_out = gather([tmp_path])
    write_page(tmp_path / "report.html", rows, left_out)
    cells = Cells()
    cells.feed((tmp_path / "report.html").read_text())
    assert ["target data", "72.0", "60.2", "-"] in cells.rows
    assert "The context comes from the label" in (tmp_path / "report.html").read_text()


@pytest.fixture
def dom(page: Path, tmp_path: Path) -> str:
    """Return the page's text as a browser made it, after its network log was checked."""
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    log = tmp_path / "net.json"
    flags = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=5000"),
        *(f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--dump-dom"),
    ]
    done = subprocess.run([CHROMIUM, *flags, page.as_uri()], capture_output=True, text=True, timeout=240, check=True)
    urls = {event.get("params", {}).get("url", "") for event in json.loads(log.read_text())["events"]}
    assert not {url for url in urls if url.startswith(("http://", "https://")) and "google" not in url}
    return done.stdout


def test_a_real_browser_shows_it(dom: str) -> None:
    cells = Cells()
    cells.feed(dom)
    rows = {row[0]: row[1:] for row in cells.rows if row}
    assert rows["trial: model.norm=acn"][:5] == ["99.0 ± 0.0", "90.5 ± 2.1", "91.5 ± 2.1", "92.5 ± 2.1", "1.0"]
    assert rows["trial: model.norm=bn"][5] == "-1.0p = 0.50, 2 pairs"
    assert rows[HOSTILE][:5] == ["99.0", "-", "-", "-", "-"]
    assert [row[1:] for row in cells.rows if row[:1] == ["target data"]] == [
        ["-", "91.5 ± 2.1", "89.5 ± 2.1"],
        ["-", "90.5 ± 0.7", "88.5 ± 0.7"],
        ["-"],
    ]
    for text in ("Left out, not finished", "this one was slow", "Seed 1", "width: 4", "dacn train trial.yaml"):
        assert text in dom, text
    assert "<script>alert" not in dom
    assert dom.count("<polyline") == dom.count("<svg") * 3, "the page's own script ran: a line for each row that logged"


class Cells(HTMLParser):
    """Collects the rows of all tables."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data
