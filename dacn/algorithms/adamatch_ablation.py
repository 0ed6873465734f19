"""AdaMatch without some of its parts: to measure what each brings."""

from typing import Any, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor

from dacn.algorithms.adamatch import AdaMatch, AdaMatchConfig
from dacn.batch import Batch
from dacn.losses.pseudo_labels import confident

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
    - `strong_source`: the source is learned by its weak view alone; no other view of it is in the batch.
    - `warm_up`: the target's loss has its full weight from the first step (section 3.4).

    Without all five it is `FixMatch`: the same images are passed through the network in the same order, so that the
    losses and batch statistics are the same with every norm layer.

    Args:
        config: which parts.
        model: the network.
        num_classes: K.

    Reference: Berthelot et al. 2022, arXiv 2106.04732; FixMatch: Sohn et al. 2020, arXiv 2001.07685.
    """

    def __init__(self, config: AblatedAdaMatchConfig, model: Any, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.without = frozenset(config.without)

    @property
    def two_forwards(self) -> bool:
        """Whether the source's logits depend on the target's rows in the batch, and that is to be evened out."""
        return super().two_forwards and "interpolation" not in self.without

    def labelled_views(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the views of labelled images that are learned, the weak one first, ``(B, 3, H, W)`` each."""
        return batch.source[:1] if "strong_source" in self.without else batch.source

    def warm_up(self, progress: float | Tensor) -> Tensor:
        """Return the weight of the target loss, a scalar ``()``."""
        weight = super().warm_up(progress)
        return torch.full_like(weight, self.config.target_weight) if "warm_up" in self.without else weight

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
