"""SAR: entropy minimized on reliable rows, to where it is flat, with a way back from collapse."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dacn.deploy.adapt.eata import reliable
from dacn.deploy.adapt.tent import Tent, affine_layers, entropy
from dacn.models.classifier import Classifier

RADIUS = 0.05
"""How far from the weights the sharper gradient is taken."""


@torch.no_grad()
def climb(parameters: Sequence[Tensor], radius: float) -> list[Tensor]:
    """Move parameters by ``radius * g / ||g||``, the norm over all of them, and return by how much each moved."""
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    norm = torch.stack([g.norm() for g in gradients]).norm()
    moves = [radius * g / (norm + 1e-12) for g in gradients]
    for parameter, move in zip(parameters, moves, strict=True):
        parameter.add_(move)
    return moves


class Sar(Tent):
    """SAR: TENT on rows with ``H < 0.4 ln K``, by the gradient at the worst place nearby, with a reset.

    The gradient of the reliable rows' entropy leads uphill by `RADIUS`; there the batch is passed again, and the
    gradient of those of the same rows that still are reliable takes the step, from where the weights were. The
    prediction is that of the first pass. Where the running mean of the second entropy falls below 0.2, everything goes
    back to the start. The deepest third of the norm layers stays as it is (the authors name ResNet's last stage and a
    ViT's last three blocks and last norm).

    Departures: without reliable rows nothing is learned, where the authors' code steps by gradients that are not
    numbers. The second pass leaves no trace in the running statistics.

    Args:
        model, row: see `Adapter`.
        margin: E0 as a share of ln K.
        floor: of the running mean of the entropy, in nats, below which the network is collapsing.
        lr: of SGD with momentum 0.9.

    Reference: Niu et al. 2023, arXiv 2302.12400; their code, `sar.py` and `sam.py`.
    """

    def __init__(
        self, model: Classifier, row: int, *, margin: float = 0.4, floor: float = 0.2, lr: float = 1e-3
    ) -> None:
        super().__init__(model, row, lr=lr)
        self.margin, self.floor = margin * math.log(model.head.out_features), floor
        self.mean: float | None = None  # of the entropy
        self.facts["resets"] = 0

    def adapted_layers(self) -> Sequence[nn.Module]:
        """Return the norm layers but for the deepest third."""
        layers = [*affine_layers(self.model).values()]
        return layers[: len(layers) - len(layers) // 3]

    def new_optimizer(self) -> torch.optim.Optimizer:
        """Return the optimizer as it starts."""
        return torch.optim.SGD(self.parameters, lr=self.lr, momentum=0.9)

    @torch.enable_grad()
    def step(self, x: Tensor) -> Tensor:
        """Predict a batch, then take one step by the gradient of a second pass."""
        scores = self.forward(x)
        entropies = entropy(scores)
        counts = reliable(entropies.detach(), self.margin)
        if counts.any():
            self.optimizer.zero_grad()
            entropies[counts].mean().backward()  # type: ignore[no-untyped-call]
            moves = climb(self.parameters, RADIUS)
            again = entropy(self.forward(x, follow=False))[counts]
            used = again[reliable(again.detach(), self.margin)]
            with torch.no_grad():
                for parameter, move in zip(self.parameters, moves, strict=True):
                    parameter.sub_(move)
            if len(used):
                self._learn(used.mean())
        return scores.detach()

    def _learn(self, loss: Tensor) -> None:
        self.descend(loss)
        value = float(loss.detach())
        self.mean = value if self.mean is None else 0.9 * self.mean + 0.1 * value
        if self.mean < self.floor:
            self.reset()
            self.facts["resets"] += 1

    def reset(self) -> None:
        """Go back to the start."""
        super().reset()
        self.mean = None
