"""Checks on a made-up pair, whose image content is known: what views and evaluation do to it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from dacn.data.views.augment import to_input
from dacn.doctor.finding import Finding, error, warning
from dacn.doctor.made_up_pair import mirrored, orientation, templates
from dacn.models.classifier import Classifier
from dacn.nn import ContextBatchNorm
from dacn.recipe.recipe import Recipe
from dacn.trainer.trainer import Trainer

AGREEMENT = 0.75
"""Share of images whose two views must show the same; by chance it is a half."""


class ContextAsFeatures(nn.Module):
    """A backbone that says under which context it was called: a one-hot vector, the last entry for an unknown one."""

    takes_context = True

    def __init__(self, num_contexts: int) -> None:
        super().__init__()
        self.out_features = num_contexts + 1

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the vectors ``(B, contexts + 1)``."""
        unknown = torch.full((len(x),), self.out_features - 1, device=x.device)
        return nn.functional.one_hot(unknown if context is None else context, self.out_features).float()


def views_show_the_same(recipe: Recipe, trainer: Trainer) -> Iterator[Finding]:
    """The weak and the strong view of a row are of the same image, and its label is that image's."""
    batches = [next(trainer.loader) for _ in range(4)]
    for domain in ("source", "target"):
        views = [getattr(batch, domain) for batch in batches]
        if not len(views[0].weak):
            continue  # this method does not look at the target
        weak, strong = (torch.cat([orientation(view[side]) for view in views]) for side in (0, 1))
        agreement = float((weak == strong).float().mean())
        if agreement < AGREEMENT:
            yield error(
                f"weak and strong views of the {domain} differ ({100 * agreement:.0f} % show the same, by chance 50)",
                "the label of one image is learned on another",
                "augment",
                "row i of both views must show image i",
            )
    weak = torch.cat([orientation(batch.source.weak) for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    if float((weak == labels).float().mean()) < AGREEMENT:
        yield error(
            "labels of the source belong to other images than the batch holds",
            "the network learns noise",
            "data.source",
            "row i of labels must belong to image i",
        )


def weak_views_move(recipe: Recipe, trainer: Trainer) -> Iterator[Finding]:
    """The weak view is no copy of the image."""
    views = _weak_views(trainer)
    size = views.shape[-1]
    plain = to_input(templates(size)).to(views.device)  # (2, 3, H, W)
    plain = torch.cat([plain, plain.flip(3)])  # a mirrored image has not moved either
    unmoved = (views[:, None] - plain).abs().amax((2, 3, 4)).amin(1) < 1e-5  # (B + T,)
    if bool(unmoved.all()):
        yield warning(
            f"the weak view is the image itself (shift {recipe.augment.shift:g} of {size} pixels)",
            "a crop as large as the image does nothing; the methods' weak view shifts by up to an eighth",
            "augment.shift",
            "0.125",
        )


def mirrors_only_where_allowed(recipe: Recipe, trainer: Trainer) -> Iterator[Finding]:
    """No image is mirrored unless a mirrored one is still of its class."""
    share = float(mirrored(_weak_views(trainer)).float().mean())
    if share > 0 and not trainer.pair.flips:
        yield error(
            f"{100 * share:.0f} % of the weak views are mirrored, and data.flips is false",
            "a mirrored digit is another one, or none",
            "augment",
            "mirror only where flips is true",
        )


def target_has_its_own_context(recipe: Recipe, trainer: Trainer) -> Iterator[Finding]:
    """The target is judged under its own context, or an unknown one where its own was not trained."""
    if trainer.pair.num_contexts < 2:  # one data set, whose one context needs no telling
        return
    probabilities = _with_context_as_class(trainer).evaluate().target_probabilities
    assert probabilities is not None  # the made-up pair has a test set
    names = [*trainer.pair.contexts, "unknown"]
    judged = names[int(probabilities.mean(0).argmax())]
    own = names[trainer.pair.target_context]
    if judged != own and (judged != "unknown" or trainer.algorithm.uses_target):
        yield error(
            f"the target is evaluated under the context {judged!r}",
            f"its own is {own!r}: the accuracy is that of a network normalized for other images",
            "evaluate",
            "the target's images under the target's context",
        )


def labels_choose_nothing(recipe: Recipe, trainer: Trainer) -> Iterator[Finding]:
    """What chooses a checkpoint does not change with the target's test labels."""
    trainer = _with_context_as_class(trainer)  # whose accuracy changes with the labels for sure
    test = trainer.pair.target_test
    assert test is not None
    assert test.labels is not None
    others = replace(test, labels=(test.labels + 1) % len(trainer.pair.classes))
    first, again = (_scores(trainer) for _ in range(2))
    trainer.pair = replace(trainer.pair, target_test=others)
    under_others = _scores(trainer)
    # A score that is drawn at random differs from time to time, whatever the labels.
    changed = [name for name in first if first[name] == again[name] != under_others[name]]
    if changed:
        yield error(
            f"the label-free score {', '.join(changed)} changes with the target's test labels",
            "a checkpoint chosen by it is chosen by the labels that it is then judged by",
            "evaluate.select",
            "mutual_information, as it comes with dacn",
        )


MADE_UP_PAIR_CHECKS: dict[str, Callable[[Recipe, Trainer], Iterator[Finding]]] = {
    "views": views_show_the_same,
    "weak views": weak_views_move,
    "mirrored images": mirrors_only_where_allowed,
    "label-free selection": labels_choose_nothing,
    "target context": target_has_its_own_context,
}


def _scores(trainer: Trainer) -> dict[str, str]:
    """Return the label-free scores as text, in which one that is no number equals itself."""
    return {name: repr(score) for name, score in trainer.evaluate().scores.items()}


def _weak_views(trainer: Trainer) -> Tensor:
    """Return the weak views of a batch, of both domains: ``(B + T, 3, H, W)``."""
    batch = next(trainer.loader)
    return torch.cat([batch.source.weak, batch.target.weak])


def _with_context_as_class(trainer: Trainer) -> Trainer:
    """Return the trainer with a network to evaluate that says its context as its class."""
    contexts, classes = trainer.pair.num_contexts, len(trainer.pair.classes)
    echo = Classifier(ContextBatchNorm(3, contexts), ContextAsFeatures(contexts), classes)
    nn.init.zeros_(echo.head.weight)
    with torch.no_grad():
        echo.head.weight.fill_diagonal_(10)
    trainer.ema.module = echo.to(trainer.device)
    return trainer
