"""An evaluation as text: two or three lines in plain words, or all of its numbers."""

from collections.abc import Iterator, Mapping, Sequence

from dacn.evaluation.contexts import MODES
from dacn.evaluation.matrix import Evaluation
from dacn.evaluation.selection import Selection

DOMAINS = ("source", "target")
CONTEXTS = ("source", "target", "unknown")


def in_short(result: Evaluation, select: str, selection: Selection) -> str:
    """Return what an evaluation found in two or three lines of plain words, each of up to 64 characters.

    Args:
        result: of the averaged network.
        select: name of the score that chooses.
        selection: what it has chosen so far.
    """
    accuracies = [f"{name} {value:.1f} %" for name in DOMAINS if (value := getattr(result, name)) is not None]
    lines = [f"{', '.join(accuracies)} right" if accuracies else "no test labels, so no accuracy"]
    other = result.matrix.get("target_data/source_context")
    if other is not None and result.target is not None and not result.modes and abs(other - result.target) >= 0.05:
        lines.append(f"target under the source's context {other:.1f} %")
    score = f"{select.replace('_', ' ')} {result.scores[select]:.3g}; " if select in result.scores else ""
    best = "the last step is taken" if select == "last" else f"chosen without labels so far: step {selection.step:,}"
    return "\n".join([*lines, f"{score}{best}"])


def describe(
    result: Evaluation,
    raw_matrix: Mapping[str, float | None],
    select: str,
    selection: Selection,
    oracle: Mapping[str, float],
) -> str:
    """Return all that an evaluation found: matrices, scores, and what only target labels can tell.

    Args:
        result: of the averaged network.
        raw_matrix: of the raw one.
        select: name of the score that chooses.
        selection: what it has chosen so far.
        oracle: numbers that use target labels, by name.
    """
    lines = _by_mode(result) if result.modes else [*_by_domain("averaged weights", result.matrix)]
    if not result.modes:
        lines += _by_domain("raw weights", raw_matrix)
    lines.append(f"selects: {select}, so far step {selection.step:,}")
    lines += [f"  {name} {value:.4g}" for name, value in result.scores.items()]
    lines += [f"oracle, not used: {name} {value:.4g}" for name, value in oracle.items()]
    return "\n".join(lines)


def _by_domain(weights: str, matrix: Mapping[str, float | None]) -> Iterator[str]:
    yield f"{weights + ', context':<26}{''.join(f'{name:>9}' for name in CONTEXTS)}"
    for domain in DOMAINS:
        cells = [matrix.get(f"{domain}_data/{name}_context") for name in CONTEXTS]
        if any(value is not None for value in cells):
            yield f"{f'{domain} data':<26}{_numbers(cells)}"


def _by_mode(result: Evaluation) -> list[str]:
    heads = "".join(f"{name:>9}" for name in MODES)
    rows = {domain: [modes[name] for name in MODES] for domain, modes in result.modes.items()}
    return [f"accuracy, context is  {heads}", *(f"{name} data{'':11}{_numbers(row)}" for name, row in rows.items())]


def _numbers(values: Sequence[float | None]) -> str:
    return "".join(f"{'-' if value is None else f'{value:.2f}':>9}" for value in values)
