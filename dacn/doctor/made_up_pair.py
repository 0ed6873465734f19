"""A made-up pair whose images say what is done to them, in place of the recipe's own.

Class 0 is horizontal stripes and class 1 vertical ones: no colour, shift, small rotation or cutout turns one into the
other. Every image is brighter on its left, so that a mirrored one is told, and tinted, so that it is not recoloured as
grey ones are. Images of a class are the same.
"""

import torch
from torch import Tensor

from dacn.batch import SOURCE
from dacn.data.domain import Domain, DomainPair
from dacn.models.small_cnn import SmallCnnConfig
from dacn.recipe.recipe import Recipe

IMAGES = 128


def made_up_pair(pair: DomainPair) -> DomainPair:
    """Return a pair like ``pair`` in image size, contexts and flips. The test sets' classes are their contexts.

    There is one class more than contexts, at least: it stands for a context that is not known.
    """
    size = int(pair.source.images.shape[-1])
    sources = torch.unique(pair.source.context_or(SOURCE).cpu())  # (S,)
    labels = torch.arange(IMAGES) % 2
    images = templates(size)[labels]
    contexts = sources[torch.arange(IMAGES) // 2 % len(sources)]
    test, target = images[: 2 * len(sources)], torch.full((2 * len(sources),), pair.target_context)
    count = max(len(pair.classes), pair.num_contexts + 1)
    return DomainPair(
        name="made_up",
        classes=tuple(map(str, range(count))),
        source=Domain("made_up_source", images, labels, context=contexts),
        target=Domain("made_up_target", images),
        source_test=Domain("made_up_source", test, contexts[: len(test)], context=contexts[: len(test)]),
        target_test=Domain("made_up_target", test, target),
        flips=pair.flips,
        contexts=pair.contexts,
    )


def made_up_recipe(recipe: Recipe, pair: DomainPair) -> Recipe:
    """Return the recipe with a network and batches that cost nothing; all else as it is."""
    sources = len(torch.unique(pair.source.context_or(SOURCE)))
    backbone = SmallCnnConfig(width=4)
    train = recipe.train.model_copy(update={"source_batch": max(64, 2 * sources), "target_ratio": 1, "compile": False})
    model = recipe.model.model_copy(update={"backbone": backbone})
    return recipe.model_copy(update={"model": model, "train": train})


def templates(size: int) -> Tensor:
    """Return the image of each class: uint8 ``(2, 3, size, size)``."""
    place = torch.arange(size)
    stripes = (place * 8 // size % 2).float()  # eight stripes
    left = torch.linspace(1, 0.35, size)  # (W,)
    images = torch.stack([stripes[:, None].expand(size, size), stripes[None].expand(size, size)])  # (2, H, W)
    pixels = ((0.25 + 0.75 * images) * left * 255).round().byte()
    return torch.stack([pixels, pixels // 4 * 3, pixels // 2], dim=1)


def orientation(view: Tensor) -> Tensor:
    """Return the class that each view's stripes tell: ``(B, 3, H, W)`` to int64 ``(B,)``."""
    view = view.float()
    down = view.diff(dim=2).square().mean((1, 2, 3))
    across = view.diff(dim=3).square().mean((1, 2, 3))
    return (across > down).long()


def mirrored(view: Tensor) -> Tensor:
    """Return whether each view is brighter on its right: ``(B, 3, H, W)`` to bool ``(B,)``."""
    half = view.shape[3] // 2
    return view[..., :half].mean((1, 2, 3)) < view[..., half:].mean((1, 2, 3))
