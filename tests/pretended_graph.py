"""CUDA graphs on the pretended GPU: what is captured is written down, call by call, and replayed without any Python.

As a graph does, a replay reads and writes the very memory that was there when it was captured, with the numbers of the
host as they were then; and capturing leaves no trace in what the GPU holds. So whatever a step takes from the host
anew, or puts somewhere else than before, goes wrong here as it would on a GPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from tests.pretended_gpu import PretendedGpu

UNDECLARED = {torch.ops.aten.native_batch_norm: (3, 4)}
"""Which arguments are written to although the operator does not say so: BatchNorm's running statistics."""


class PretendedGraph:
    """Stands in for `torch.cuda.CUDAGraph`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def record(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Do a call and write it down."""
        for written in _written(func, args, kwargs):
            storage = written.untyped_storage()
            self.before.setdefault(storage.data_ptr(), (storage, storage.clone()))
        result = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, result))
        return result

    def undo(self) -> None:
        for storage, former in self.before.values():
            storage.copy_(former)
        self.before.clear()

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, result in self.calls:
            if not getattr(func, "is_view", False):
                for place, value in zip(_tensors(result), _tensors(func(*args, **kwargs)), strict=True):
                    if place is not value and place.data_ptr() != value.data_ptr():
                        place.copy_(value)


@contextmanager
def capture(graph: PretendedGraph, stream: Any = None) -> Iterator[None]:
    """Stands in for `torch.cuda.graph`."""
    gpu, random = PretendedGpu.current(), torch.get_rng_state()
    gpu.graph = graph
    try:
        with gpu.without_waiting():
            yield
    finally:
        gpu.graph = None
        graph.undo()
        torch.set_rng_state(random)


class PretendedStream:
    """Stands in for `torch.cuda.Stream`."""

    def __init__(self, *_: Any) -> None:
        pass

    def wait_stream(self, other: "PretendedStream") -> None:
        pass


@pytest.fixture
def pretended_graphs(pretended_gpu: PretendedGpu, monkeypatch: pytest.MonkeyPatch) -> PretendedGpu:
    """Have the pretended GPU capture graphs; nothing is compiled there."""
    for name, value in {
        "CUDAGraph": PretendedGraph,
        "graph": capture,
        "Stream": PretendedStream,
        "current_stream": PretendedStream,
        "stream": lambda _: nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: None)
    return pretended_gpu


def _written(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    packet = getattr(func, "overloadpacket", None)
    if packet in UNDECLARED:
        return [args[index] for index in UNDECLARED[packet] if args[index] is not None]
    if packet is None:
        return []
    given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
    names = [each.name for each in func._schema.arguments if each.alias_info is not None and each.alias_info.is_write]
    return _tensors([given.get(name) for name in names])


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]
