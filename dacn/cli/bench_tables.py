"""What `dacn bench` measured, as tables; plain text where the output is no terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from dacn.trainer.estimate import in_words


def print_bench(result: Mapping[str, Any]) -> None:
    """Print everything that `dacn.bench.report.measure` returned."""
    console = Console(highlight=False)
    console.width = max(console.width, 100)  # rich would cut numbers off on a narrow screen
    console.print(
        f"{result['recipe']} on {result['device']}, torch {result['torch']}, {result['threads']} threads, "
        f"norms' passes by {result['norm_passes']}, medians of up to {result['rounds']} rounds; batches of "
        f"{result['batches']} images: "
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
    _print_run(console, step, result["whole_run"])
    shares = [(part, [f"{share:.1f}"]) for part, share in result["shares"].items()]
    _print(console, "where the step's time goes", ["%"], shares)
    _print_throughput(console, result["throughput"])
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


def _print_run(console: Console, step: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Print what a step and what the whole recipe takes."""
    busy = step["gpu_busy_milliseconds"]
    share = 0 if busy is None else 100 * busy / step["milliseconds"]
    works = "" if busy is None else f"; the GPU works {busy:.2f} ms of it ({share:.0f} %)"
    number, takes = ("evaluation", "takes") if run["evaluations"] == 1 else ("evaluations", "take")
    tested = f"{run['test_images']:,} test images, {run['test_images_are']}"
    evaluations = f"{run['evaluations']} {number} ({tested}) that {takes} {run['evaluation_percent']:.1f} % of the time"
    lines = [
        f"a step takes {step['milliseconds']:.2f} ms, {step['views_per_second']:,.0f} views/s{works}",
        f"the recipe will take {in_words(run['seconds'])}: {run['steps']:,} steps, and {evaluations}\n",
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _print_throughput(console: Console, rates: Mapping[str, Any]) -> None:
    """Print what each stage does by itself, and which one limits a run."""
    names = {
        "decode": f"decode ({rates['workers']} threads; {rates['of']})",
        "read": "read decoded (data.cache)",
        "views": "views",
        "step": "network, loss and optimizer",
    }
    rows = [(names[key], ["-" if rates[key] is None else f"{rates[key]:,.0f}"]) for key in names]
    _print(console, "each stage by itself", ["images/s"], rows)
    held = rates["images"] or "taken to be in memory, for the files must be there to tell"
    console.print(f"images are {held}; {rates['limits']} limits the run\n", markup=False, soft_wrap=True)


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
