"""The new domain as a new context: a row in every table, moved towards the new images' statistics."""

import math

import torch
from torch import Tensor

from dacn.deploy.adapt.adapter import Adapter
from dacn.deploy.adapt.moments import image_moments, watched
from dacn.deploy.adapt.prior import STRENGTH, class_share, group_weights
from dacn.deploy.adapt.row import context_layers
from dacn.models.classifier import Classifier
from dacn.nn import ContextBatchNorm

GROUPS = 64
"""Most groups of classes whose statistics are kept apart; with more classes, several share one."""


class RowFit:
    """One layer's new row: where it starts, and what the images of each group looked like to the layer.

    Args:
        layer: its tables.
        row: the one that is fitted, which stands where it starts.
        groups: how many groups of images are told apart, G.
        between: see `dacn.deploy.adapt.prior.class_share`.
    """

    def __init__(self, layer: ContextBatchNorm, row: int, groups: int, between: float) -> None:
        self.layer, self.row, self.between = layer, row, between
        self.mean0 = layer.running_mean[row].double().clone()  # (C,); a copy, whatever its type
        self.var0 = layer.running_var[row].double().clone()
        self.counts = self.mean0.new_zeros(groups)
        self.first = self.mean0.new_zeros(groups, len(self.mean0))  # sums of the images' means of x
        self.second = torch.zeros_like(self.first)  # and of x^2

    def add(self, x: Tensor, group: Tensor) -> None:
        """Take in images. Shape: x ``(B, C, ...)`` as it reaches the layer, group ``(B,)`` int64."""
        first, second = image_moments(x)
        self.counts.index_add_(0, group, torch.ones_like(group, dtype=self.counts.dtype))
        self.first.index_add_(0, group, first.double())
        self.second.index_add_(0, group, second.double())

    def forget(self) -> None:
        """Drop what was seen; the row stays."""
        for sums in (self.counts, self.first, self.second):
            sums.zero_()

    def write(self, strength: float) -> float:
        """Put the row where prior and images lead; return the share of the way from its start, 0 to 1."""
        weights, images = group_weights(self.counts, len(self.counts), self.between)
        per_image = (weights / self.counts.clamp_min(1))[:, None]  # (G, 1)
        mean = (per_image * self.first).sum(0)
        var = ((per_image * self.second).sum(0) - mean.square()).clamp_min(0)
        share = images / (images + strength)
        self.layer.running_mean[self.row] = torch.lerp(self.mean0, mean, share).to(self.layer.running_mean.dtype)
        self.layer.running_var[self.row] = torch.lerp(self.var0, var, share).to(self.layer.running_var.dtype)
        return share


class Context(Adapter):
    """The images' own context: its rows follow them by a prior, layer after layer; nothing else changes.

    With groups, a batch is predicted under the row as it stands, which tells roughly which classes its images are of.
    Then it is passed again: each layer takes the images in, moves its row, and normalizes by it, so that the next layer
    sees what it will see under the new row. The scores are those of this last pass. There is no gradient.

    How far a row leaves its start follows from the images seen, as `dacn.deploy.adapt.prior` has it: one image of
    sixteen's worth, or a thousand of one class, moves it a little.

    Args:
        model, row: see `Adapter`; the row stands where it starts.
        strength: images that the start stands for.
        groups: of classes, whose images are weighed as `group_weights` has it; None: one a class, at most `GROUPS`. In
            1 group every image counts the same, as is right of images that represent their domain.
        depth: share of the norm layers, from the input on, whose rows move. The deepest ones know classes: where a
            stream brings these one after the other, their rows are better left where they are (`Stream`: 2/3).

    Reference: AdaBN, arXiv 1603.04779; BN-alpha, arXiv 2006.10963. The groups by class and the pass layer after layer
    are this package's own.
    """

    def __init__(
        self, model: Classifier, row: int, *, strength: float = STRENGTH, groups: int | None = None, depth: float = 1.0
    ) -> None:
        super().__init__(model, row)
        self.groups, self.strength = groups or min(model.head.out_features, GROUPS), strength
        every = context_layers(model)
        self.layers = dict([*every.items()][: math.ceil(depth * len(every))])
        if not self.layers:
            raise ValueError("the network has no norm layer with statistics, of which a context could have its own")
        deepest = max(1, len(every) - 1)
        self.fits = {
            name: RowFit(layer, row, self.groups, class_share(place / deepest))
            for place, (name, layer) in enumerate(self.layers.items())
        }
        self.share = 0.0

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor:
        """Predict a batch, take it in, and predict it under the moved row."""
        group = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        if self.groups > 1:
            group = self.scores(x).argmax(1) % self.groups

        def take_in(name: str, layer: ContextBatchNorm, z: Tensor) -> None:
            self.fits[name].add(z, group)
            self.share = self.fits[name].write(self.strength)

        with watched(self.layers, take_in):
            return self.scores(x)

    def forget(self) -> None:
        """Drop what was taken in; the rows stay."""
        for fit in self.fits.values():
            fit.forget()

    @torch.no_grad()
    def reset(self) -> None:
        """Put the rows where they started."""
        self.forget()
        self.share = 0.0
        for fit in self.fits.values():
            fit.layer.running_mean[fit.row] = fit.mean0.to(fit.layer.running_mean.dtype)
            fit.layer.running_var[fit.row] = fit.var0.to(fit.layer.running_var.dtype)
