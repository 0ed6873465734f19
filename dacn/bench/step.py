"""The training step against the bare network, and what each part of it takes."""

import copy
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from torch import nn

from dacn.algorithms.base import Losses
from dacn.bench.busy import busy_seconds
from dacn.bench.setting import Setting, images_tested
from dacn.bench.timing import interleave, ratios, wait_for
from dacn.bench.whole_run import estimate
from dacn.run.build import build_algorithm, build_trainer
from dacn.run.length import MOST
from dacn.trainer.compilation import compile_network
from dacn.trainer.meter import Meter
from dacn.trainer.optimizer import build_optimizer
from dacn.trainer.tracking import Tracker
from dacn.trainer.trainer import Trainer

PARTS = ("sampling", "weak", "strong", "forwards", "losses", "backward", "optimizer", "ema", "logging")


class Bench:
    """A recipe's trainer beside its bare network, in a folder that is thrown away.

    Args:
        setting: recipe and images.
        device: where.
    """

    def __init__(self, setting: Setting, device: torch.device) -> None:
        self.setting, self.recipe = setting, setting.recipe
        if self.recipe.train.steps is None:  # how many they will be follows from what is measured
            train = self.recipe.train.on_a_cpu() if device.type == "cpu" else self.recipe.train
            self.recipe = self.recipe.model_copy(update={"train": train.lasting(MOST)})
        self.folder = TemporaryDirectory()
        out = Path(self.folder.name)
        self.tracker = Tracker(out, steps=self.recipe.train.total_steps, console=Console(quiet=True))
        pair = setting.pair.to(device)
        algorithm = build_algorithm(self.recipe, pair)
        algorithm.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        network = copy.deepcopy(algorithm.model)  # before the trainer compiles the other one
        self.trainer = build_trainer(self.recipe, algorithm, pair, self.tracker, out)
        compile_network(network, self.recipe.train, device)
        self.network: nn.Module = network
        self.optimizer = build_optimizer(self.recipe.optimizer, network)
        self.meter = Meter()
        self.device = device
        batch, views = next(self.trainer.loader), self._views()
        self.x = torch.cat([*batch.source, *batch.target])[:views]  # (views, 3, H, W)
        self.context = torch.cat([batch.source_context.repeat(2), batch.target_context.repeat(2)])[:views]
        self.labels = torch.zeros(views, dtype=torch.int64, device=device)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.tracker.close()
        self.folder.cleanup()

    def _views(self) -> int:
        """Return how many views the step's largest forward pass is of."""
        views = [0]
        hook = self.trainer.algorithm.model.input_norm.register_forward_pre_hook(
            lambda module, inputs: views.append(len(inputs[0]))
        )
        self.step()
        hook.remove()
        return max(views)

    def plain_network(self) -> nn.Module:
        """Return a network of the recipe that is not compiled, on the device."""
        network = build_algorithm(self.recipe, self.trainer.pair).model
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def step(self) -> None:
        """Do what the training loop does in one step, between two evaluations."""
        trainer = self.trainer
        losses = trainer.train_step(next(trainer.loader))
        self.log(losses)

    def log(self, losses: Losses) -> None:
        """Take note of one step's losses, as the training loop does."""
        self.trainer.step += 1
        self.tracker.progress(self.trainer.step)
        self.meter.add({"loss": losses.total, **losses.parts})
        logging = self.trainer.step % self.recipe.train.log_every == 0
        self.trainer.check(losses, thoroughly=logging)
        if logging:
            self.tracker.log(self.trainer.step, self.meter.read()[1])

    def bare(self) -> None:
        """Forward, backward and optimizer of the network alone, on ready tensors of as many views."""
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.trainer.bf16):
            loss = nn.functional.cross_entropy(self.network(self.x, self.context), self.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad()

    def compare(self, rounds: int, seconds: float | None = None) -> dict[str, Any]:
        """Return images and views a second, and the step's time in units of the bare network's.

        Measured are as many steps as the loader makes batches for at once, for the first of these has all the work.
        """
        together = self.trainer.loader.together
        contenders = {"bare": _repeated(self.bare, together), "step": _repeated(self.step, together)}
        times = interleave(contenders, rounds, self.device, seconds=seconds)
        ratio = ratios(times, "bare")["step"]
        images, views = self.trainer.loader.images, len(self.x)
        step, bare = (median(times[name]) / together for name in ("step", "bare"))
        busy = busy_seconds(contenders["step"], self.device)
        return {
            "images": images,
            "views": views,
            "images_per_second": images / step,
            "views_per_second": views / step,
            "bare_images_per_second": images / bare,
            "ratio": ratio,
            "overhead_percent": 100 * (ratio - 1),
            "milliseconds": 1000 * step,
            "gpu_busy_milliseconds": None if busy is None else 1000 * busy / together,
        }

    def whole_run(self, step_seconds: float, *, brief: bool = False) -> dict[str, Any]:
        """Return what `dacn.bench.whole_run.estimate` reckons."""
        batch = next(self.trainer.loader)
        return estimate(
            self.setting.recipe, self.trainer, batch, step_seconds, images_tested(self.setting), brief=brief
        )

    def shares(self, rounds: int, seconds_at_most: float | None = None) -> dict[str, float]:
        """Return each part's percentage of a step; on a GPU each is waited for, so together they take longer.

        Strong views are made of weak ones of their own, which count as weak; so does painting them. A step that is
        replayed as a graph has no parts that could be timed: then they are those of the same step without it.
        """
        self.trainer.replayed = None
        clock = _Stopwatch(self.device)
        _instrument(self.trainer, clock)
        self.log = clock.timed("logging", self.log)  # type: ignore[method-assign]
        together = self.trainer.loader.together
        began = time.perf_counter()
        for index in range(together * (1 + rounds)):
            if index == together:
                clock.seconds.clear()
                began = time.perf_counter()
            late = seconds_at_most is not None and time.perf_counter() - began > seconds_at_most
            if late and index >= 2 * together and index % together == 0:
                break
            batch = clock.timed("loading", self.trainer.loader.__next__)()
            losses = self.trainer.train_step(batch)
            self.log(losses)
        seconds = clock.seconds
        seconds["sampling"] = seconds["loading"] - seconds["views"]
        seconds["weak"] = seconds["views"] - seconds["strong"]
        seconds["losses"] = seconds["algorithm"] - seconds["forwards"]
        seconds["backward"] = seconds["learning"] - seconds["algorithm"]
        total = sum(seconds[part] for part in PARTS)
        return {part: 100 * seconds[part] / total for part in PARTS}


def _repeated(call: Callable[[], None], times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            call()

    return run


class _Stopwatch:
    """Adds up what calls take, by name."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def run(*args: Any, **kwargs: Any) -> Any:
            wait_for(self.device)
            start = time.perf_counter()
            result = call(*args, **kwargs)
            wait_for(self.device)
            self.seconds[name] += time.perf_counter() - start
            return result

        return run


def _instrument(trainer: Trainer, clock: _Stopwatch) -> None:
    """Put the stopwatch around the parts of a trainer, which is of no other use afterwards."""
    owners: list[tuple[Any, str, str]] = [
        (trainer.loader.augment, "views", "views"),
        (trainer.loader.augment, "strong", "strong"),
        (trainer.one_step, "backward", "learning"),
        (trainer.algorithm, "forward", "algorithm"),
        (trainer.algorithm.model, "features", "forwards"),
        (trainer.algorithm.model.head, "forward", "forwards"),
        (trainer.optimizer, "step", "optimizer"),
        (trainer.optimizer, "zero_grad", "optimizer"),
        (trainer.schedule, "step", "optimizer"),
        (trainer.ema, "follow", "ema"),
    ]
    for owner, method, part in owners:
        setattr(owner, method, clock.timed(part, getattr(owner, method)))
