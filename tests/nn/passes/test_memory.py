"""The C passes read and write nothing that is not theirs, and are given nothing that they would read wrongly."""

import ctypes
import mmap
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dacn.nn import AdaptiveContextNorm, ContextBatchNorm
from dacn.nn import functional as F
from dacn.nn.passes import choose, native
from dacn.nn.passes.native import TAKES, NativePasses, _Shape
from dacn.nn.passes.plain import PlainPasses

needs_compiler = pytest.mark.skipif(not native.available(), reason="dacn was installed without a C compiler")
SOURCE = Path(native.__file__).with_name("passes.c")
CONTEXT = torch.tensor([0, 2, 2, 0, 1])


def tables(number: int, channels: int = 3) -> list[Tensor]:
    return [torch.rand(3, channels) + 0.5 for _ in range(number)]


def wrong_tensors() -> dict[str, Callable[[Tensor], Tensor]]:
    """What C must not be given in place of a tensor that it takes."""
    return {
        "double": lambda t: t.double(),
        "half": lambda t: t.bfloat16(),
        "integers": lambda t: t.int(),
        "fewer rows": lambda t: t[:-1],
        "fewer channels": lambda t: t[:, :-1].contiguous(),
        "not contiguous": lambda t: torch.stack([t, t], dim=-1)[..., 0],
        "no memory": lambda t: t.to("meta"),
        "a negative view": lambda t: torch.complex(t, -t).conj().imag,
    }


@needs_compiler
@pytest.mark.parametrize("wrong", wrong_tensors())
@pytest.mark.parametrize("name", TAKES)
def test_no_wrong_tensor_crosses_into_c(name: str, wrong: str) -> None:
    x, passes = torch.randn(5, 3, 2, 2), NativePasses(CONTEXT, torch.tensor([2.0, 1.0, 2.0]), 4)
    given = {"x": x, "t": tables(1)[0], "s": torch.zeros(5, 2, 3)}
    for i in range(len(TAKES[name])):
        tensors = [given[kind] for kind in TAKES[name]]
        tensors[i] = wrong_tensors()[wrong](tensors[i])
        with pytest.raises((ValueError, RuntimeError), match=f"the C pass {name} takes float32|Cannot access data"):
            passes._call(name, *tensors)


@needs_compiler
def test_rows_and_positions_are_those_that_the_passes_were_made_for() -> None:
    passes = NativePasses(CONTEXT, torch.tensor([2.0, 1.0, 2.0]), 4)
    for shape in ((6, 3, 2, 2), (4, 3, 2, 2), (5, 3, 2, 3), (5, 3)):
        with pytest.raises(ValueError, match="5 rows of 4 positions and tables of 3 contexts"):
            passes.moments(torch.randn(shape))


@pytest.mark.parametrize(
    ("x", "taken"),
    [
        (torch.zeros(2, 1), True),
        (torch.zeros(2, 1, dtype=torch.float64), True),
        (torch.nn.Parameter(torch.zeros(2, 1)), True),
        (torch.zeros(2, 1, dtype=torch.bfloat16), False),
        (torch.zeros(2, 1, dtype=torch.float16), False),
        (torch.zeros(2, 1, device="meta"), False),
        (torch.zeros(0, 1), False),
        (torch.zeros(2, 1).to_sparse(), False),
    ],
    ids=str,
)
def test_what_the_kernels_of_the_cpu_take(x: Tensor, taken: bool) -> None:
    assert choose.supports(x) == taken


def test_tables_more_precise_than_the_rows_go_to_plain_torch() -> None:
    x = torch.zeros(2, 1)
    assert isinstance(choose.passes_for(x, torch.tensor([0, 1]), 2, torch.float64), PlainPasses)
    assert not isinstance(choose.passes_for(x, torch.tensor([0, 1]), 2, torch.float32), PlainPasses)


@pytest.mark.filterwarnings("ignore:.*deprecated", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("layer", [AdaptiveContextNorm, ContextBatchNorm])
def test_a_tracer_sees_the_operations(layer: type[AdaptiveContextNorm] | type[ContextBatchNorm]) -> None:
    module, x, context = layer(3, 3), torch.randn(5, 3, 2, 2), CONTEXT
    module(x, context)
    module.eval().requires_grad_(False)
    traced = torch.jit.trace(module, (x, context), check_trace=False)
    recorded = torch.fx.experimental.proxy_tensor.make_fx(module)(x, context)
    other, mixed = 3 * torch.randn(5, 3, 2, 2), CONTEXT.flip(0)
    torch.testing.assert_close(traced(other, mixed), module(other, mixed))
    torch.testing.assert_close(recorded(other, mixed), module(other, mixed))


@pytest.mark.parametrize("layer", [AdaptiveContextNorm, ContextBatchNorm])
def test_another_number_of_channels_is_refused(layer: type[AdaptiveContextNorm] | type[ContextBatchNorm]) -> None:
    for channels in (1, 2, 4):
        with pytest.raises(ValueError, match=rf"x must have 3 channels, got {channels} in \(5, {channels}\)"):
            layer(3, 3)(torch.randn(5, channels), CONTEXT)


def test_it_is_not_differentiated_twice() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.randn(5, 3, 2, 2, dtype=dtype, requires_grad=True)
        moments = F.context_moments(x, CONTEXT, 3)
        y = F.context_affine(
            x, CONTEXT, moments.mean, moments.var, torch.ones(3), torch.zeros(3), 1e-5, batch_statistics=True
        )
        (grad,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            grad.sum().backward()


class Guarded:
    """Memory for floats that ends, or begins, at a page that nobody may touch: a step too far ends the process."""

    def __init__(self, numbers: int, at_end: bool) -> None:
        page = mmap.PAGESIZE
        inner = -(-4 * numbers // page) * page
        self.whole = mmap.mmap(-1, inner + 2 * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.whole))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for edge in (start, start + page + inner):
            assert protect(edge, page, 0) == 0
        self.address = start + page + (inner - 4 * numbers if at_end else 0)
        self.floats = (ctypes.c_float * numbers).from_address(self.address)

    def fill(self, values: Tensor) -> None:
        ctypes.memmove(self.address, values.data_ptr(), 4 * values.numel())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_nothing_is_touched_beyond_any_edge(tmp_path: Path) -> None:
    """Every function, both layouts, sizes that fill its loops and that leave a rest, guard pages at both edges."""
    built = tmp_path / "passes.so"
    subprocess.run(["gcc", "-O3", "-fPIC", "-shared", str(SOURCE), "-o", str(built)], check=True)  # one thread
    library = ctypes.CDLL(str(built))
    contexts = (ctypes.c_int64 * 5)(*CONTEXT.tolist())
    for at_end in (True, False):
        for channels, positions in ((1, 1), (3, 1), (3, 7), (64, 4), (65, 5), (130, 9), (2, 257)):
            for last in (False, True):
                shape = _Shape(5, positions, channels, 3, last, 1)
                sizes = {"x": 5 * positions * channels, "t": 3 * channels, "s": 5 * 2 * channels}
                for name, takes in TAKES.items():
                    memory = [Guarded(sizes[kind], at_end) for kind in takes]
                    for each in memory:
                        each.fill(torch.rand(len(each.floats)))
                    getattr(library, f"dacn_{name}")(
                        ctypes.byref(shape), contexts, *[ctypes.c_void_p(each.address) for each in memory]
                    )
                    assert all(torch.tensor(list(each.floats)).isfinite().all() for each in memory)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_address_sanitizer_finds_nothing(tmp_path: Path) -> None:
    """A small program over `passes.c`, both under AddressSanitizer and the undefined-behaviour one."""
    program = tmp_path / "program.c"
    program.write_text(
        f"""#include "{SOURCE}"
#include <stdlib.h>
static float *room(int64_t n) {{ float *p = malloc(n * sizeof *p); while (n--) p[n] = n % 7; return p; }}
int main(void)
{{
    int64_t sizes[][2] = {{{{1, 1}}, {{3, 1}}, {{3, 7}}, {{64, 4}}, {{65, 5}}, {{130, 9}}, {{2, 257}}}};
    for (int i = 0; i < 14; i++) {{
        int64_t c = sizes[i / 2][0], p = sizes[i / 2][1];
        Shape s = {{5, p, c, 3, i % 2, 1}};
        int64_t *context = malloc(5 * sizeof *context);
        for (int r = 0; r < 5; r++) context[r] = (r * 2) % 3;
        float *x = room(5 * p * c), *y = room(5 * p * c), *z = room(5 * p * c), *images = room(10 * c);
        float *a = room(3 * c), *b = room(3 * c), *d = room(3 * c), *e = room(3 * c);
        dacn_moments(&s, context, x, images, a, b);
        dacn_affine(&s, context, x, a, b, y);
        dacn_sums(&s, context, y, x, a, b, images, d, e);
        dacn_combine(&s, context, y, x, a, b, d, z);
        free(x), free(y), free(z), free(images), free(a), free(b), free(d), free(e), free(context);
    }}
    return 0;
}}
"""
    )
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    made = subprocess.run(
        ["gcc", *flags, str(program), "-o", str(tmp_path / "program")], capture_output=True, text=True
    )
    if made.returncode and "sanitize" in made.stderr + "asan" in made.stderr:
        pytest.skip("this gcc has no sanitizer")
    assert made.returncode == 0, made.stderr
    ran = subprocess.run([str(tmp_path / "program")], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
