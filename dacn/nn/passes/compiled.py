"""The passes in C, `dacn/nn/passes/passes.c`, compiled when dacn is installed and a compiler is there."""

import ctypes
import importlib.util
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from dacn.nn.passes.passes import Passes

VERSION = 1
"""Of what the functions take; `dacn/nn/passes/passes.c` says the same."""
MENDED = "Installing dacn again (pip install -e .) compiles it anew; a torch without GNU OpenMP cannot use it"
POINTERS = {"moments": 5, "affine": 5, "sums": 8, "combine": 7}
LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
GRAIN = 32768
"""Numbers for which a second thread pays; torch's own figure."""


class _Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("rows", "positions", "channels", "contexts", "last", "threads")]


@cache
def functions() -> dict[str, Callable[..., None]]:
    """Return the compiled passes; none where they were not compiled, or by another version, or torch has no GNU OpenMP.

    They are left unlinked from OpenMP and find torch's, which is made visible here: a second copy of it in the process
    would keep threads of its own, which wait for work in a loop and take the cores from torch's.
    """
    built = importlib.util.find_spec("dacn.nn.passes._passes")
    if built is None or built.origin is None:
        return {}
    try:
        for runtime in (Path(torch.__file__).parent / "lib").glob("libgomp*"):
            ctypes.CDLL(str(runtime), mode=ctypes.RTLD_GLOBAL)
        library = ctypes.CDLL(built.origin)
        version = ctypes.c_int64.in_dll(library, "dacn_passes_version").value
        if version != VERSION:
            raise ValueError(f"version {version} where {VERSION} is needed")
    except (OSError, ValueError) as error:
        warnings.warn(f"{built.origin} does not serve, norm layers are slower: {error}. {MENDED}", stacklevel=2)
        return {}
    found = {name: getattr(library, f"dacn_{name}") for name in POINTERS}
    for name, function in found.items():
        function.argtypes = [ctypes.POINTER(_Shape), *[ctypes.c_void_p] * POINTERS[name]]
        function.restype = None
    return found


def there() -> bool:
    """Whether the passes were compiled."""
    return bool(functions())


def made_by() -> str:
    """Return what makes the passes in float32: ``C`` or ``torch``."""
    return "C" if there() else "torch"


class Compiled(Passes):
    """The passes in C: float32, contiguous or with the channels of a position side by side, as tokens have them."""

    def __init__(self, contexts: Sequence[int], num_contexts: int, positions: int, dtype: torch.dtype) -> None:
        super().__init__(contexts, num_contexts, positions, dtype)
        self._functions = functions()

    def arrange(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        """Return x in one of the two layouts."""
        if not _is_last(x if like is None else like):
            return x.contiguous()
        if x.ndim in LAST:
            return x.contiguous(memory_format=LAST[x.ndim])
        return x.transpose(1, -1).contiguous().transpose(1, -1)

    def restore(self, y: Tensor) -> Tensor:
        """Return y."""
        return y

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and biased variance of each context's rows."""
        mean, var = self._table(x), self._table(x)
        self._call("moments", x, self.context, x, self._images(x), mean, var)
        return mean, var

    def affine(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Return ``x * scale[c] + shift[c]``."""
        y = torch.empty_like(x)
        self._call("affine", x, self.context, x, scale.contiguous(), shift.contiguous(), y)
        return y

    def sums(self, dy: Tensor, x: Tensor, mean: Tensor, inv_std: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums of ``dy * (x - mean[c]) * inv_std[c]`` and of ``dy``."""
        product, total = self._table(x), self._table(x)
        tables = mean.contiguous(), inv_std.contiguous()
        self._call("sums", x, self.context, dy, x, *tables, self._images(x), product, total)
        return product, total

    def combine(self, dy: Tensor, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return ``dy * a[c] + x * b[c] + c[c]``."""
        dx = torch.empty_like(x)
        self._call("combine", x, self.context, dy, x, a.contiguous(), b.contiguous(), c.contiguous(), dx)
        return dx

    def _table(self, x: Tensor) -> Tensor:
        return torch.empty(self.num_contexts, x.shape[1])

    @staticmethod
    def _images(x: Tensor) -> Tensor:
        return torch.empty(len(x), 2, x.shape[1])

    def _call(self, name: str, x: Tensor, *tensors: Tensor) -> None:
        threads = torch.get_num_threads() if x.numel() > GRAIN else 1
        shape = _Shape(x.shape[0], self.positions, x.shape[1], self.num_contexts, _is_last(x), threads)
        self._functions[name](shape, *[tensor.data_ptr() for tensor in tensors])


def _is_last(x: Tensor) -> bool:
    """Whether the channels of a position lie side by side."""
    if x.ndim in LAST:
        return x.is_contiguous(memory_format=LAST[x.ndim])
    return x.transpose(1, -1).is_contiguous()
