"""Everything that `dacn bench` measures, as one tree of plain values."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from dacn.bench.augmentation import compare_augmentation
from dacn.bench.bounds import bound, measure_arithmetic, measure_bandwidth
from dacn.bench.norms import compare_norms
from dacn.bench.setting import Setting, setting_of
from dacn.bench.step import Bench
from dacn.errors import DacnError
from dacn.nn.passes.native import made_by
from dacn.recipe.recipe import Recipe
from dacn.trainer.compilation import require_graphs

NO_BOUNDS = "bounds are for GPUs: on a CPU caches decide, and neither bandwidth nor arithmetic says much"
COMPILING: dict[bool | str, str] = {False: "without", True: "with", "graphs": "graphs"}
"""What ``train.compile`` may be on a GPU, and what the report calls it."""
GPU_SECONDS = 8.0
"""At most so long is each comparison measured on a GPU, where compiling takes most of the time."""
MOST_IMAGES = 256  # in the comparison of augmentations: the others are slow


def measure(
    recipe: Recipe,
    device: torch.device,
    rounds: int,
    shapes: Sequence[tuple[int, int, int, int]],
    tell: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """Measure a recipe's step and its parts on ``device``.

    Args:
        recipe: its data are not read but for the embedded digits; see `dacn.bench.setting`.
        device: where.
        rounds: measurements of each contender; medians are told. On a GPU there may be fewer, see `GPU_SECONDS`.
        shapes: activations ``(B, C, H, W)`` that the norm layers are compared on.
        tell: is called with what is measured next.
    """
    setting = setting_of(recipe)
    on_gpu = device.type == "cuda"
    result: dict[str, Any] = {
        "recipe": recipe.name,
        "device": torch.cuda.get_device_name(device) if on_gpu else "CPU",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "norm_passes": made_by(),
        "rounds": rounds,
        "images_are": setting.images_are,
    }
    tell("the step, its parts, and an evaluation")
    result |= _measure_step(setting, device, rounds)
    if on_gpu:
        most = result["bounds"]["images_per_second"]
        own = True if recipe.train.compile == "auto" else recipe.train.compile
        result["compile"] = {}
        for way, name in COMPILING.items():
            if way != own:
                tell(f"the step with train.compile: {str(way).lower()}")
            result["compile"][name] = (
                _step_result(result["step"], most)
                if way == own
                else _measure_compiled(setting, device, rounds, way, most)
            )
    compiled = recipe.train.compiles_on(device)
    result["norms"] = []
    for shape in shapes:
        tell(f"norms at {'x'.join(map(str, shape))}")
        ratios = compare_norms(shape, rounds, device, compiled=compiled, seconds=_most_seconds(device))
        result["norms"].append({"shape": list(shape), "ratios": ratios})
    tell("augmentation")
    images = setting.pair.target.images[: min(recipe.train.images, MOST_IMAGES)].to(device)
    result["augmentation"] = compare_augmentation(images, recipe.augment, rounds, _most_seconds(device))
    return result


def _most_seconds(device: torch.device) -> float | None:
    return GPU_SECONDS if device.type == "cuda" else None


def _measure_step(setting: Setting, device: torch.device, rounds: int) -> dict[str, Any]:
    """Return the step, its parts' shares, peak memory and bounds."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    with Bench(setting, device) as bench:
        result: dict[str, Any] = {"step": bench.compare(rounds, _most_seconds(device))}
        result["memory"] = {"peak_mb": _peak_megabytes(device), "of": "the GPU" if on_gpu else "the process"}
        if on_gpu:
            result["bounds"] = _bounds(bench, device, result["step"]["images_per_second"])
        else:
            result["bounds"] = {"note": NO_BOUNDS}
        result["whole_run"] = bench.whole_run(result["step"]["milliseconds"] / 1000)
        result["shares"] = bench.shares(rounds, _most_seconds(device))
    return result


def _bounds(bench: Bench, device: torch.device, images_per_second: float) -> dict[str, Any]:
    bf16 = bench.trainer.bf16
    bandwidth = measure_bandwidth(device)
    arithmetic = measure_arithmetic(device, torch.bfloat16 if bf16 else torch.float32)
    network, images = bench.plain_network(), bench.trainer.loader.images
    result = bound(network, bench.x, bench.context, images, bf16=bf16, bandwidth=bandwidth, arithmetic=arithmetic)
    return result | {"share_percent": 100 * images_per_second / result["images_per_second"]}


def _step_result(step: dict[str, Any], most: float) -> dict[str, float | None]:
    """Return what is told of a step that was compiled in one way or another, of ``most`` images a second."""
    left_out = ("images", "views", "ratio")
    return {name: value for name, value in step.items() if name not in left_out} | {
        "share_percent": 100 * step["images_per_second"] / most
    }


def _measure_compiled(
    setting: Setting, device: torch.device, rounds: int, way: bool | str, most: float
) -> dict[str, float | None] | str:
    """Measure the step with this ``train.compile``; return `_step_result` of it, or why it does not run."""
    train = setting.recipe.train.model_copy(update={"compile": way})
    recipe = setting.recipe.model_copy(update={"train": train})
    torch.compiler.reset()
    try:
        with Bench(replace(setting, recipe=recipe), device) as bench:
            require_graphs(train, bench.trainer.algorithm, device)
            return _step_result(bench.compare(rounds, _most_seconds(device)), most)
    except (DacnError, RuntimeError) as error:  # that a compiler or a driver cannot is worth knowing, and no end
        return str(error).partition("\n")[0]


def _peak_megabytes(device: torch.device) -> float | None:
    """Return the most memory that was in use at once; None where the system does not count it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
