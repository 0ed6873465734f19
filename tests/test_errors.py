import signal

import pytest

from dacn import errors
from dacn.errors import DacnError, DataError, Interrupted, NonFiniteLossError, RecipeError, RunError, did_you_mean


@pytest.mark.parametrize(
    ("kind", "code"), [(DacnError, 2), (RecipeError, 2), (DataError, 2), (RunError, 1), (NonFiniteLossError, 1)]
)
def test_exit_codes(kind, code):
    error = kind("what happened")
    assert isinstance(error, DacnError)
    assert (error.exit_code, str(error)) == (code, "what happened")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_exits_as_its_signal_does(number, code):
    error = Interrupted(number, "saved")
    assert (error.exit_code, str(error)) == (code, "saved")
    assert RunError.exit_code == 1


def test_the_tree_in_the_docstring_is_complete():
    def below(kind):
        return {kind.__name__}.union(
            *(below(child) for child in kind.__subclasses__() if child.__module__ == "dacn.errors")
        )

    assert errors.__doc__ is not None
    drawn = {word for line in errors.__doc__.splitlines()[3:] for word in line.strip("│├└─ ").split()[:1]}
    assert below(DacnError) == drawn


def test_did_you_mean():
    assert did_you_mean("bachbone", ["norm", "backbone"]) == "; did you mean 'backbone'?"
    assert did_you_mean(3, ["norm"]) == ""
    assert did_you_mean("norm", []) == ""
