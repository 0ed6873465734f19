"""The only training loop: what a run does between its steps."""

import copy
import math
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from dacn.algorithms.base import Algorithm, Losses
from dacn.batch import Batch
from dacn.data.domain import DomainPair
from dacn.data.views.loader import DomainLoader
from dacn.errors import Interrupted, NonFiniteLossError
from dacn.evaluation.config import EvaluateConfig
from dacn.evaluation.console import describe, in_short
from dacn.evaluation.matrix import RAW_IMAGES, Evaluation, context_matrix, evaluate
from dacn.evaluation.selection import Selection
from dacn.models.classifier import Classifier
from dacn.nn import em_seconds, processes, refresh_started
from dacn.trainer.checkpoint import load_checkpoint, save_checkpoint
from dacn.trainer.compilation import compile_network
from dacn.trainer.config import TrainConfig
from dacn.trainer.drift import ContextDrift
from dacn.trainer.ema import MovingAverage
from dacn.trainer.estimate import Forecast
from dacn.trainer.meter import Meter, first_non_finite
from dacn.trainer.observe import domain_distance, evaluation_values, observe_contexts, observe_views, told_by_labels
from dacn.trainer.replay import ReplayedStep
from dacn.trainer.resumption import restore, resumable
from dacn.trainer.signals import StopRequest
from dacn.trainer.step import TrainingStep
from dacn.trainer.tracking import ORACLE, Tracker

OBSERVATIONS = 10
"""At so many evaluations of a run, at most, views and histograms are shown: to draw takes longer than to evaluate."""


class Trainer:
    """Trains any algorithm on any pair.

    Args:
        algorithm: makes the losses; on its device.
        pair: what is evaluated on, on the same device.
        loader: endless batches of the pair.
        optimizer, schedule: of the algorithm's parameters.
        config, evaluation: lengths, intervals, precision.
        tracker: receives everything that is measured.
        checkpoints: folder of last.pt and selected.pt.
        origin, network: what is written into every checkpoint of where it comes from, and of what its network takes
            and gives; plain values.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        pair: DomainPair,
        loader: DomainLoader,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        *,
        config: TrainConfig,
        evaluation: EvaluateConfig,
        tracker: Tracker,
        checkpoints: Path,
        origin: Mapping[str, Any],
        network: Mapping[str, Any],
    ) -> None:
        self.algorithm, self.pair, self.loader = algorithm, pair, loader
        self.optimizer, self.schedule = optimizer, schedule
        self.config, self.evaluation = config, evaluation
        self.tracker, self.checkpoints = tracker, checkpoints
        self.origin, self.network = dict(origin), dict(network)
        self.device = next(algorithm.parameters()).device
        self.ema = MovingAverage(algorithm.model, config.ema, start=config.ema_start, statistics=config.ema_statistics)
        self.bf16 = config.bf16_on(self.device)
        compile_network(algorithm.model, config, self.device)
        self.one_step = TrainingStep(algorithm, optimizer, schedule, self.ema, config)
        self.replayed = ReplayedStep(self.one_step) if config.graphs_on(self.device) else None
        self.selection = Selection(updates_to=dict.fromkeys(evaluation.milestones))
        self.drift = ContextDrift(pair.contexts)
        self.first: tuple[int, list[int]] | None = None  # step and target predictions of the first evaluation
        self.verbose = False  # print all that an evaluation finds, and not a few words
        self.step = 0  # steps done
        self.seconds = 0.0  # spent in `fit`, before a resume too
        self.training_seconds = 0.0  # the same without evaluations and checkpoints
        self.evaluation_seconds = 0.0  # of evaluations and what is shown of them
        self.em: Counter[str] = Counter()  # what fitting mixtures took in all; empty where no layer does

    def fit(self, forecast: Forecast | None = None) -> Evaluation:
        """Train to the last step and return the last checkpoint's evaluation; ``forecast`` is told of each step.

        Raises:
            NonFiniteLossError: a loss term is NaN or infinite; the message names it.
            Interrupted: Ctrl-C or SIGTERM; last.pt is saved.
        """
        every = self.evaluation.every or max(1, self.config.total_steps // 10)
        shown_every = every * math.ceil(self.config.total_steps / every / OBSERVATIONS)
        result = None
        meter, mark = Meter(), time.perf_counter()
        with StopRequest(shared=processes.count() > 1) as stop:
            while self.step < self.config.total_steps and not (stopped := processes.any_of(stop.signal or 0)):
                batch = next(self.loader)
                losses = self.train_step(batch)
                self.step += 1
                self.tracker.progress(self.step)
                meter.add({"loss": losses.total, **losses.parts})
                evaluating = self.step % every == 0 or self.step == self.config.total_steps
                logging = evaluating or self.step % self.config.log_every == 0
                self.check(losses, thoroughly=logging)
                if logging:
                    if refresh_started(self.algorithm) and self.replayed:  # the host waits for the values anyway
                        self.replayed.forget()  # a step has less to do from here on
                    self.tracker.log(self.step, self._training_values(meter, mark))
                if forecast is not None:
                    forecast.see(self.step, self.config.total_steps, self.device, logged=logging)
                if logging:
                    if evaluating:
                        evaluating_since = time.perf_counter()
                        result = self.evaluate()
                        self._judge(result)
                        last = self.step == self.config.total_steps
                        if self.evaluation.figures and (self.step % shown_every == 0 or last):
                            self._observe(batch)
                        self.algorithm.train()  # whatever looked at it
                        self.evaluation_seconds += time.perf_counter() - evaluating_since
                    mark, began = time.perf_counter(), mark
                    self.seconds += mark - began
                if evaluating:
                    self.save()
        if self.step < self.config.total_steps:
            self.save()
            saved = f"saved {self.checkpoints / 'last.pt'}, go on with --resume"
            raise Interrupted(stopped, f"stopped after step {self.step} of {self.config.total_steps}; {saved}")
        return result or self.evaluate()

    def train_step(self, batch: Batch) -> Losses:
        """Do one step of training and return its losses."""
        losses = (self.replayed or self.one_step)(batch, self.step / self.config.total_steps)
        self.drift.begin(self.ema.module)
        return losses

    def evaluate(self) -> Evaluation:
        """Evaluate the averaged network as it is now."""
        self.algorithm.before_evaluation(self.ema.module, self.pair.target.images, self.pair.target_context)
        compiled, flips = self.config.compiles_on(self.device), self.evaluation.flips
        return evaluate(self.ema.module, self.pair, **self.how, flips=flips, compiled=compiled)

    def raw_matrix(self) -> dict[str, float | None]:
        """Return the context matrix of the weights without averaging, on some of the test images."""
        model = copy.deepcopy(self.algorithm.model)  # what a method does before evaluation must not reach training
        self.algorithm.before_evaluation(model, self.pair.target.images, self.pair.target_context)
        compiled, flips = self.config.compiles_on(self.device), self.evaluation.flips
        return context_matrix(model, self.pair, **self.how, flips=flips, compiled=compiled, most=RAW_IMAGES)

    @property
    def averaged(self) -> Classifier:
        """The averaged network, which is the one that is evaluated."""
        return cast(Classifier, self.ema.module)

    @property
    def how(self) -> dict[str, Any]:
        """How evaluation goes about it."""
        return {
            "uses_target": self.algorithm.uses_target,
            "batch_size": self.evaluation.batch_size,
            "bf16": self.bf16,
        }

    def save(self) -> None:
        """Write last.pt: the averaged network, and all that a resumed run needs. Every process has to call it."""
        self._mixture_fits()  # of the steps since the last logged one
        state = {**self._averaged_network(), "resume": resumable(self)}
        if processes.is_first():
            save_checkpoint(self.checkpoints / "last.pt", state, keep_previous=True)

    def resume(self, saved: Mapping[str, Any]) -> None:
        """Continue where ``saved``, the content of last.pt, was saved."""
        restore(self, saved)

    def load_selected(self) -> None:
        """Take the weights of the checkpoint that was chosen. Every process has to call it, on the first one's file."""
        state = load_checkpoint(self.checkpoints / "selected.pt")["model"] if processes.is_first() else None
        self.ema.module.load_state_dict(state or self.ema.module.state_dict())
        for tensor in self.ema.module.state_dict().values():
            processes.copy_from_first(tensor)

    def _averaged_network(self) -> dict[str, Any]:
        model = self.ema.module.state_dict()
        return {"origin": self.origin, "network": self.network, "step": self.step, "model": model}

    def _training_values(self, meter: Meter, mark: float) -> dict[str, float | list[float]]:
        """Return the means of what the steps since the time ``mark`` measured."""
        steps, values = meter.read()
        seconds = time.perf_counter() - mark
        self.training_seconds += seconds
        values |= self._mixture_fits()
        values["learning_rate"] = float(self.schedule.get_last_lr()[0])
        values["images_per_second"] = steps * self.loader.images / seconds
        return values

    def _mixture_fits(self) -> dict[str, float]:
        """Return what fitting mixtures took since this was last called, and add it to the total."""
        fits = em_seconds(self.algorithm)
        self.em.update(fits)
        return fits

    def check(self, losses: Losses, *, thoroughly: bool) -> None:
        """Refuse a loss that is not finite; between logged steps only where a look does not make the host wait."""
        if not thoroughly and (self.device.type != "cpu" or math.isfinite(losses.total.item())):
            return
        if (name := first_non_finite({**losses.parts, "loss": losses.total})) is not None:
            raise NonFiniteLossError(
                f"{name} is not finite at step {self.step}; the last good checkpoint is kept. "
                "A smaller optimizer.lr, a schedule.warm_up, or train.precision fp32 usually mends it"
            )

    def _judge(self, result: Evaluation) -> None:
        """Keep the checkpoint if the label-free score chooses it, and log what was found."""
        raw, select = self.raw_matrix(), self.evaluation.select
        if self.first is None and result.unlabelled_probabilities is not None:
            self.first = self.step, result.unlabelled_probabilities.argmax(dim=1).tolist()
        if self.selection.judge(self.step, select, result, raw) and processes.is_first():
            save_checkpoint(self.checkpoints / "selected.pt", self._averaged_network())
        told = told_by_labels(self.algorithm, result, self.pair)
        values = {
            **evaluation_values(result, raw),
            **domain_distance(self.averaged, self.pair, **self.how),
            **self.drift.measure(self.ema.module),
            **told,
        }
        oracle = {name.removeprefix(ORACLE): value for name, value in told.items() if name.startswith(ORACLE)}
        text = in_short(result, select, self.selection)
        if self.verbose:
            text = describe(result, raw, select, self.selection, oracle)
        self.tracker.log(self.step, values, text)

    def _observe(self, batch: Batch) -> None:
        observe_views(self.tracker, self.algorithm, self.ema.module, batch, self.pair.classes, self.step)
        observe_contexts(self.tracker, self.ema.module, self.step)
