"""The README is a page, links lead somewhere, and the site builds without a warning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, REPOSITORY, links, name

README = REPOSITORY / "README.md"
GENERATED = {REPOSITORY / "docs" / "generated" / "recipe.md"}


def test_the_readme_is_a_page() -> None:
    lines = README.read_text("utf-8").splitlines()
    assert len(lines) <= 200
    cells = [cell for line in lines if line.startswith("|") for cell in line.split("|")]
    assert not [cell for cell in cells if "dacn " in cell or "--" in cell.replace("---", "")], "commands in a table"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    assert [str(link) for link in links(page) if not link.exists() and link not in GENERATED] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_is_named_beside_a_file_stands_in_it(page: Path) -> None:
    """As in ``[`cli/train.py`](../dacn/cli/train.py) `command` ``."""
    named = re.findall(r"\]\(([^)]+\.py)\)\s+`(\w+)`", page.read_text("utf-8"))
    for target, symbol in named:
        source = (page.parent / target).read_text("utf-8")
        assert re.search(rf"^(?:class|def) {symbol}\b|^{symbol}\b", source, re.MULTILINE), f"{symbol} in {target}"


def test_every_page_is_in_the_site() -> None:
    index = (REPOSITORY / "docs" / "index.md").read_text("utf-8")
    listed = set(re.findall(r"^([\w/]+)$", index, re.MULTILINE))
    assert {page.stem for page in PAGES} - {"README", "index"} <= listed


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="needs pip install 'dacn[docs]'")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(tmp_path / "trees"), "docs"]
    done = subprocess.run([*command, str(tmp_path / "site")], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "https://" not in re.sub(r'<a [^>]*href="[^"]*"', "", page), "the site opens without a network"
    reference = (tmp_path / "site" / "generated" / "recipe.html").read_text("utf-8")
    assert "threshold" in reference
