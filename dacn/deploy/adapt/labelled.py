"""Labelled images of the new domain: only ever used to report."""

from pathlib import Path

import torch

from dacn.data.classes.classes import listed
from dacn.data.domain import Domain
from dacn.data.read.folder import folder
from dacn.data.read.images import Images, crop_images
from dacn.data.read.npz import npz
from dacn.data.read.ranges import RangeSetting
from dacn.deploy.network import UNKNOWN, Network
from dacn.errors import DataError
from dacn.evaluation.inference import predict


def read_test(path: Path, network: Network) -> Domain:
    """Return labelled images whose labels are numbers of the network's classes, matched by name.

    Args:
        path: a folder of class folders, of which some may be absent, or an .npz archive with ``labels``.
        network: names its classes, and says how images are fitted.

    Raises:
        DataError: no labels, or a class that the network does not know.
    """
    fit, read = network.fit(network.contexts[-1]), network.interface.value_range
    resize = "crop" if fit == "digits" else fit
    value_range: RangeSetting = "auto" if read is None else (read.low, read.high)
    if path.suffix.lower() == ".npz":
        domain = npz(path, network.resize_size, resize, range=value_range)
    else:
        domain = folder(path, network.resize_size, resize=resize, range=value_range)
    if domain.labels is None:
        raise DataError(f"--test {path}: has no labels; expected class folders, or an archive with labels")
    most = int(domain.labels.max()) + 1
    names = domain.classes or (*network.classes, *map(str, range(len(network.classes), most)))[:most]
    if unknown := [name for name in names if name not in network.classes]:
        raise DataError(
            f"--test {path}: the network does not know {listed(unknown)}; it knows {listed(network.classes)}"
        )
    order = torch.tensor([network.classes.index(name) for name in names])
    images = crop_images(domain.images, network.image_size)
    return Domain(path.stem, images, order[domain.labels], network.classes, fit=domain.fit)


@torch.no_grad()
def accuracies(network: Network, test: Domain) -> dict[str, float]:
    """Return the percentage of test images that the network is right on, under each trained context and an unknown one.

    Contexts that make no difference to a network are reported as one, its last.
    """
    names = [network.contexts[k] for k in network.interface.trained]
    images = test.images.to(network.device)
    return {name: _accuracy(network, images, test, name) for name in dict.fromkeys([*names, UNKNOWN])}


def _accuracy(network: Network, images: Images, test: Domain, context: str) -> float:
    assert test.labels is not None
    rows, how = None, network.recipe.evaluate
    if context != UNKNOWN:
        rows = torch.full((len(images),), network.contexts.index(context), device=network.device)
    labels = predict(network.model, images, rows, how.batch_size, flips=how.flips).argmax(1).cpu()
    return round(100 * float((labels == test.labels.cpu()).double().mean()), 3)
