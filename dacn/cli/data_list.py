"""``dacn data list``."""

from pathlib import Path
from typing import Any

import click

from dacn.data.known.sets import CORRUPTIONS
from dacn.errors import DataError, did_you_mean

_CORRUPTED = "cifar10_<corruption>_<1 to 5>"


@click.command()
@click.argument("name", required=False)
@click.option(
    "--root", type=click.Path(path_type=Path), default=Path("data"), show_default=True, help="Where to look for files."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(name: str | None, root: Path, as_json: bool) -> None:
    """List the data sets that recipes can name and the pairs between them; with NAME, all about one data set.

    \b
    Example:
      dacn data list
      dacn data list pacs --root /data
      dacn data list --json
    """
    from dacn.data.known.sets import SETS

    if name is not None and name not in SETS:
        near = did_you_mean(name, SETS) or f"; there are {', '.join(SETS)}"
        raise DataError(f"dacn data list: no data set {name!r}{near}")
    entries = [_entry(key, root) for key in ([name] if name else SETS)]
    if as_json:
        import json

        click.echo(json.dumps(entries[0] if name else entries, indent=2))
    elif name:
        _print_one(entries[0])
    else:
        _print_table(entries, root)


def _entry(name: str, root: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from dacn.data.known.names import DOMAINS, NAMED_PAIRS
    from dacn.data.known.sets import SETS

    facts = asdict(SETS[name])
    del facts["files"]
    domains = [key for key, domain in DOMAINS.items() if domain.of == name]
    pairs = [key for key, pair in NAMED_PAIRS.items() if {pair.source, pair.target} & {*domains}]
    if name == "digits":
        pairs = ["digits"]
    return {"name": name, **facts, "domains": domains, "pairs": pairs, "present": SETS[name].present(root)}


def _print_one(entry: dict[str, Any]) -> None:
    shown = {
        **{key: entry[key] for key in ("title", "what", "classes")},
        "images": ", ".join(f"{count:,} {part.replace('_', ' ')}" for part, count in entry["images"].items()),
        **{key: entry[key] for key in ("pixels", "licence", "source", "citation", "get")},
        "mirrored": "keeps its class" if entry["flips"] else "may be of another class",
        "present": "yes" if entry["present"] else "no",
        "domains": ", ".join(entry["domains"]) or "none of its own",
        "pairs": ", ".join(entry["pairs"]) or "none",
    }
    for key, value in shown.items():
        click.echo(f"{key:<9} {value}")


def _print_table(entries: list[dict[str, Any]], root: Path) -> None:
    from dacn.data.known.names import DOMAINS, NAMED_PAIRS

    rows = [("data set", "classes", "images", "pixels", "there", "how to get it")]
    for entry in entries:
        counts = " + ".join(f"{count:,}" for count in entry["images"].values())
        there = "yes" if entry["present"] else "no"
        rows.append((entry["name"], str(entry["classes"]), counts, entry["pixels"], there, entry["get"]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo(f"\nthere: under {root} (--root). Licence, source, citation and pairs of one: dacn data list NAME")
    click.echo(f"\n{len(NAMED_PAIRS) + 1} pairs, for data.pair (dacn list pairs says what each is):")
    for family in _families():
        click.echo(f"  {family}")
    click.echo("\nSingle domains, for data.dataset and {named: ...}:")
    single = [name for name, domain in DOMAINS.items() if domain.of != "cifar10_c"]
    click.echo(f"  {', '.join(single)}, {_CORRUPTED}")
    click.echo(f"\nCorruptions:\n  {', '.join(CORRUPTIONS)}")


def _families() -> list[str]:
    """Return the pairs line by line, the corruptions of CIFAR-10 as a pattern."""
    from dacn.data.known.names import DOMAINS, FAMILIES, NAMED_PAIRS

    families: dict[str, list[str]] = {"digits": ["digits"]}
    for name, pair in NAMED_PAIRS.items():
        source, target = DOMAINS[pair.source].of, DOMAINS[pair.target].of
        if target != "cifar10_c":
            key = source if source in FAMILIES or source == "cifar10" else DOMAINS[pair.source].title
            families.setdefault(key, []).append(name)
    return [*(", ".join(names) for names in families.values()), _CORRUPTED]
