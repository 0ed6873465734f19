"""The pages that the repository's readers see, and what stands in them."""

import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def blocks(page: Path, kind: str) -> list[str]:
    """Return the fenced blocks of a kind, such as ``python``; ``""`` for those without a word."""
    fences = re.findall(r"^```(\S*)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [block for its_kind, block in fences if its_kind == kind]


def links(page: Path) -> Iterator[Path]:
    """Yield the files that a page links or shows."""
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            yield page.parent / target


def name(page: Path) -> str:
    """Return a page's name in test reports."""
    return page.stem
