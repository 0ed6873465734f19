"""What `dacn bench` measured, as tables; plain text where the output is no terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def print_bench(result: Mapping[str, Any]) -> None:
    """Print everything that `dacn.bench.report.measure` returned."""
    console = Console(highlight=False)
    console.width = max(console.width, 100)  # rich would cut numbers off on a narrow screen
    console.print(
        f"{result['recipe']} on {result['device']}, torch {result['torch']}, {result['threads']} threads, "
        f"norms' passes by {result['norm_passes']}, medians of {result['rounds']} rounds; images: "
        f"{result['images_are']}\n",
        markup=False,
        soft_wrap=True,
    )
    step = result["step"]
    _print(
        console,
        f"a step of {step['images']} images ({step['views']} views)",
        ["images/s", "x bare"],
        [
            ("training step", [f"{step['images_per_second']:,.0f}", f"{step['ratio']:.2f}"]),
            ("bare forward, backward and optimizer", [f"{step['bare_images_per_second']:,.0f}", "1.00"]),
            *_compile_rows(result),
        ],
    )
    shares = [(part, [f"{share:.1f}"]) for part, share in result["shares"].items()]
    _print(console, "where the step's time goes", ["%"], shares)
    norms = result["norms"]
    names = list(norms[0]["ratios"])
    columns = ["x".join(str(size) for size in norm["shape"]) for norm in norms]
    rows = [(name, [f"{norm['ratios'][name]:.2f}" for norm in norms]) for name in names]
    _print(console, "norm, forward and backward, x bn", columns, rows)
    views = result["augmentation"]
    rates = [(name, ["not installed" if views[name] is None else f"{views[name]:,.0f}"]) for name in sorted(views)]
    _print(console, "strong views; the others: RandAugment alone", ["images/s"], rates)
    _print_limits(console, result)


def _compile_rows(result: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return a row for each way to compile that was tried; one that failed has its reason."""
    names = {"without": "without torch.compile", "with": "with torch.compile", "graphs": "with it and CUDA graphs"}
    return [
        (names[which], [rates, "-"])
        if isinstance(rates, str)
        else (names[which], [f"{rates['images_per_second']:,.0f}", f"{1 + rates['overhead_percent'] / 100:.2f}"])
        for which, rates in result.get("compile", {}).items()
    ]


def _print_limits(console: Console, result: Mapping[str, Any]) -> None:
    """Print memory and, for a GPU, the bounds."""
    peak, of, bounds = result["memory"]["peak_mb"], result["memory"]["of"], result["bounds"]
    lines = [f"peak memory of {of}: {'not counted here' if peak is None else f'{peak:,.0f} MB'}"]
    if "note" in bounds:
        lines.append(bounds["note"])
    else:
        lines += [
            f"bound by bandwidth ({bounds['bandwidth_gb_per_second']:,.0f} GB/s, {bounds['step_gb']:.2f} GB a step): "
            f"{bounds['images_per_second_by_bandwidth']:,.0f} images/s",
            f"bound by arithmetic ({bounds['arithmetic_tflop_per_second']:,.0f} TFLOP/s, {bounds['step_tflop']:.3f} "
            f"TFLOP a step): {bounds['images_per_second_by_arithmetic']:,.0f} images/s",
            f"the step reaches {bounds['share_percent']:.1f} % of the lower one",
        ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _print(console: Console, title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    table: Any = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, values in rows:
        table.add_row(name, *values)
    console.print(table)
    console.print()
