"""An evaluation as a few lines of plain text."""

from collections.abc import Mapping, Sequence

from dacn.evaluation.contexts import MODES
from dacn.evaluation.matrix import Evaluation
from dacn.evaluation.selection import Selection

DOMAINS = ("source", "target")
CONTEXTS = ("source", "target", "unknown")


def describe(
    result: Evaluation,
    raw_matrix: Mapping[str, float | None],
    select: str,
    selection: Selection,
    oracle: Mapping[str, float],
) -> str:
    """Return what an evaluation found: matrix, scores, and what only target labels can tell.

    Args:
        result: of the averaged network.
        raw_matrix: of the raw one.
        select: name of the score that chooses.
        selection: what it has chosen so far.
        oracle: numbers that use target labels, by name.
    """
    lines = _by_mode(result) if result.modes else _by_domain(result, raw_matrix)
    scores = {name: f"{name} {value:.4g}" for name, value in result.scores.items()}
    chosen = scores.pop(select, select)
    lines.append(f"selects: {chosen}, so far step {selection.step}; not: {'  '.join(scores.values())}")
    if oracle:
        lines.append("oracle, not used: " + "  ".join(f"{name} {value:.4g}" for name, value in oracle.items()))
    return "\n".join(lines)


def _by_domain(result: Evaluation, raw_matrix: Mapping[str, float | None]) -> list[str]:
    heads = "".join(f"{name:>9}" for name in CONTEXTS)
    lines = [f"accuracy under context{heads}   raw weights{heads}"]
    for domain in DOMAINS:
        cells = [f"{domain}_data/{name}_context" for name in CONTEXTS]
        averaged, raw = ([matrix.get(cell) for cell in cells] for matrix in (result.matrix, raw_matrix))
        lines += (
            [f"{domain} data{'':11}{_numbers(averaged)}{'':14}{_numbers(raw)}"]
            if any(value is not None for value in averaged)
            else []
        )
    return lines


def _by_mode(result: Evaluation) -> list[str]:
    heads = "".join(f"{name:>9}" for name in MODES)
    rows = {domain: [modes[name] for name in MODES] for domain, modes in result.modes.items()}
    return [f"accuracy, context is  {heads}", *(f"{name} data{'':11}{_numbers(row)}" for name, row in rows.items())]


def _numbers(values: Sequence[float | None]) -> str:
    return "".join(f"{'-' if value is None else f'{value:.2f}':>9}" for value in values)
