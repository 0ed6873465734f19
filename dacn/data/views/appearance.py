"""Random appearance: colours for grey images, and inversion, scale and offset of intensity.

What a digit is does not depend on its colours, and saying so with random ones is most of what carries a network from
MNIST to SVHN.

Reference: French et al. 2018, Self-ensembling for visual domain adaptation, arXiv 1706.05208.
"""

import torch
from torch import Generator, Tensor

INPUT_SPAN = 255 / 128
"""How far white is from black on the network's input scale, where mid-grey is 0."""
MIN_DISTANCE = 0.25
SCALE = (0.25, 1.5)
OFFSET = (-0.5, 0.5)


def to_scale(images: Tensor) -> Tensor:
    """Go from [0, 1] to the network's input scale, in place."""
    return images.sub_(0.5).mul_(INPUT_SPAN)


def uniform(shape: tuple[int, ...], bounds: tuple[float, float], generator: Generator) -> Tensor:
    """Draw uniformly within ``bounds``, on the generator's device."""
    return torch.empty(shape, device=generator.device).uniform_(*bounds, generator=generator)


def draw_colours(painted: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draw a colour for the ground (black) and one for the figure (white) of each image that is painted.

    Both are uniform in the RGB cube and differ by at least 0.25 in some channel, so the figure stays visible. Images
    that are not painted keep black and white.

    Shape: painted ``(B,)`` bool; returns two ``(B, 3, 1, 1)`` in [0, 1].
    """
    shape = (2, len(painted), 3, 1, 1)
    ground, figure = torch.rand(shape, generator=generator, device=generator.device).unbind()
    alike = (figure - ground).abs().amax(1, keepdim=True) < MIN_DISTANCE
    # Half-way round the scale of each channel: still uniform, and at least 0.5 - 0.25 away in all of them.
    figure = torch.where(alike, (figure + 0.5) % 1, figure)
    rows = painted[:, None, None, None]
    return ground * rows, torch.where(rows, figure, 1.0)


def paint(images: Tensor, ground: Tensor, figure: Tensor) -> Tensor:
    """Put the ground's colour for black, the figure's for white, and those in between for greys, in place.

    Shape: images ``(B, 3, H, W)`` float in [0, 255], colours ``(B, 3, 1, 1)`` on the scale of what is returned.
    """
    return images.mul_((figure - ground) / 255).add_(ground)  # twice as fast as one addcmul


def vary_intensity(images: Tensor, generator: Generator) -> Tensor:
    """Invert half of the images, then scale each one's contrast by U(0.25, 1.5) and shift it by U(-0.5, 0.5).

    French et al. standardise every image, at test time too. Here images stay on the network's input scale, so inversion
    is about mid-grey (a white figure turns black), scale about the image's mean, and offset in units of its standard
    deviation: what theirs do to a standardised image.

    Shape: ``(B, 3, H, W)`` in [0, 1], overwritten and returned on the network's input scale.
    """
    shape = (len(images), 1, 1, 1)
    sign = 1 - 2 * torch.randint(2, shape, generator=generator, device=generator.device)
    scale, offset = uniform(shape, SCALE, generator), uniform(shape, OFFSET, generator)
    mean = images.mean((1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    centred = images.sub_(mean)
    deviation = torch.linalg.vector_norm(centred, dim=(1, 2, 3), keepdim=True) / centred[0].numel() ** 0.5
    return centred.mul_(INPUT_SPAN * sign * scale).add_(sign * to_scale(mean) + INPUT_SPAN * offset * deviation)
