"""The error tree: every message names the key or file, the value, what was expected and the fix.

::

    DacnError            the user's input was wrong (recipe, path, flag): exit code 2
    ├── RecipeError      a recipe that does not hold: all of its problems in one message
    ├── DataError        a data set that is missing, damaged or inconsistent
    └── RunError         the run itself failed: exit code 1
        ├── NonFiniteLossError
        └── Interrupted  Ctrl-C (exit code 130) or SIGTERM (143), after saving
"""

from collections.abc import Iterable
from difflib import get_close_matches


class DacnError(Exception):
    """Something a user can mend; the command line prints it without a traceback.

    >>> print(DacnError("no such file: " + chr(27)))
    no such file: \\x1b
    """

    exit_code = 2

    def __str__(self) -> str:
        """Return the message with what would steer a terminal written out: keys and names come from files."""
        return printable(super().__str__())


class RecipeError(DacnError):
    """A recipe that does not hold."""


class DataError(DacnError):
    """A data set that is missing, damaged or inconsistent."""


class RunError(DacnError):
    """A run that was well asked for and failed."""

    exit_code = 1


class NonFiniteLossError(RunError):
    """A loss term became NaN or infinite."""


class Interrupted(RunError):  # noqa: N818 - nothing went wrong
    """The run was asked to stop and has saved its state.

    Args:
        signal: number of the signal that asked.
        message: what was saved and how to go on.
    """

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


def printable(text: str) -> str:
    """Return a text with all but line ends written out that does not print."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def did_you_mean(name: object, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest valid name, or an empty string.

    >>> did_you_mean("adamtch", ["adamatch", "dann"])
    "; did you mean 'adamatch'?"
    >>> did_you_mean("zzz", ["adamatch", "dann"])
    ''
    """
    near = get_close_matches(str(name), list(valid), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
