"""TENT: predictions of low entropy, by the scale and shift of the norm layers alone."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dacn.deploy.adapt.adapter import Adapter, restore, snapshot
from dacn.deploy.adapt.row import context_layers
from dacn.models.classifier import Classifier
from dacn.nn import ContextBatchNorm

Affine = nn.GroupNorm | nn.LayerNorm | nn.modules.instancenorm._InstanceNorm
"""Norms of torch that have no statistics of a batch, whose scale and shift all contexts share."""


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy of each row's softmax, in nats: ``-sum_k p_k log p_k``. Shape: ``(B, K)`` to ``(B,)``.

    >>> entropy(torch.zeros(1, 4)).exp()
    tensor([4.])
    """
    return -(logits.softmax(1) * logits.log_softmax(1)).sum(1)


def affine_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the norm layers with a scale and a shift, in the order of the network, by their names."""
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, ContextBatchNorm | Affine) and layer.weight is not None
    }


class Tent(Adapter):
    """TENT: one step a batch on the mean entropy of its predictions, with respect to gamma and beta.

    Batches are normalized by their own statistics, through which the gradient flows; of a layer with contexts only the
    new one's gamma, beta and running statistics move. Its forward pass is the prediction: a batch is predicted by what
    was learned before it, and then learned from. A network with group or layer norms alone changes for all contexts.

    Departures: dropout stays off (the authors' code leaves it on). The running statistics follow the batches with the
    layers' momentum, so that single images can be predicted afterwards; the authors' network needs batches for good.

    Args:
        model, row: see `Adapter`.
        lr: of Adam, betas 0.9 and 0.999.

    Raises:
        ValueError: the network has no norm layer with a scale and a shift.

    Reference: Wang et al. 2021, arXiv 2006.10726; their code, `tent.py`.
    """

    def __init__(self, model: Classifier, row: int, *, lr: float = 1e-3) -> None:
        super().__init__(model, row)
        layers = self.adapted_layers()
        if not layers:
            raise ValueError("the network has no norm layer with a scale and a shift to adapt")
        self.parameters = [p for layer in layers for p in layer.parameters(recurse=False)]
        self.shared = any(not isinstance(layer, ContextBatchNorm) for layer in layers)
        model.requires_grad_(False)
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        self.start = snapshot(model)
        self.lr = lr
        self.optimizer = self.new_optimizer()

    def adapted_layers(self) -> Sequence[nn.Module]:
        """Return the layers whose scale and shift move."""
        return [*affine_layers(self.model).values()]

    def new_optimizer(self) -> torch.optim.Optimizer:
        """Return the optimizer as it starts."""
        return torch.optim.Adam(self.parameters, lr=self.lr)

    def forward(self, x: Tensor, *, follow: bool = True) -> Tensor:
        """Return the scores of a batch normalized by its own statistics, with gradient.

        The running statistics follow the batch, or not; known contexts stay as frequent as they were.
        """
        layers = [*context_layers(self.model).values()]
        names = ("frequency", "initialized") if follow else ("frequency", "initialized", "running_mean", "running_var")
        kept = [{name: getattr(layer, name).clone() for name in names} for layer in layers]
        for layer in layers:
            layer.train()
        if any(isinstance(layer, nn.GroupNorm) for layer in self.model.modules()):
            # On a CPU, torch 2.11 ends the process in GroupNorm's backward pass where its weights want a gradient and
            # x, in channels-last order, wants none.
            x = x.detach().requires_grad_()
        try:
            scores: Tensor = self.model(x, self.rows(x))
        finally:
            for layer, buffers in zip(layers, kept, strict=True):
                layer.eval()
                for name, value in buffers.items():
                    getattr(layer, name).copy_(value)
        return scores

    @torch.enable_grad()
    def step(self, x: Tensor) -> Tensor:
        """Predict a batch, then take one step on its entropy."""
        scores = self.forward(x)
        self.descend(entropy(scores).mean())
        return scores.detach()

    def descend(self, loss: Tensor) -> None:
        """Take one step on a loss."""
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def reset(self) -> None:
        """Go back to the start, the optimizer's moments too."""
        restore(self.model, self.start)
        self.optimizer = self.new_optimizer()
