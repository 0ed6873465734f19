import os
import threading
import time
from collections import Counter
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from dacn.data.domain import Domain
from dacn.data.read.images import Streamed, batches, concatenate, fetch, prefetch, select
from dacn.errors import DataError


class Drawn:
    """An item whose pixels are its number; it remembers being read."""

    reads: ClassVar[Counter[int]] = Counter()

    def __init__(self, number: int, *, broken: bool = False) -> None:
        self.number, self.broken = number, broken

    def read(self) -> Any:
        Drawn.reads[self.number] += 1
        if self.broken:
            raise DataError(f"{self.number}.png: no image")
        return np.full((4, 4, 3), self.number % 250, np.uint8) + np.arange(3, dtype=np.uint8)

    def identity(self) -> bytes:
        return self.number.to_bytes(8, "little")


def streamed(count: int, **settings: Any) -> Streamed:
    Drawn.reads.clear()
    return Streamed([Drawn(number) for number in range(count)], 4, **settings)


def in_memory(count: int) -> torch.Tensor:
    numbers = torch.arange(count).view(-1, 1, 1, 1) % 250 + torch.arange(3).view(1, 3, 1, 1)
    return numbers.byte().expand(-1, -1, 4, 4).contiguous()


def test_what_a_tensor_says_of_itself() -> None:
    images, tensor = streamed(5), in_memory(5)
    assert images.shape == tensor.shape
    assert (len(images), images.ndim, images.dtype, images.device) == (5, 4, tensor.dtype, tensor.device)
    assert len(Domain("drawn", images, torch.zeros(5, dtype=torch.int64))) == 5
    with pytest.raises(DataError, match="there are no images"):
        Domain("none", Streamed([], 4))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("rows", [[], [2], [4, 0, 3], [1, 1, 0, 1], [*range(5)] * 200])
def test_rows_are_those_of_a_tensor(workers: int, rows: list[int]) -> None:
    images, chosen = streamed(5, workers=workers), torch.tensor(rows, dtype=torch.int64)
    prefetch(images, torch.tensor([3, 1]))
    assert torch.equal(images[chosen], in_memory(5)[chosen])
    assert torch.equal(fetch(images, chosen), fetch(in_memory(5), chosen))
    assert torch.equal(select(images, chosen)[:], in_memory(5)[chosen])


def test_batches_are_those_of_a_tensor() -> None:
    for size in (1, 3, 5, 600):
        first, second = [*batches(streamed(700), size)], [*batches(in_memory(700), size)]
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        assert [len(rows) for rows in first] == [len(rows) for rows in second]
    assert set(Drawn.reads.values()) == {1}  # nothing is decoded twice


def test_what_has_begun_is_not_decoded_again_and_changes_nothing() -> None:
    images = streamed(6)
    prefetch(images, torch.tensor([1, 2]))
    prefetch(images, torch.tensor([2, 3]))
    assert torch.equal(images[torch.tensor([2, 1, 5])], in_memory(6)[[2, 1, 5]])
    assert torch.equal(images[torch.tensor([3])], in_memory(6)[[3]])
    assert Drawn.reads == {1: 1, 2: 1, 3: 1, 5: 1}
    prefetch(in_memory(2), torch.tensor([0]))  # in memory: nothing to fetch ahead


def test_decoding_goes_on_while_the_caller_is_busy() -> None:
    class Slow(Drawn):
        def read(self) -> Any:
            threads.add(threading.current_thread())
            return super().read()

    threads: set[threading.Thread] = set()
    Drawn.reads.clear()
    images = Streamed([Slow(number) for number in range(8)], 4, workers=2)
    prefetch(images, torch.arange(8))
    deadline = time.monotonic() + 30
    while sum(Drawn.reads.values()) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sum(Drawn.reads.values()) == 8
    assert threading.current_thread() not in threads


def test_parts_are_put_together_in_memory_or_not() -> None:
    both = concatenate([in_memory(3), in_memory(2)])
    assert isinstance(both, torch.Tensor)
    mixed = concatenate([in_memory(3), streamed(2), in_memory(1)])
    assert isinstance(mixed, Streamed)
    assert torch.equal(mixed[:], torch.cat([in_memory(3), in_memory(2), in_memory(1)]))


def test_an_image_that_cannot_be_read_is_named_and_the_others_stay_readable() -> None:
    images = Streamed([Drawn(0), Drawn(1, broken=True), Drawn(2)], 4)
    with pytest.raises(DataError, match=r"^1\.png: no image$"):
        images[:]
    assert images[torch.tensor([0, 2])][:, 0, 0, 0].tolist() == [0, 2]
    outcomes = [*images.outcomes([0, 1, 2])]
    assert [isinstance(outcome, DataError) for outcome in outcomes] == [False, True, False]


def test_the_device_is_kept() -> None:
    images = streamed(2)
    assert images.to(torch.device("cpu")) is images
    assert images.to(torch.device("meta")).device.type == "meta"
    assert select(images.to(torch.device("meta")), torch.tensor([0])).device.type == "meta"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_gets_threads_of_its_own() -> None:
    images = streamed(3)
    images[:]
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(images[:], in_memory(3)) else 1)
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    if ended == (0, 0):
        os.kill(child, 9)
    assert ended[1] == 0
