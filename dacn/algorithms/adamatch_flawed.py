"""AdaMatch with the mistakes of popular copies, each on a switch: to measure what they cost."""

from typing import Any, Literal, get_args

import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from dacn.algorithms.adamatch import AdaMatch, AdaMatchConfig

Flaw = Literal["frozen_pass", "moved_statistics", "one_ratio", "l2_labels", "summed_source", "late_warm_up"]
FLAWS: tuple[Flaw, ...] = get_args(Flaw)


class FlawedAdaMatchConfig(AdaMatchConfig):
    """AdaMatch as popular copies have it, to be compared with `adamatch`. Not for use."""

    name: Literal["adamatch_flawed"] = "adamatch_flawed"  # type: ignore[assignment]
    flaws: tuple[Flaw, ...] = Field(FLAWS, description="which of them; none: the method itself")
    scheduled: float = Field(
        10.0,
        ge=1,
        le=1000,
        description="late_warm_up: the run takes 1/scheduled of the steps that the weight rises for",
    )

    @field_validator("flaws")
    @classmethod
    def _whole(cls, flaws: tuple[Flaw, ...]) -> tuple[Flaw, ...]:
        if "moved_statistics" in flaws and "frozen_pass" not in flaws:
            raise ValueError("moved_statistics says when the frozen pass comes: give frozen_pass beside it")
        return flaws


class FlawedAdaMatch(AdaMatch):
    """AdaMatch with these differences from the method, each with its switch in `flaws`.

    - `frozen_pass`: the source's forward alone is in evaluation mode, by running statistics instead of its own.
    - `moved_statistics`: that forward comes after the joint one, whose batch, target and all, the running statistics
      have then taken in; goes with `frozen_pass`.
    - `one_ratio`: the alignment ratio of the marginals is taken over all classes at once. Means of probabilities over
      everything are 1/K each, so the ratio is 1 and nothing is aligned.
    - `l2_labels`: predictions are scaled to length 1 instead of sum 1, and learned as they are. A confidence of 0.50
      becomes up to 0.95, so the threshold keeps nearly everything, and the labels sum to more than 1.
    - `summed_source`: the losses of the source's weak and strong views are added up instead of averaged, so that the
      target's weighs half as much beside them.
    - `late_warm_up`: the target loss's weight rises over a schedule of `scheduled` times as many steps as are run.

    What else such copies do needs no code: `data.flips: true` mirrors digits, `augment.shift: 0` makes the weak view
    the image itself, `train.ema: 0` evaluates raw weights, and the accuracy under the wrong context stands in every
    run's context matrix.

    Args:
        config: which flaws.
        model: the network.
        num_classes: K.

    Reference: the method is Berthelot et al. 2022, arXiv 2106.04732; copies with these flaws stand behind the AdaMatch
        results of Faye et al. 2024, arXiv 2409.04759.
    """

    def __init__(self, config: FlawedAdaMatchConfig, model: Any, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.flaws = frozenset(config.flaws)
        self.scheduled = config.scheduled
        self.asks_device |= "frozen_pass" in self.flaws  # how many batches there were

    def logits(self, images: Tensor, context: Tensor, sources: int) -> tuple[Tensor, Tensor | None]:
        """Return the logits of all images and, where they differ, those of the first ``sources`` by themselves."""
        if "moved_statistics" not in self.flaws or not self.two_forwards:
            return super().logits(images, context, sources)
        joint = self.model(images, context)
        return joint, self._frozen(images[:sources], context[:sources])

    def source_alone(self, images: Tensor, context: Tensor) -> Tensor:
        """Return the logits of source images, ``(V * B, K)``."""
        if "frozen_pass" not in self.flaws or self.batches == 0:  # nothing has been running yet
            return super().source_alone(images, context)
        return self._frozen(images, context)

    def _frozen(self, images: Tensor, context: Tensor) -> Tensor:
        self.model.eval()
        logits = super().source_alone(images, context)  # by copies of what the joint forward will update
        self.model.train()
        return logits

    def source_loss(self, z: Tensor, labels: Tensor, of_source: Tensor | None) -> Tensor:
        """Return the loss of labelled logits ``(V * B, K)``."""
        loss = super().source_loss(z, labels, of_source)
        return len(z) // len(labels) * loss if "summed_source" in self.flaws else loss

    def target_loss(self, strong: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of strong logits by weak predictions, ``(T, K)`` each, and which rows are kept, ``(T,)``."""
        if "l2_labels" not in self.flaws:
            return super().target_loss(strong, probabilities)
        labels = self._scaled(probabilities)
        keep = labels.amax(dim=1) >= self.threshold
        return (F.cross_entropy(strong, labels, reduction="none") * keep).mean(), keep

    def warm_up(self, progress: float | Tensor) -> Tensor:
        """Return the weight of the target loss, a scalar ``()``."""
        return super().warm_up(progress / self.scheduled if "late_warm_up" in self.flaws else progress)

    def pseudo_labels(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labels that predictions ``(T, K)`` are given and whether each is kept, ``(T,)`` each."""
        if not self.flaws & {"one_ratio", "l2_labels"}:
            return super().pseudo_labels(probabilities)
        confidence, labels = self._scaled(probabilities).max(dim=1)
        return labels, confidence >= self.threshold

    def _scaled(self, probabilities: Tensor) -> Tensor:
        """Return predictions as they are aligned and scaled here: (T, K)."""
        p_source, p_target = self.p_source, self.p_target
        if "one_ratio" in self.flaws:
            p_source, p_target = p_source.mean(), p_target.mean()
        q = (probabilities * (1e-6 + p_source) / (1e-6 + p_target)).detach()
        return F.normalize(q, p=2 if "l2_labels" in self.flaws else 1, dim=1)
