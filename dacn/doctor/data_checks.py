"""What the images and labels themselves tell."""

import hashlib
import math
from collections.abc import Callable, Iterator

import torch
from sklearn.metrics import adjusted_mutual_info_score
from torch import Tensor

from dacn.algorithms import method_of
from dacn.batch import SOURCE
from dacn.data.domain import Domain, DomainPair
from dacn.data.pair.image_size import SHRUNK, shrunk
from dacn.doctor.finding import Finding, error, warning
from dacn.models.norms import AcnConfig
from dacn.models.pretrained.config import PretrainedConfig
from dacn.recipe.recipe import Recipe

MOST_IMAGES = 20_000
"""How many images of a domain are looked at, at most."""
SAME_SHARE = 0.5
IMBALANCE = 10
LEAK = 0.1
"""Adjusted mutual information of context and class above which a context tells the class."""
FEWEST_ROWS = 4
FEWEST_PIXELS = 96
"""Of a side, for weights that were made on photographs: EfficientNet-Lite0 still adapts at so many."""

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def images_differ(recipe: Recipe, pair: DomainPair) -> Iterator[Finding]:
    """A domain holds pictures, and not the same one many times."""
    for key, domain in _training(pair):
        images = some_images(domain, 512)
        flat = images.flatten(1)
        if bool((flat == flat[:, :1]).all()):
            what = "every image is of a single grey or colour"
        elif len(images) > 1 and bool((flat == flat[:1]).all()):
            what = "all images are the same"
        else:
            continue
        yield error(
            f"{domain.name}: {what}",
            "there is nothing to learn from; the files were likely written or scaled wrongly (values of 0 to 1?)",
            key,
            "images with values from 0 to 255",
        )


def domains_differ(recipe: Recipe, pair: DomainPair) -> Iterator[Finding]:
    """Source and target are not the same images; within one data set, or where the target lends labels, they may be."""
    within_one = recipe.data is not None and recipe.data.dataset is not None
    if within_one or pair.oracle or pair.num_contexts < 2 or not pair.by_domain:
        return
    own = pair.source.context_or(SOURCE) != pair.target_context
    held = isinstance(pair.source.images, Tensor)  # else each image is decoded; the same files give the same few
    source = some_images(pair.source, MOST_IMAGES if held else 512, own)
    known = {_digest(image) for image in source}
    target = some_images(pair.target, 512)
    share = sum(_digest(image) in known for image in target) / len(target)
    if share > SAME_SHARE:
        yield warning(
            f"{100 * share:.0f} % of the target's images are the source's",
            "there is no gap to adapt over; the target's accuracy is that of supervised training",
            "data.target",
            "another domain than data.source",
        )


def images_keep_their_detail(recipe: Recipe, pair: DomainPair) -> Iterator[Finding]:
    """Images are not made much smaller than their files."""
    side = int(pair.source.images.shape[-1])
    for _, domain in _training(pair):
        if domain.file_size is not None and min(domain.file_size) >= SHRUNK * side:
            yield warning(
                shrunk(domain, side),
                "classes that are told apart by something small look alike",
                "data.image_size",
                f"{min(512, 2 * side)}, which takes four times as long",
            )


def pretrained_weights_see_enough(recipe: Recipe, pair: DomainPair) -> Iterator[Finding]:
    """Weights pretrained on photographs get images that are not tiny."""
    backbone, side = recipe.model.backbone, int(pair.source.images.shape[-1])
    pretrained = isinstance(backbone, PretrainedConfig) and backbone.pretrained is not False
    larger = [domain for _, domain in _training(pair) if domain.file_size and min(domain.file_size) > side]
    if pretrained and side < FEWEST_PIXELS and larger:
        yield warning(
            f"pretrained weights see images of {side}x{side}, though files are larger",
            "weights made on photographs of about 224 pixels look for details that such small images do not have",
            "data.image_size",
            f"{min(224, 2 * side)}, which takes four times as long",
        )


def classes_are_there(recipe: Recipe, pair: DomainPair) -> Iterator[Finding]:
    """Every class has labelled images, in similar numbers."""
    assert pair.source.labels is not None  # a pair's source has labels
    counts = torch.bincount(pair.source.labels.cpu(), minlength=len(pair.classes)).tolist()
    missing = [name for name, count in zip(pair.classes, counts, strict=True) if not count]
    if missing:
        yield error(
            f"{pair.source.name} has no image of {_some(missing)}",
            "the network cannot learn a class that it never sees",
            "data.source",
            "images of every class, or drop the class from the target",
        )
    present = [count for count in counts if count]
    if max(present) >= IMBALANCE * min(present):
        rare, common = pair.classes[counts.index(min(present))], pair.classes[counts.index(max(present))]
        yield warning(
            f"{pair.source.name} has {min(present):,} images of {rare!r} and {max(present):,} of {common!r}",
            "accuracy hides a rare class, and pseudo-labels drift towards the common ones",
            "data.source",
            "fewer images of the common classes; and read per_class in summary.json",
        )


def digits_are_not_mirrored(recipe: Recipe, pair: DomainPair) -> Iterator[Finding]:
    """A mirrored digit or letter is another one, or none."""
    names = {name.casefold() for name in pair.classes}
    signs = names <= {*"0123456789", *_WORDS} or all(len(name) == 1 for name in names)
    if pair.flips and signs:
        yield warning(
            f"images are mirrored, and the classes are signs ({_some(list(pair.classes)[:3])}, ...)",
            "a mirrored 2 is no 2; in a published port this alone cost ten points on SVHN",
            "data.flips",
            "false",
        )


def domains_are_seen(recipe: Recipe, pair: DomainPair) -> Iterator[Finding]:
    """Training is long enough to see every image once."""
    steps, train = recipe.train.total_steps, recipe.train
    rows = _rows_of_domains(pair)
    names = [pair.contexts[context] for context in rows] if len(rows) > 1 else [pair.source.name]
    batch = train.source_batch / len(rows)  # even shares
    domains = [(name, size, batch) for name, size in zip(names, rows.values(), strict=True)]
    if method_of(recipe.algorithm)[0].uses_target:
        domains.append((pair.target.name, len(pair.target), train.target_batch))
    for name, size, batch in domains:
        if steps * batch < size:
            yield warning(
                f"{name}: {steps:,} steps of {batch:.0f} see {100 * steps * batch / size:.0f} % of {size:,} images",
                "the rest is never looked at, however much it could teach",
                "train.steps",
                f"{-(-size // max(1, int(batch))):,} or more".replace(",", "_"),
            )


def context_does_not_tell_the_class(recipe: Recipe, pair: DomainPair) -> Iterator[Finding]:
    """The context says where an image comes from, not what it shows."""
    for part, domain in (("source", pair.source), ("source_test", pair.source_test), ("target_test", pair.target_test)):
        computed = pair.context_net is not None  # from the image itself, so nothing is told that it does not show
        if computed or domain is None or domain.labels is None or domain.context is None:
            continue
        rows = _spread(len(domain), 5000)
        labels, contexts = domain.labels.cpu()[rows].tolist(), domain.context.cpu()[rows].tolist()
        if len(set(contexts)) < 2:
            continue
        told = adjusted_mutual_info_score(labels, contexts)
        if told > LEAK:
            yield warning(
                f"{domain.name} ({part}): the context tells much of the class (adjusted mutual information {told:.2f})",
                "given the context the network chooses among fewer classes, which is a leak and no adaptation; report "
                "the accuracy under an unknown context beside it",
                "data.context",
                "domain, or cluster",
            )


def batch_has_rows(recipe: Recipe, pair: DomainPair) -> Iterator[Finding]:
    """Batch statistics are taken over several images of each context."""
    norm, batch = recipe.model.norm, recipe.train.source_batch
    if norm.name in ("none", "in", "gn", "ln", "acn_base") or (isinstance(norm, AcnConfig) and norm.fit == "task"):
        return
    counts = torch.bincount(pair.source.context_or(SOURCE).cpu())
    shares = [float(count) / len(pair.source) for count in counts if count]  # of contexts, in what is drawn
    least = 1 / len(shares) if pair.by_domain else min(shares)
    rows = int(batch * (1 if norm.name in ("bn", "mn") else least))  # those two have one set of statistics for all
    if rows < FEWEST_ROWS:
        images = "1 image" if rows == 1 else f"{rows} images"
        yield warning(
            f"norm {norm.name} takes its statistics over {images} of a context in each step",
            "so few images say nothing of a distribution: the statistics, and with them the training, are noise",
            "train.source_batch",
            str(math.ceil(8 / least)),
        )


DATA_CHECKS: dict[str, Callable[[Recipe, DomainPair], Iterator[Finding]]] = {
    "images": images_differ,
    "domains differ": domains_differ,
    "image size": images_keep_their_detail,
    "pretrained size": pretrained_weights_see_enough,
    "classes": classes_are_there,
    "mirrored signs": digits_are_not_mirrored,
    "unseen images": domains_are_seen,
    "leaking context": context_does_not_tell_the_class,
    "batch size": batch_has_rows,
}


def some_images(domain: Domain, count: int, mask: Tensor | None = None) -> Tensor:
    """Return up to ``count`` images spread over the domain: uint8 ``(n, 3, H, W)``.

    Args:
        domain: where from.
        count: at most so many.
        mask: bool ``(N,)``, which may be taken.
    """
    rows = torch.arange(len(domain)) if mask is None else mask.cpu().nonzero()[:, 0]
    return domain.images[rows[_spread(len(rows), count)].to(domain.images.device)].cpu()


def _rows_of_domains(pair: DomainPair) -> dict[int, int]:
    """Return how many labelled images each domain has, by its context; all at once where contexts are no domains."""
    if not pair.by_domain:
        return {0: len(pair.source)}
    counts = torch.bincount(pair.source.context_or(SOURCE).cpu()).tolist()
    return {context: count for context, count in enumerate(counts) if count}


def _spread(size: int, count: int) -> Tensor:
    return torch.linspace(0, size - 1, min(size, count)).long()


def _training(pair: DomainPair) -> list[tuple[str, Domain]]:
    return [("data.source", pair.source), ("data.target", pair.target)]


def _digest(image: Tensor) -> bytes:
    return hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=16).digest()


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
