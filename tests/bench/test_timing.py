import torch

from dacn.bench.timing import interleave, ratios


def test_contenders_take_turns_and_the_warm_up_does_not_count() -> None:
    calls: list[str] = []
    contenders = {name: (lambda name=name: calls.append(name)) for name in ("a", "b")}
    times = interleave(contenders, rounds=4, device=torch.device("cpu"), warm_up=2)
    rounds = [tuple(calls[i : i + 2]) for i in range(0, 12, 2)]
    assert len(calls) == 12
    assert set(rounds) == {("a", "b"), ("b", "a")}, "each round has an order of its own"
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 4, "b": 4}
    assert all(second >= 0 for seconds in times.values() for second in seconds)


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    times = {"base": [1.0, 10.0, 1.0, 1.0, 1.0], "other": [2.0, 20.0, 2.0, 50.0, 2.0]}
    assert ratios(times, "base") == {"base": 1.0, "other": 2.0}


def test_no_round_begins_when_the_time_is_up_but_two_are_measured() -> None:
    calls: list[int] = []
    times = interleave({"a": lambda: calls.append(1)}, 50, torch.device("cpu"), warm_up=3, seconds=0)
    assert len(calls) == 3, "and one round warms up"
    assert len(times["a"]) == 2
