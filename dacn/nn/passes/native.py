"""The passes in C, `dacn/nn/passes/passes.c`, compiled when dacn is installed and a compiler is there."""

import ctypes
import importlib.util
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from dacn.nn.passes.passes import Passes

VERSION = 1
"""Of what the functions take; `dacn/nn/passes/passes.c` says the same."""
MENDED = "Installing dacn again (pip install -e .) compiles it anew; a torch without GNU OpenMP cannot use it"
TAKES = {"moments": "xstt", "affine": "xttx", "sums": "xxttstt", "combine": "xxtttx"}
"""What each function takes after the context: x rows, ``(B, C, ...)``, t a table ``(K, C)``, s sums ``(B, 2, C)``."""
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
        warnings.warn(f"{built.origin} cannot be used, norm layers are slower: {error}. {MENDED}", stacklevel=2)
        return {}
    found = {name: getattr(library, f"dacn_{name}") for name in TAKES}
    for name, function in found.items():
        function.argtypes = [ctypes.POINTER(_Shape), *[ctypes.c_void_p] * (1 + len(TAKES[name]))]
        function.restype = None
    return found


def available() -> bool:
    """Whether the passes were compiled."""
    return bool(functions())


def made_by() -> str:
    """Return what makes the passes in float32 on a CPU: ``C`` or ``torch``."""
    return "C" if available() else "torch"


class NativePasses(Passes):
    """The passes in C: float32, contiguous or with the channels of a position side by side, as tokens have them.

    C believes what it is told, so every tensor is checked before its address is handed over, and nowhere else: see
    `_call`. What `dacn.nn.passes.choose` sends here passes that check; whoever comes another way gets the error.
    """

    def __init__(self, context: Tensor, count: Tensor, positions: int, all_occur: bool = False) -> None:
        super().__init__(context, count, positions, all_occur)
        self._functions = functions()

    def arrange(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        """Return x in one of the two layouts."""
        x = x.resolve_neg()
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
        mean, var = self._new_table(x), self._new_table(x)
        self._call("moments", x, self._sums_of_rows(x), mean, var)
        return mean, var

    def affine(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Return ``x * scale[c] + shift[c]``."""
        y = torch.empty_like(x)
        self._call("affine", x, scale.contiguous(), shift.contiguous(), y)
        return y

    def sums(self, dy: Tensor, x: Tensor, mean: Tensor, inv_std: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums of ``dy * (x - mean[c]) * inv_std[c]`` and of ``dy``."""
        product, total = self._new_table(x), self._new_table(x)
        self._call("sums", dy, x, mean.contiguous(), inv_std.contiguous(), self._sums_of_rows(x), product, total)
        return product, total

    def combine(self, dy: Tensor, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Return ``dy * a[c] + x * b[c] + c[c]``."""
        dx = torch.empty_like(x)
        self._call("combine", dy, x, a.contiguous(), b.contiguous(), c.contiguous(), dx)
        return dx

    def _new_table(self, x: Tensor) -> Tensor:
        return torch.empty(len(self.count), x.shape[1], dtype=torch.float32)

    @staticmethod
    def _sums_of_rows(x: Tensor) -> Tensor:
        return torch.empty(len(x), 2, x.shape[1], dtype=torch.float32)

    def _call(self, name: str, *tensors: Tensor) -> None:
        """Check whatever crosses into C, and call it.

        Raises:
            ValueError: C would read or write one of the tensors wrongly.
        """
        shape, rows, size = tensors[0].shape, len(self.context), tensors[0].numel()
        channels, contexts, last = shape[1], len(self.count), _is_last(tensors[0])
        shapes = {"x": shape, "t": (contexts, channels), "s": (rows, 2, channels)}
        right = shape[0] == rows and size == rows * channels * self.positions
        for kind, tensor in zip(TAKES[name], tensors, strict=True):
            right = (
                right
                and tensor.dtype is torch.float32
                and tensor.is_cpu
                and not tensor.is_neg()
                and tensor.shape == shapes[kind]
                and (_is_last(tensor) if last and kind == "x" else tensor.is_contiguous())
            )
        addresses = [self.context.data_ptr(), *[tensor.data_ptr() for tensor in tensors]]
        if not right or 0 in addresses:
            told = ", ".join(f"{tuple(t.shape)} of {t.dtype} on {t.device}" for t in tensors)
            raise ValueError(
                f"the C pass {name} takes float32 on the CPU, {rows} rows of {self.positions} positions and tables of "
                f"{contexts} contexts with as many channels, got {told}"
            )
        threads = torch.get_num_threads() if size > GRAIN else 1
        given = _Shape(rows, self.positions, channels, contexts, last, threads)
        self._functions[name](given, *addresses)


def _is_last(x: Tensor) -> bool:
    """Whether the channels of a position lie side by side."""
    if x.ndim in LAST:
        return x.is_contiguous(memory_format=LAST[x.ndim])
    return x.transpose(1, -1).is_contiguous()
