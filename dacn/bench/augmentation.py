"""Strong views a second, beside the RandAugment of kornia and of torchvision."""

from collections.abc import Callable
from importlib.util import find_spec
from statistics import median

import torch
from torch import Tensor

from dacn.bench.timing import interleave
from dacn.data.views.augment import Augment, AugmentConfig


def compare_augmentation(
    images: Tensor, config: AugmentConfig, rounds: int, seconds: float | None = None
) -> dict[str, float | None]:
    """Return images a second of a whole strong view and of the others' RandAugment, two operations each.

    None where one is not installed.

    Args:
        images: bytes, on the device that is measured.
        config: the recipe's; of the others only RandAugment itself is measured.
        rounds: measurements of each.
        seconds: see `interleave`.

    torchvision draws once a call and is called for each image. kornia, called once, draws its operations once a batch
    and their strengths for each image.

    Shape: images ``(B, 3, H, W)`` uint8.
    """
    device = images.device
    augment, generator = Augment(config, flips=False), torch.Generator(device).manual_seed(0)
    contenders: dict[str, Callable[[], object]] = {
        "dacn": lambda: augment.strong(augment.weak(images, generator).div(255), generator),
        "torchvision": _torchvision(images),
    }
    if find_spec("kornia") is not None:
        contenders["kornia"] = _kornia(images)
    times = interleave(contenders, rounds, device, seconds=seconds)
    rates: dict[str, float | None] = {name: len(images) / median(each) for name, each in times.items()}
    return {"kornia": None} | rates


def _torchvision(images: Tensor) -> Callable[[], object]:
    from torchvision.transforms import v2

    augment = v2.RandAugment(num_ops=2)
    return lambda: [augment(image) for image in images]


def _kornia(images: Tensor) -> Callable[[], object]:
    from kornia.augmentation.auto import RandAugment

    augment = RandAugment(n=2, m=10)
    return lambda: augment(images / 255)
