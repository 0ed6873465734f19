"""From a run folder and a folder of images to the folder of the adapted run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dacn.data.domain import Domain
from dacn.data.fingerprint import fingerprint
from dacn.data.read.image_files import open_images
from dacn.data.read.passed_over import describe_passed_over
from dacn.deploy.adapt.folder import require_absent, whole_folder, write_run
from dacn.deploy.adapt.labelled import accuracies, read_test
from dacn.deploy.adapt.methods import OFFLINE, require_method, require_name
from dacn.deploy.adapt.offline import adapt_network
from dacn.deploy.loading import load_run
from dacn.deploy.network import Network


def adapt_run(
    run: Path | str,
    images: Path | str,
    *,
    method: str = "context",
    name: str | None = None,
    out: Path | str | None = None,
    test: Path | str | None = None,
    checkpoint: str = "selected",
    device: str = "auto",
    seed: int = 0,
    network: Network | None = None,
    command: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Adapt the network of a run to images without labels, and write it as a run of its own.

    The run that it came from stays as it is; the network before is kept in the new folder, as checkpoints/frozen.pt.

    Args:
        run: the run folder; its data need not be there.
        images: of the new domain: a folder of images at any depth, or an .npz archive with ``images``.
        method: ``context``, ``tent``, ``eata``, ``sar`` or ``shot``.
        name: of the new context; by default the name of the images' folder.
        out: the new run folder; by default ``<run>-<name>``.
        test: a folder of class folders, or an .npz archive with labels: only to report how good the network is on it.
        checkpoint: ``last`` or ``selected``.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: of the order of the images.
        network: in place of the run's, one that was trained elsewhere.
        command: the command line, for environment.json.
        progress: told how many images of how many have passed.

    Returns:
        What ``summary.json`` of the new folder holds, and ``out``.

    Raises:
        DacnError: no such run, images or method; a name or a folder that is taken; images that cannot be read.
    """
    require_method(method, OFFLINE)
    run, images, began = Path(run), Path(images), time.monotonic()
    came_from = run if network is None else None
    network = network or load_run(run, checkpoint, device)
    name = require_name(network, name if name is not None else images.absolute().stem)
    out = Path(out) if out is not None else run.with_name(f"{run.absolute().name}-{name}".replace("/", "_"))
    require_absent(out)
    fit, read = network.fit(network.contexts[-1]), network.interface.value_range
    source = open_images(images, network.resize_size, fit, read, crop=network.image_size)
    tested = None if test is None else read_test(Path(test), network)
    adapted = adapt_network(network, source.images, method=method, name=name, seed=seed, progress=progress)
    places: dict[str, Any] = {"run": str(run), "images_at": str(images.absolute())}
    data = {"target": fingerprint(Domain(name, source.images), network.classes)}
    if test is not None and tested is not None:
        data["target_test"] = fingerprint(tested, network.classes)
        places |= {"test": str(Path(test).absolute()), "test_images": data["target_test"]}
    adapted = replace(adapted, adapted={**adapted.adapted, **places})
    before, after = ({}, {}) if tested is None else (accuracies(one, tested) for one in (network, adapted))
    notes = [*filter(None, [describe_passed_over(images, source.passed_over), adapted.adapted["note"]])]
    target = after.get(name)
    summary = {
        "recipe": f"{network.recipe.name}-{name}",
        "seed": network.recipe.seed,
        "steps": network.step,
        "seconds": round(time.monotonic() - began, 3),
        "data": data,
        "adapted": dict(adapted.adapted),
        "accuracy": {"before": before, "after": after},
        "source": {"last": None, "selected": None},
        "target": {"last": target, "selected": target, "oracle": None, "gap": None},
        "warnings": notes,
    }
    with whole_folder(out) as folder:
        write_run(folder, adapted, summary, run=came_from, command=command)
    return {**summary, "out": str(out)}
