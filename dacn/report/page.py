"""Writes rows and their runs as one HTML page that contains its figures and loads nothing from elsewhere."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from PIL import Image

from dacn import __version__
from dacn.recipe.yaml import to_yaml
from dacn.report.curves import curve_panels
from dacn.report.rows import SELECTED, Row
from dacn.report.runs import Run
from dacn.report.significance import NOTE
from dacn.report.table import against_first, duration, percent

FIGURES = {
    "curves": "Curves",
    "confusion_target": "Target test set: confusion",
    "predictions_target": "Target test set: predictions",
    "confusion_source": "Source test set: confusion",
    "predictions_source": "Source test set: predictions",
    "features": "Features",
    "views": "What training sees",
    "pair": "The pair",
}
"""Figures of a run in the order of the page; others follow by name."""

WIDE = {"curves"}
WIDEST = 900  # pixels of a figure on the page
_TEMPLATE = Path(__file__).with_name("page.html.jinja")
_SCRIPT = Path(__file__).with_name("page.js")


def page(rows: Sequence[Row], left_out: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        rows: at least one.
        left_out: what is not on it, and why.
    """
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    script = _SCRIPT.read_text(encoding="utf-8")
    shown: set[bytes] = set()
    return template.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        rows=[_row(row, shown) for row in rows],
        compared=any(row.comparison or not row.same_test for row in rows),
        bars=[_bar(row) for row in rows],
        curves=[panel | {"series": json.dumps(panel["series"])} for panel in curve_panels(rows)],
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        left_out=left_out,
        note=NOTE,
        version=__version__,
    )


def _bar(row: Row) -> dict[str, Any]:
    """Return a row's bar: its selected accuracy, its standard deviation and each seed's."""
    spread = row.spread(*SELECTED)
    return {
        "name": row.name,
        "mean": None if spread is None else round(spread.mean, 2),
        "text": percent(spread, with_std=True),
        "seeds": [(seed, round(value, 2)) for seed, value in row.by_seed(*SELECTED).items()],
    }


def _row(row: Row, shown: set[bytes]) -> dict[str, Any]:
    """Return what the page shows of a row; ``shown`` are figures that it shows already, and grows."""
    selected, oracle = row.spread(*SELECTED), row.spread("target", "oracle")
    gap = None if selected is None or oracle is None else oracle.mean - selected.mean
    difference, _, detail = against_first(row).partition(" (")
    return {
        "name": row.name,
        "source": percent(row.spread("source", "selected"), with_std=True),
        "last": percent(row.spread("target", "last"), with_std=True),
        "selected": percent(selected, with_std=True),
        "share": 0 if selected is None else round(selected.mean, 2),
        "oracle": percent(oracle, with_std=True),
        "gap": "-" if gap is None else f"{gap:.1f}",
        "difference": difference,
        "detail": detail.removesuffix(")"),
        "seeds": " / ".join(map(str, row.seeds)),
        "n": len(row.runs),
        "time": duration(row.spread("seconds")),
        "matrix": _matrix(row),
        "label_free": [(_words(name), _mean(row, "label_free", name)) for name in _keys(row, "label_free")],
        "runs": [_run(run, shown) for run in row.runs],
        "recipe": to_yaml({key: value for key, value in row.runs[0].recipe.items() if key != "seed"}),
    }


def _matrix(row: Row) -> dict[str, Any]:
    """Return accuracies by context, means over the seeds: data down, contexts across.

    Where the context is not the domain, with it known, inferred and unknown; else the context matrix.
    """
    modes = [part for part in _keys(row, "contexts") if _keys(row, "contexts", part)]
    paths: dict[tuple[str, str], tuple[str, ...]]
    if modes:
        paths = {(part, mode): ("contexts", part, mode) for part in modes for mode in _keys(row, "contexts", part)}
    else:
        cells = [key.split("/") for key in _keys(row, "matrix") if key.count("/") == 1]
        paths = {(data, context): ("matrix", f"{data}/{context}") for data, context in cells}
    data, contexts = (list(dict.fromkeys(cell[side] for cell in paths)) for side in (0, 1))
    return {
        "contexts": [f"context {mode}" if modes else _words(mode) for mode in contexts],
        "rows": [
            (
                f"{part} data" if modes else _words(part),
                [_cell(row, *paths.get((part, context), ())) for context in contexts],
            )
            for part in data
        ],
        "leaks": any(_part(run, "contexts").get("leaks") is True for run in row.runs),
    }


def _cell(row: Row, *keys: str) -> tuple[str, float]:
    """Return a cell's text, and how dark it is: 0 to 1."""
    spread = row.spread(*keys)
    return percent(spread, with_std=True), 0 if spread is None else round(spread.mean / 100, 3)


def _mean(row: Row, *keys: str) -> str:
    spread = row.spread(*keys)
    return "-" if spread is None else f"{spread.mean:.4g}"


def _keys(row: Row, *path: str) -> list[str]:
    """Return the keys that a part of the summaries has, in their order."""
    return list(dict.fromkeys(str(key) for run in row.runs for key in _part(run, *path)))


def _part(run: Run, *path: str) -> dict[str, Any]:
    """Return a part of a summary; empty where it has none."""
    part: Any = run.summary
    for key in path:
        part = part.get(key) if isinstance(part, dict) else None
    return part if isinstance(part, dict) else {}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _run(run: Run, shown: set[bytes]) -> dict[str, Any]:
    """Return what the page shows of a run."""
    warnings = run.summary.get("warnings")
    return {
        "folder": str(run.folder),
        "seed": run.seed,
        "facts": [
            ("target last / selected / oracle", _three(run, "target", "last", "selected", "oracle")),
            ("source last / selected", _three(run, "source", "last", "selected")),
            ("selected at step", f"{_number(run, 'selected_step')} of {_number(run, 'steps')}"),
            ("time", f"{_number(run, 'seconds')} s, {_number(run, 'images_per_second')} images/s"),
            *_unlabelled(_part(run, "unlabelled")),
            *_environment(run.folder / "environment.json"),
        ],
        "warnings": warnings if isinstance(warnings, list) else [],
        "figures": _figures(run.folder / "figures", shown),
    }


def _unlabelled(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what unlabelled target images tell of a run."""
    try:
        signs = ", ".join(
            f"{_words(name)} {sign['value']:.3g} ({sign['grade']})" for name, sign in report["signs"].items()
        )
        predicted = ", ".join(
            f"{name} {share:.0f} ({report['labelled'][name]:.0f})"
            for name, share in sorted(report["predicted"].items(), key=lambda item: -item[1])[:12]
        )
        return [("without target labels", signs), ("predicted classes, % (of source labels)", predicted)]
    except (KeyError, TypeError, AttributeError):  # a run of an older dacn, which has none
        return []


def _three(run: Run, domain: str, *which: str) -> str:
    return " / ".join(_number(run, domain, key, digits=1) for key in which)


def _number(run: Run, *keys: str, digits: int = 0) -> str:
    value = run.number(*keys)
    return "-" if value is None else f"{value:,.{digits}f}"


def _environment(file: Path) -> list[tuple[str, str]]:
    """Return where a run was made and by which command."""
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        libraries = tree.get("libraries", {})
        return [
            ("on", f"{tree.get('device', '-')}, {tree.get('threads', '-')} threads"),
            (
                "with",
                f"dacn {tree.get('dacn', '-')} ({tree.get('commit') or '-'}), torch {libraries.get('torch', '-')}",
            ),
            ("started", str(tree.get("started", "-"))),
            ("command", " ".join(map(str, tree.get("command", []))) or "-"),
        ]
    except (OSError, ValueError, AttributeError, TypeError):  # it only decorates: a run without one is shown without
        return []


def _figures(folder: Path, shown: set[bytes]) -> list[tuple[str, str, bool]]:
    """Return title and data URI of each figure, and whether it needs the whole width.

    What another run of the page has shown to the last pixel, such as the pair, is not shown again.
    """
    files = {file.stem: file for file in sorted(folder.glob("*.png"))}
    ordered = [name for name in FIGURES if name in files] + [name for name in files if name not in FIGURES]
    found = []
    for name in ordered:
        content = files[name].read_bytes()
        digest = hashlib.sha256(content).digest()
        if digest not in shown:
            shown.add(digest)
            found.append((FIGURES.get(name, _words(name).capitalize()), _picture_uri(content), name in WIDE))
    return found


def _picture_uri(content: bytes) -> str:
    """Return a PNG as a small WebP, or as it is where that would be no smaller or Pillow cannot."""
    smaller = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content)) as image:
            picture = image.convert("RGB")
            picture.thumbnail((WIDEST, 8 * WIDEST))
            picture.save(smaller, "WEBP", quality=55, method=4)
    except (OSError, KeyError, ValueError):
        return _uri("png", content)
    small = smaller.getvalue()
    return _uri("webp", small) if len(small) < len(content) else _uri("png", content)


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
