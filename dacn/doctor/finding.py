"""What a check finds."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """Something that would spoil a run.

    Args:
        severity: ``error`` where the run would surely fail, or not be the method that it says; else ``warning``.
        what: what was found, with its numbers.
        why: why it matters.
        key: the recipe's key to change.
        value: what to set it to, or what else to do.
    """

    severity: Literal["error", "warning"]
    what: str
    why: str
    key: str
    value: str


def error(what: str, why: str, key: str, value: str) -> Finding:
    """Return a finding that surely fails."""
    return Finding("error", what, why, key, value)


def warning(what: str, why: str, key: str, value: str) -> Finding:
    """Return a finding that may be meant."""
    return Finding("warning", what, why, key, value)
