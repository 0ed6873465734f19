"""A console whose lines can be read back, and values as a step logs them."""

import io

from rich.console import Console

from dacn.trainer.measured import Values

VALUES: Values = {
    "loss": 0.8123,
    "loss/source": 0.75,
    "kept": 0.31,
    "p_source": [0.25, 0.75],
    "threshold": 0.9,
    "images_per_second": 1450.4,
}


def plain_console() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=40)


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()
