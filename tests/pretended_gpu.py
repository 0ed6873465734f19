"""A GPU that is only pretended: tensors that say they are on one, compute on the CPU, and obey a GPU's rules.

Real numbers flow, forward and backward, so a whole run can be made. What a GPU refuses is refused: to mix its tensors
with others, to be read as an array, to draw from another device's generator. What makes the host wait for it is
counted, and refused where it is forbidden.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

GPU = torch.device("cuda:0")
aten = torch.ops.aten
COPIES = (aten.copy_, aten._to_copy, aten._foreach_copy_)
WAITING = {
    aten._linalg_svd,
    aten._local_scalar_dense,
    aten.bincount,
    aten.equal,
    aten.is_nonzero,
    aten.masked_select,
    aten.nonzero,
    aten.repeat_interleave,
    aten._unique2,
    aten.unique_dim,
}
"""What needs a value of the GPU before it can return, or gives a tensor whose size depends on values."""

INSIDE = (torch.nn.functional.one_hot,)
"""What makes tensors of its own inside, out of sight, and has no gradient."""


class OnGpu(Tensor):
    """A tensor that says that it is on a GPU, around one of the CPU that holds its numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnGpu":
        made: OnGpu = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=inner.device,
            requires_grad=inner.requires_grad,
        )
        made.inner = inner.detach()
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return GPU

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        return False

    def __repr__(self) -> str:
        return f"OnGpu({self.inner!r})"

    def __array__(self, *_: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnGpu":
        twin = OnGpu(self.inner.clone()).requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            twin._is_param = True
        memo[id(self)] = twin
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.inner.clone().__reduce_ex__(protocol)  # a GPU's tensors too come back wherever the reader says

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        gpu = PretendedGpu.current()
        gpu.look_at(func, args, kwargs)
        result = gpu.call(func, args, kwargs)
        wrapped = tree_map_only(Tensor, OnGpu, result)
        return return_and_correct_aliasing(func, args, kwargs, wrapped)


class PretendedGenerator(torch.Generator):
    """A generator of the pretended GPU."""

    device = GPU  # type: ignore[assignment]

    def __new__(cls, device: Any = "cpu") -> Self:
        assert torch.device(device).type == "cuda"
        return super().__new__(cls)


class PretendedGpu(TorchFunctionMode):
    """Puts tensors on the pretended GPU where code asks for the device ``cuda``, while it is active.

    Attributes:
        waits: how often the host waited, by what it did.
        forbidden: whether waiting is an error.
        graph: what writes down the calls that are made, where they are captured.
    """

    _active: "list[PretendedGpu]" = []  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.forbidden = False
        self.graph: Any = None

    @classmethod
    def current(cls) -> "PretendedGpu":
        return cls._active[-1]

    def __enter__(self) -> Self:
        self._active.append(self)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._active.pop()

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        self.forbidden = True
        try:
            yield
        finally:
            self.forbidden = False

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Do a call on the CPU."""
        args, kwargs = _unwrapped(args), _unwrapped(kwargs)
        return func(*args, **kwargs) if self.graph is None else self.graph.record(func, args, kwargs)

    def wait(self, what: str) -> None:
        self.waits[what] += 1
        if self.forbidden:
            raise RuntimeError(f"{what} makes the host wait for the GPU")

    def look_at(self, func: Any, args: Any, kwargs: Any) -> None:
        """Refuse what a GPU refuses, and take note of what waits for it."""
        packet = func.overloadpacket
        tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        others = [x for x in tensors if not isinstance(x, OnGpu)]
        masks = packet in (aten.index, aten.index_put_, aten.index_put) and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if packet in WAITING or masks:
            self.wait(str(packet))
        if packet in COPIES or not others:
            return
        if packet is aten.cat and torch._C._current_graph_task_id() != -1:  # zeros that the backward of a split made
            return
        if packet in (aten.index, aten.index_put_) and isinstance(args[0], OnGpu):
            others = [] if packet is aten.index else [x for x in others if x is args[2] and x.ndim]
        written = func._schema.is_mutable and id(args[0]) in map(id, others)
        takes_scalars = torch.Tag.pointwise in func.tags or packet in (aten.fill_, aten._foreach_mul_)
        if written or any(x.ndim or not takes_scalars for x in others):
            raise RuntimeError(f"{func}: expected all tensors to be on the same device, cuda:0, found one on the CPU")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        first = args[0] if args else None
        if func is Tensor.to:
            return self._moved(*args, **kwargs)
        if func in (Tensor.cpu, Tensor.cuda):
            return self._moved(first, GPU if func is Tensor.cuda else torch.device("cpu"))
        if name in ("tolist", "numpy") and isinstance(first, OnGpu):
            if name == "numpy":
                raise TypeError("can't convert cuda:0 device type tensor to numpy")
            self.wait("tolist")
            return first.inner.tolist()
        if func in INSIDE and isinstance(first, OnGpu):
            return tree_map_only(Tensor, OnGpu, self.call(func, args, kwargs))
        on_gpu = isinstance(first, OnGpu)
        kwargs.pop("pin_memory", None)
        if _is_gpu(device := kwargs.get("device")):
            kwargs["device"], on_gpu = torch.device("cpu"), True
            if func in (torch.tensor, torch.as_tensor):
                self.wait("copy to the GPU")
        elif device is not None:
            on_gpu = False
        generator = kwargs.get("generator")
        if generator is not None and isinstance(generator, PretendedGenerator) != on_gpu:
            raise RuntimeError(f"{name}: expected a generator of the tensor's device, found one of another")
        if _is_gpu(device):
            return tree_map_only(Tensor, OnGpu, self.call(func, args, kwargs))
        return func(*args, **kwargs)

    def _moved(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Do ``x.to(...)``."""
        if args and isinstance(args[0], Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        given = [*args, kwargs.get("device"), kwargs.get("dtype")]
        device = next((torch.device(a) for a in given if isinstance(a, str | torch.device)), x.device)
        options = {name: kwargs[name] for name in ("memory_format", "copy") if name in kwargs}
        for dtype in (a for a in given if isinstance(a, torch.dtype)):
            options["dtype"] = dtype
        non_blocking = kwargs.get("non_blocking") or True in args
        if (device.type == "cuda") != isinstance(x, OnGpu):
            if not non_blocking or device.type == "cpu":
                self.wait(f"copy to {device.type}")
            x = _Copy.apply(x, device.type == "cuda")
        return Tensor.to(x, **options) if options else x


class _Copy(torch.autograd.Function):
    """From the CPU to the GPU or back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, to_gpu: bool) -> Tensor:
        ctx.to_gpu = to_gpu
        return OnGpu(x.detach().clone()) if to_gpu else x.inner.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return (grad.inner.clone() if ctx.to_gpu else OnGpu(grad)), None


def _is_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _unwrapped(tree: Any) -> Any:
    return tree_map_only(OnGpu, lambda x: x.inner, tree)


def _grouped(tensors: Any, with_indices: bool = False, by: Any = Optimizer._group_tensors_by_device_and_dtype) -> Any:
    """Do what optimizers do, who group tensors by what C++ knows of their device."""
    groups = by(tensors, with_indices)
    return {
        (GPU if isinstance(columns[0][0], OnGpu) else device, dtype): (columns, rows)
        for (device, dtype), (columns, rows) in groups.items()
    }


@pytest.fixture
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedGpu]:
    """Have runs find a GPU, a pretended one."""
    place = torch.device("cuda")
    monkeypatch.setattr(Optimizer, "_group_tensors_by_device_and_dtype", staticmethod(_grouped))
    for name, value in {
        "dacn.run.run.pick_device": lambda name: place,
        "dacn.data.views.loader.Generator": PretendedGenerator,
        "dacn.run.target_report.Generator": PretendedGenerator,
        "dacn.run.environment.torch.cuda.get_device_name": lambda *_: "pretended",
        "torch.cuda.is_bf16_supported": lambda *_: False,
        "torch.cuda.get_rng_state": lambda *_: torch.get_rng_state(),
        "torch.cuda.set_rng_state": lambda state, *_: torch.set_rng_state(state),
    }.items():
        monkeypatch.setattr(name, value)
    former = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter's data cannot change its class
    with PretendedGpu() as gpu:
        yield gpu
    torch.__future__.set_overwrite_module_params_on_conversion(former)
