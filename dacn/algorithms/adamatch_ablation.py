"""AdaMatch without some of its parts: to measure what each brings."""

from typing import Any, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor

from dacn.algorithms.adamatch import AdaMatch, AdaMatchConfig
from dacn.algorithms.base import Losses
from dacn.batch import Batch, Views
from dacn.losses import confident

Part = Literal["alignment", "interpolation", "relative_threshold", "strong_source", "warm_up"]
PARTS: tuple[Part, ...] = get_args(Part)


class AblatedAdaMatchConfig(AdaMatchConfig):
    """AdaMatch without some of its parts."""

    name: Literal["adamatch_ablation"] = "adamatch_ablation"  # type: ignore[assignment]
    without: tuple[Part, ...] = Field(PARTS, description="the parts left out; none: the method itself")


class AblatedAdaMatch(AdaMatch):
    """AdaMatch with parts of it left out, each with its name in `without`.

    - `alignment`: the target's predictions are taken as they are, whatever their marginal (section 3.2).
    - `interpolation`: one forward of both domains together, no logits in between (section 3.1).
    - `relative_threshold`: a pseudo-label counts from a confidence of `threshold` itself (section 3.3).
    - `strong_source`: the source is learned by its weak view alone, which stands in for the strong one.
    - `warm_up`: the target's loss has its full weight from the first step (section 3.4).

    Without all five the losses are those of `FixMatch`.

    Args:
        config: which parts.
        model: the network.
        num_classes: K.

    Reference: Berthelot et al. 2022, arXiv 2106.04732; FixMatch: Sohn et al. 2020, arXiv 2001.07685.
    """

    def __init__(self, config: AblatedAdaMatchConfig, model: Any, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.without = frozenset(config.without)
        self.two_forwards &= "interpolation" not in self.without

    def forward(self, batch: Batch, progress: float) -> Losses:
        """Return the source and the target loss."""
        if "strong_source" in self.without:
            batch = batch._replace(source=Views(batch.source.weak, batch.source.weak))
        return super().forward(batch, progress)

    def warm_up(self, progress: float) -> float:
        """Return the weight of the target loss, 0 to 1."""
        return 1.0 if "warm_up" in self.without else super().warm_up(progress)

    def pseudo_labels(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return the predictions' classes ``(T,)`` and whether each reaches the current threshold ``(T,)``."""
        if "alignment" in self.without:
            return confident(probabilities, self.threshold)
        return super().pseudo_labels(probabilities)

    @torch.no_grad()
    def _follow(self, source: Tensor, target: Tensor) -> None:
        super()._follow(source, target)
        if "relative_threshold" in self.without:
            self.threshold.fill_(self.config.threshold)
