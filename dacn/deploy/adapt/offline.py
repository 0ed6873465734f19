"""A network adapted to a set of images, in several passes over them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dacn.data.read.images import Images, batches, fetch
from dacn.data.views.augment import to_input
from dacn.deploy.adapt.adapter import Adapter, restore, snapshot
from dacn.deploy.adapt.context import Context
from dacn.deploy.adapt.distances import Nearness, nearness
from dacn.deploy.adapt.methods import OFFLINE, make_adapter, require_method, require_name
from dacn.deploy.adapt.prior import strength_of
from dacn.deploy.adapt.row import context_layers, copy_row, with_row, with_row_alone
from dacn.deploy.adapt.shot import Shot, pseudo_labels
from dacn.deploy.adapt.verdict import describe
from dacn.deploy.adapt.watch import collapse, signs_of
from dacn.deploy.network import Network
from dacn.evaluation.features import features_of
from dacn.evaluation.inference import predict

SAMPLE = 512
"""Images from which distances are measured, and by which a collapse is told, at most."""
CHUNK = 256
"""Images that pass the network at a time where no gradient is taken."""
Progress = Callable[[int, int], None]


def adapt_network(
    network: Network,
    images: Images,
    *,
    method: str = "context",
    name: str = "adapted",
    passes: int = 3,
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
    **options: Any,
) -> Network:
    """Return a network that knows the domain of images without labels as a context more.

    Where the method moves weights that known contexts use too (``shot``; ``tent``, ``eata`` and ``sar`` in networks
    with group or layer norm), the result knows the new context alone. If predictions collapse, the method goes back to
    where they had not. What was done and found is in the result's ``adapted``.

    Args:
        network: stays as it is.
        images: of the new domain, bytes of the network's size.
        method: ``context``, ``tent``, ``eata``, ``sar`` or ``shot``.
        name: of the new context.
        passes: over the images, by methods that follow a gradient.
        batch_size: theirs.
        seed: of the order of the images.
        progress: told how many images of how many have passed.
        options: of the method, such as ``lr``.

    Shape: images ``(N, 3, H, W)`` uint8.

    Raises:
        DacnError: no such method, one that the network does not allow, or a name that is taken.
    """
    require_method(method, OFFLINE)
    name, row = require_name(network, name), len(network.contexts)
    wider = with_row(network, name)
    images = images.to(network.device)
    sample = fetch(images, evenly_spaced(len(images), SAMPLE))  # (n, 3, H, W)
    near = distances(wider, sample, network.interface.trained)
    start = min(near, key=lambda context: near[context].distance, default=network.interface.trained[0])
    copy_row(wider.model, start, row)
    facts: dict[str, Any] = {
        "method": method,
        "name": name,
        "images": len(images),
        "start": network.contexts[start],
        "distances": {network.contexts[k]: round(found.distance, 4) for k, found in near.items()},
        "note": "",
    }
    if method == "context" and near:
        strength = strength_of(near[start].spread, near[start].apart, len(sample))
        options = {"strength": strength, "groups": 1} | options
    adapter = make_adapter(method, wider, row, options)
    frozen = predict_under(network, sample, start)
    if isinstance(adapter, Context):
        fit_rows(adapter, images, seed, progress)
        facts |= {"strength": round(adapter.strength, 2), "share": round(adapter.share, 4)}
        if why := collapse(predict_under(wider, sample, row), frozen):
            adapter.reset()
            facts["note"] = f"went back to the context {facts['start']}: {why}"
    else:
        facts["note"] = _learn(adapter, wider, images, (sample, frozen), passes, batch_size, seed, progress)
    adapted = predict_under(wider, sample, row)
    facts |= adapter.facts | {
        "distance_after": {k: round(found.distance, 4) for k, found in distances(wider, sample, (row,)).items()}.get(
            row
        ),
        "before": signs_of(frozen, frozen)._asdict(),
        "after": signs_of(adapted, frozen)._asdict(),
    }
    result = with_row_alone(wider) if adapter.shared else wider
    result.model.requires_grad_(False)
    return replace(result, adapted=facts | {"verdict": describe(facts)})


def distances(network: Network, sample: Tensor, contexts: tuple[int, ...]) -> dict[int, Nearness]:
    """Return how far images are from each of some contexts of a network; nothing where contexts have no statistics."""
    if not context_layers(network.model):
        return {}
    return {context: nearness(network.model, [*inputs(sample)], context) for context in contexts}


def inputs(images: Tensor) -> Iterator[Tensor]:
    """Yield images on the network's input scale, `CHUNK` at a time."""
    return (to_input(part) for part in batches(images, CHUNK))


def predict_under(network: Network, images: Tensor, context: int) -> Tensor:
    """Return the probabilities of images under a context, ``(N, K)``."""
    rows = torch.full((len(images),), context, device=images.device)
    return predict(network.model, images, rows, CHUNK)


def evenly_spaced(count: int, most: int) -> Tensor:
    """Return up to ``most`` indices at even distances: ``(n,)`` int64."""
    return torch.linspace(0, count - 1, min(count, most)).long()


def fit_rows(adapter: Context, images: Images, seed: int = 0, progress: Progress = lambda done, total: None) -> None:
    """Have the rows follow all images, in one pass; those of more than pass at a time are drawn at random.

    Each part sees every layer behind the rows that the parts before it have moved. Further passes, which would measure
    all images behind rows that stand, do not settle them: all layers then move at once, each measured behind others
    that are gone. Six layers bear it; EfficientNet-Lite0, of fifty, called every sketch a horse after two.
    """
    adapter.forget()
    count, done = len(images), 0
    order = torch.arange(count)
    if count > CHUNK:  # a folder comes class by class, and a part is to stand for all
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    for rows in (order[start : start + CHUNK] for start in range(0, count, CHUNK)):
        adapter.step(to_input(fetch(images, rows)))
        done += len(rows)
        progress(done, count)


def _learn(
    adapter: Adapter,
    network: Network,
    images: Images,
    watched: tuple[Tensor, Tensor],
    passes: int,
    batch_size: int,
    seed: int,
    progress: Progress,
) -> str:
    """Pass over the images as the method does, and return in words why it stopped early, if it did.

    After each pass the new row's statistics are measured over all images, as evaluation needs them. Where predictions
    of the watched images have collapsed, everything goes back to how it was after the pass before.
    """
    generator = torch.Generator().manual_seed(seed)
    sample, frozen = watched
    tables = Context(network.model, adapter.row, strength=0.0, groups=1) if context_layers(network.model) else None
    sound = snapshot(network.model)
    for number in range(passes):
        labels = _pseudo_labels(adapter, images) if isinstance(adapter, Shot) else None
        done = number * len(images)
        parts = max(1, round(len(images) / batch_size))
        for rows in torch.randperm(len(images), generator=generator).tensor_split(parts):
            x = to_input(fetch(images, rows))
            if isinstance(adapter, Shot):
                assert labels is not None
                adapter.learn(x, labels[rows.to(labels.device)])
            else:
                adapter.step(x)
            done += len(rows)
            progress(done, passes * len(images))
        if tables is not None:
            fit_rows(tables, images, seed)
        row = adapter.row
        if why := collapse(predict_under(network, sample, row), frozen):
            restore(network.model, sound)
            return f"stopped after pass {number + 1} of {passes} and went back to before it: {why}"
        sound = snapshot(network.model)
    return ""


@torch.no_grad()
def _pseudo_labels(adapter: Shot, images: Images) -> Tensor:
    """Return the label that SHOT gives each image by the network as it stands: ``(N,)``."""
    rows = torch.full((len(images),), adapter.row, device=adapter.model.head.weight.device)
    features, probabilities = features_of(adapter.model, images, rows, CHUNK)
    return pseudo_labels(features, probabilities)
