"""A made-up pair: two classes that are easily told apart, in two domains of different colour."""

from pathlib import Path

import numpy as np
import torch

from dacn.data.domain import Domain, DomainPair


def domain(name: str, count: int, *, seed: int, tint: int, classes: int = 2, size: int = 16) -> Domain:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    images = torch.randint(0, 60, (count, 3, size, size), generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        band = slice(label * size // classes, (label + 1) * size // classes)
        image[:, band] += 120
    images[:, tint] += 50
    return Domain(name, images.byte(), labels)


def pair(classes: int = 2, size: int = 16, count: int = 24) -> DomainPair:
    def part(name: str, seed: int, tint: int) -> Domain:
        return domain(name, count, seed=seed, tint=tint, classes=classes, size=size)

    return DomainPair(
        name="made_up",
        classes=tuple(f"class{k}" for k in range(classes)),
        source=part("reds", 0, 0),
        target=part("blues", 1, 2),
        source_test=part("reds", 2, 0),
        target_test=part("blues", 3, 2),
    )


def archives(folder: Path, count: int = 64) -> str:
    """Write the two domains as archives and return the ``data`` of a recipe for them, in YAML, a quarter to test on."""
    for name, tint in (("reds", 0), ("blues", 2)):
        made = domain(name, count, seed=tint, tint=tint)
        images = made.images[:].permute(0, 2, 3, 1).numpy()
        np.savez(folder / f"{name}.npz", images=images, labels=made.labels)
    parts = ", ".join(f"{key}: {{npz: {folder / name}.npz}}" for key, name in (("source", "reds"), ("target", "blues")))
    return f"{{{parts}, image_size: 16, test_fraction: 0.25}}"
