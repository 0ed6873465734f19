import signal

import pytest

from dacn.trainer.signals import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts(number: int) -> None:
    arrived = []
    before = signal.signal(number, lambda *_: arrived.append(number))
    try:
        with StopRequest() as stop:
            assert stop.signal is None
            signal.raise_signal(number)
            assert (stop.signal, arrived) == (number, [])
            signal.raise_signal(number)
            assert arrived == [number]
        signal.raise_signal(number)
        assert arrived == [number, number]  # the handler that was there before is back
    finally:
        signal.signal(number, before)
