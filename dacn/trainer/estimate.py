"""How long a run will take, told at its start."""

import copy
import time

import torch
from torch import nn

from dacn.trainer.tracking import Tracker

PROBE = 32  # images
LONG_SECONDS = 2 * 3600.0
"""A run that takes longer on a CPU is warned of."""
SETTLED_SECONDS = 5.0
"""After so long the pace of steps is taken to be known, where the host waits for each of them."""

TOLD_SECONDS = 20.0
"""What is over sooner needs no forecast."""


class Forecast:
    """Says once, after the first steps, how long training will take at their pace.

    Args:
        tracker: is told.
        hint: what to do where it takes very long on a CPU.
    """

    def __init__(self, tracker: Tracker, hint: str) -> None:
        self.tracker, self.hint = tracker, hint
        self.first: tuple[int, float] | None = None  # the first step told, and when: compiling comes before it
        self.told = False

    def see(self, step: int, steps: int, device: torch.device, *, logged: bool) -> None:
        """Take note that a step is done; ``logged`` says that the host has waited for the device."""
        if self.told:
            return
        now = time.monotonic()
        if self.first is None:
            self.first = (step, now) if logged or device.type == "cpu" else None
            return
        if step == self.first[0] or not (logged or (device.type == "cpu" and now - self.first[1] > SETTLED_SECONDS)):
            return
        self.told = True
        pace = (now - self.first[1]) / (step - self.first[0])
        seconds = pace * (steps - step)
        if device.type == "cpu" and seconds > LONG_SECONDS:
            self.tracker.warn(
                f"this will take about {in_words(seconds)} on this CPU, at {at_a_step(pace)} as measured; {self.hint}"
            )
        elif seconds > TOLD_SECONDS:
            self.tracker.notice(f"about {in_words(seconds)} of training to go, at {at_a_step(pace)} as measured")


def estimate_seconds(model: nn.Module, image_size: int, images: int) -> float:
    """Return about how long training would be busy with ``images`` views, from one small step of a copy of ``model``.

    It is a guess, good enough to choose what is tried: what a user is told is measured in whole steps.

    Args:
        model: called as ``model(x, context)``.
        image_size: side in pixels.
        images: views in the whole run.
    """
    with torch.random.fork_rng():  # the run's own random numbers stay as they were
        network = copy.deepcopy(model).train()
        device = next(network.parameters()).device
        x = torch.rand(PROBE, 3, image_size, image_size, device=device).contiguous(memory_format=torch.channels_last)
        context = torch.zeros(PROBE, dtype=torch.int64, device=device)
        seconds = 0.0
        for _ in range(2):  # the first one warms up
            start = time.perf_counter()
            network(x, context).logsumexp(dim=1).sum().backward()
            seconds = time.perf_counter() - start
    return seconds / PROBE * images


def in_words(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    >>> in_words(20), in_words(90), in_words(3 * 3600), in_words(20 * 86400)
    ('20 seconds', '2 minutes', '3 hours', '20 days')
    """
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= (2 * length if unit != "minutes" else 80):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def at_a_step(seconds: float) -> str:
    """Return the pace of training in words.

    >>> at_a_step(1.234), at_a_step(0.0123)
    ('1.2 s a step', '81 steps a second')
    """
    return f"{seconds:.2g} s a step" if seconds >= 0.1 else f"{1 / seconds:,.0f} steps a second"
