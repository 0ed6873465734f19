"""Timing contenders against each other on a machine that does other work too."""

import time
from collections.abc import Callable, Mapping
from random import Random
from statistics import median

import torch

Times = dict[str, list[float]]
"""Seconds of each round, by contender."""


def wait_for(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def interleave(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    device: torch.device,
    warm_up: int = 3,
    seconds: float | None = None,
) -> Times:
    """Run every contender once a round and return their times, those of the warm-up left out.

    Whatever else the machine does, it does to all of them alike. Each round has an order of its own: who comes after
    whom decides whose memory is still at hand, which a fixed order would turn into a bias.

    Args:
        contenders: what to call, by name.
        rounds: rounds that count.
        device: is waited for before the clock is read.
        warm_up: rounds before.
        seconds: after so long no further round begins, if there were two; None: as long as it takes. On a CPU, where
            nothing is compiled, it holds for the warm-up too, of one round at least.
    """
    times: Times = {name: [] for name in contenders}
    order, random = list(contenders.items()), Random(0)
    began = time.perf_counter()

    def late() -> bool:
        return seconds is not None and time.perf_counter() - began > seconds

    for index in range(warm_up + rounds):
        if device.type == "cpu" and 1 <= index < warm_up and late():
            continue
        if index == warm_up and device.type != "cpu":
            began = time.perf_counter()  # what the warm-up compiles is not held against the rounds
        if index >= warm_up + 2 and late():
            break
        random.shuffle(order)
        for name, call in order:
            wait_for(device)
            start = time.perf_counter()
            call()
            wait_for(device)
            if index >= warm_up:
                times[name].append(time.perf_counter() - start)
    return times


def ratios(times: Times, base: str) -> dict[str, float]:
    """Return, for each contender, the median over the rounds of its time in units of the base's.

    >>> ratios({"base": [1.0, 2.0, 1.0], "other": [2.0, 4.0, 9.0]}, "base")
    {'base': 1.0, 'other': 2.0}
    """
    return {
        name: median(mine / theirs for mine, theirs in zip(seconds, times[base], strict=True))
        for name, seconds in times.items()
    }
