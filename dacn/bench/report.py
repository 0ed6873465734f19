"""Everything that `dacn bench` measures, as one tree of plain values."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from dacn.bench.augmentation import compare_augmentation
from dacn.bench.bounds import bound, measure_arithmetic, measure_bandwidth
from dacn.bench.decoding import measure_throughput
from dacn.bench.memory import peak_megabytes
from dacn.bench.norms import compare_norms
from dacn.bench.setting import Setting, setting_of
from dacn.bench.step import Bench
from dacn.doctor.trial import with_affordable_batches
from dacn.errors import DacnError
from dacn.nn.passes.native import made_by
from dacn.recipe.recipe import Recipe
from dacn.run.build import build_algorithm
from dacn.trainer.compilation import require_graphs
from dacn.trainer.config import TrainConfig

NO_BOUNDS = "bounds are for GPUs: on a CPU caches decide, and neither bandwidth nor arithmetic says much"
COMPILING: dict[bool | str, str] = {False: "without", True: "with", "graphs": "graphs"}
"""What ``train.compile`` may be on a GPU, and what the report calls it."""
GPU_SECONDS = 8.0
"""At most so long is each comparison measured on a GPU, where compiling takes most of the time."""
CPU_SHARES = {"step": 0.25, "shares": 0.1, "norms": 0.3, "augmentation": 0.08}
"""Parts of the whole time that comparisons may take on a CPU; evaluations and a start of each take the rest."""
CPU_STEP = 0.4
"""Seconds that a step may be expected to take on a CPU; where it would be more, smaller batches are measured."""
MOST_IMAGES = 256  # in the comparison of augmentations: the others are slow


def measure(
    recipe: Recipe,
    device: torch.device,
    rounds: int,
    shapes: Sequence[tuple[int, int, int, int]],
    tell: Callable[[str], None] = lambda what: None,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Measure a recipe's step and its parts on ``device``.

    Args:
        recipe: its data are not read but for the embedded digits; see `dacn.bench.setting`.
        device: where.
        rounds: measurements of each contender at most; medians are told. On a GPU see `GPU_SECONDS`.
        shapes: activations ``(B, C, H, W)`` that the norm layers are compared on.
        tell: is called with what is measured next.
        seconds: about how long all of it may take on a CPU; None: as long as it takes, with the recipe's own batches.
    """
    setting = setting_of(recipe)
    on_gpu = device.type == "cuda"

    def most(part: str) -> float | None:
        """Return how many seconds a comparison may take."""
        return GPU_SECONDS if on_gpu else None if seconds is None else seconds * CPU_SHARES[part]

    if seconds is not None and not on_gpu:
        algorithm = build_algorithm(recipe, setting.pair)
        recipe = with_affordable_batches(recipe, algorithm, setting.pair, steps=1, patience=CPU_STEP)
    result: dict[str, Any] = {
        "recipe": recipe.name,
        "device": torch.cuda.get_device_name(device) if on_gpu else "CPU",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "norm_passes": made_by(),
        "rounds": rounds,
        "images_are": setting.images_are,
        "batches": _batches(setting.recipe.train, recipe.train),
    }
    tell("the step against the bare network")
    result |= _measure_step(setting, replace(setting, recipe=recipe), device, rounds, most, tell)
    if on_gpu:
        bound = result["bounds"]["images_per_second"]
        own = True if recipe.train.compile == "auto" else recipe.train.compile
        result["compile"] = {}
        for way, name in COMPILING.items():
            if way != own:
                tell(f"the step with train.compile: {str(way).lower()}")
            result["compile"][name] = (
                _step_result(result["step"], bound)
                if way == own
                else _measure_compiled(setting, device, rounds, way, bound)
            )
    compiled = recipe.train.compiles_on(device)
    result["norms"], norms = [], most("norms")
    each = norms if on_gpu or norms is None else norms / len(shapes)
    for shape in shapes:
        tell(f"norms at {'x'.join(map(str, shape))}")
        ratios = compare_norms(shape, rounds, device, compiled=compiled, seconds=each)
        result["norms"].append({"shape": list(shape), "ratios": ratios})
    tell("augmentation")
    images = setting.pair.target.images[: min(recipe.train.images, MOST_IMAGES)].to(device)
    result["augmentation"] = compare_augmentation(images, recipe.augment, rounds, most("augmentation"))
    return result


def _batches(own: TrainConfig, measured: TrainConfig) -> str:
    """Return which batches were measured."""
    told = f"{measured.source_batch} + {measured.target_batch}"
    return told if own.images == measured.images else f"{told} in place of {own.source_batch} + {own.target_batch}"


def _measure_step(
    setting: Setting,
    measured: Setting,
    device: torch.device,
    rounds: int,
    most: Callable[[str], float | None],
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Return the step, its parts' shares, peak memory and bounds; ``measured`` may have smaller batches."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    with Bench(measured, device) as bench:
        result: dict[str, Any] = {"step": bench.compare(rounds, most("step"))}
        result["memory"] = {"peak_mb": peak_megabytes(device), "of": "the GPU" if on_gpu else "the process"}
        if on_gpu:
            result["bounds"] = _bounds(bench, device, result["step"]["images_per_second"])
        else:
            result["bounds"] = {"note": NO_BOUNDS}
        tell("an evaluation")
        larger = setting.recipe.train.images / measured.recipe.train.images
        result["whole_run"] = bench.whole_run(
            larger * result["step"]["milliseconds"] / 1000, brief=most("step") is not None and not on_gpu
        )
        tell("what each part of a step takes")
        result["shares"] = bench.shares(rounds, most("shares"))
        tell("decoding")
    result["throughput"] = measure_throughput(measured.recipe, result["step"], result["shares"])
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
            return _step_result(bench.compare(rounds, GPU_SECONDS), most)
    except (DacnError, RuntimeError) as error:  # that a compiler or a driver cannot is worth knowing, and no end
        return str(error).partition("\n")[0]
