"""What can be told from the recipe alone: lengths that do not go together, and views without a difference."""

from collections.abc import Callable, Iterator

from torch import nn

from dacn.algorithms import Algorithm, method_of
from dacn.algorithms.adamatch import AdaMatchConfig
from dacn.doctor.finding import Finding, warning
from dacn.models.norms import AcnConfig
from dacn.models.pretrained.config import PretrainedConfig
from dacn.recipe.recipe import Recipe
from dacn.trainer.ema import MovingAverage
from dacn.trainer.optimizer import SgdConfig

_LONGEST_SIMULATION = 20_000


def ema_reaches(recipe: Recipe) -> Iterator[Finding]:
    """The average that is evaluated spans a small part of training, and its random start has faded away."""
    steps, decay = recipe.train.total_steps, recipe.train.ema
    span = round(1 / (1 - decay))
    fix = f"{max(0.0, 1 - 10 / steps):.2g}" if steps < 1000 else f"{1 - 10 / steps:.4f}"
    if decay > 0 and span > steps / 3:
        yield warning(
            f"the average would span the last {span:,} steps, and there are {steps:,}",
            "every evaluation uses the averaged network; it would lag behind the trained one for the whole run",
            "train.ema",
            fix,
        )
    left = _share_of_the_start(decay, steps)
    if left > 0.05:
        yield warning(
            f"{100 * left:.0f} % of the averaged network would be its random start when training ends",
            "every evaluation uses the averaged network, so the run looks broken however well it trained",
            "train.ema",
            fix,
        )


def _share_of_the_start(decay: float, steps: int) -> float:
    """Return how much of the first weights the average still holds after ``steps`` updates, by making them."""
    model = nn.Linear(1, 1, bias=False).requires_grad_(False)
    model.weight.fill_(1)
    average = MovingAverage(model, decay)
    average.update_parameters(model)  # the first update copies
    model.weight.fill_(0)
    done = min(steps, _LONGEST_SIMULATION)
    for _ in range(done - 1):
        average.update_parameters(model)
    left = float(next(average.module.parameters()))
    return left if done == steps else left * decay ** (steps - done)


def ramps_end(recipe: Recipe) -> Iterator[Finding]:
    """What rises over training has risen well before it ends."""
    steps = recipe.train.total_steps
    if recipe.schedule.warm_up > 0.5:
        yield warning(
            f"the learning rate rises for {100 * recipe.schedule.warm_up:.0f} % of training",
            "it is at its height for a moment only, so the recipe's optimizer.lr says little",
            "schedule.warm_up",
            "0.05",
        )
    for key, norm in (("model.input_norm", recipe.model.input_norm), ("model.norm", recipe.model.norm)):
        if isinstance(norm, AcnConfig) and norm.fit == "likelihood" and norm.opening[1] >= 1:
            yield warning(
                f"the layers leave batch statistics only when training ends (opening {list(norm.opening)})",
                "training never sees what evaluation does, so the first evaluation of the end is a surprise",
                f"{key}.opening",
                f"[{min(norm.opening[0], 0.5)}, 0.9]",
            )
    algorithm = recipe.algorithm
    if isinstance(algorithm, AdaMatchConfig) and algorithm.source_marginal_decay**steps > 0.5:
        yield warning(
            f"after {steps:,} steps the running class marginal of the source is still more than half its uniform start",
            "the target is aligned with a uniform distribution of classes, whatever the source's is",
            "algorithm.source_marginal_decay",
            f"{max(0.0, 1 - 5 / steps):.4g}",
        )


def strong_views_differ(recipe: Recipe) -> Iterator[Finding]:
    """A method that learns strong views from weak ones has strong views."""
    algorithm_class, _ = method_of(recipe.algorithm)
    plain = recipe.augment.operations == 0 and recipe.augment.cutout == 0 and not recipe.augment.appearance
    if plain and algorithm_class.pseudo_labels is not Algorithm.pseudo_labels:
        yield warning(
            "strong views are made like weak ones: no operations, no cutout",
            f"{recipe.algorithm.name} learns by predicting a strong view from a weak one; alike, they teach nothing",
            "augment.operations",
            "2",
        )


def pretrained_weights_move_slowly(recipe: Recipe) -> Iterator[Finding]:
    """A pretrained backbone learns at a fraction of the rate of a head that starts at random."""
    backbone, optimizer = recipe.model.backbone, recipe.optimizer
    high = 0.01 if isinstance(optimizer, SgdConfig) else 1e-3
    starts_pretrained = isinstance(backbone, PretrainedConfig) and backbone.pretrained is not False
    if starts_pretrained and optimizer.lr * optimizer.backbone_lr >= high and optimizer.layer_decay is None:
        yield warning(
            f"pretrained weights learn at a rate of {optimizer.lr * optimizer.backbone_lr:g}, that of the new head",
            "the first steps, while the head is still random, undo much of what the weights know",
            "optimizer.backbone_lr",
            "0.1",
        )


RECIPE_CHECKS: dict[str, Callable[[Recipe], Iterator[Finding]]] = {
    "ema": ema_reaches,
    "ramps": ramps_end,
    "strong views": strong_views_differ,
    "pretrained rate": pretrained_weights_move_slowly,
}
