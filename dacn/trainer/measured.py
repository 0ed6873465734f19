"""Numbers by name, and the names that they are shown under."""

from collections.abc import Mapping, Sequence

Values = Mapping[str, float | Sequence[float]]
"""What one step measured: a number or a vector by name, such as ``"loss/source"``."""

ORACLE = "oracle/"
"""Starts the name of what only target labels can tell. It is shown as *oracle, not used*."""


def shown_name(name: str) -> str:
    """Return the name that a reader sees.

    >>> shown_name("oracle/pseudo_label_accuracy"), shown_name("loss")
    ('oracle, not used/pseudo_label_accuracy', 'loss')
    """
    return f"oracle, not used/{name.removeprefix(ORACLE)}" if name.startswith(ORACLE) else name
