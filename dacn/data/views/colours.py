"""RandAugment's colour operations on a batch, a different draw for each image.

What maps each pixel's colour by one affine map of the image (autocontrast, brightness, colour, contrast) is multiplied
into one matrix an image. What remains is done to the images that drew it.

Reference: FixMatch, arXiv 2001.07685, Table 12; Pillow, whose operations these are.
"""

import torch
from torch import Tensor

# Equalize and autocontrast come first: after them brightness and contrast still show, before them they would not.
AFFINE = ("autocontrast", "brightness", "colour", "contrast")
COLOUR = ("equalize", *AFFINE, "posterize", "sharpness", "solarize")
GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601, as Pillow's


def apply_colour(images: Tensor, drawn: Tensor, strengths: Tensor) -> Tensor:
    """Apply each colour operation to the images that drew it, in the order of `COLOUR`.

    Shape: images ``(B, 3, H, W)`` in [0, 1], may be overwritten; drawn (bool) and strengths (in [0, 1]) at least
    ``(8, B)``, one row an operation; returns the shape of images.
    """
    # What was not drawn leaves all of the image.
    left = torch.where(drawn[1:5], enhancement_factor(strengths[1:5]), 1.0)  # (4, B)
    own = torch.stack([drawn[0], drawn[1:5].any(0), *drawn[5:8]])  # (5, B): the affine ones are one
    operations = equalize, blend, posterize, sharpness, solarize
    amounts = strengths[0], left, *strengths[5:8]
    if images.device.type != "cpu":  # picking rows would make the host wait for the device
        for operation, amount, mine in zip(operations, amounts, own, strict=True):
            images = torch.where(mine[:, None, None, None], operation(images, amount), images)
        return images
    picked = own.nonzero()[:, 1].split_with_sizes(own.sum(1).tolist())
    for operation, amount, rows in zip(operations, amounts, picked, strict=True):
        if len(rows):
            changed = operation(images.index_select(0, rows), amount.index_select(-1, rows))
            images.index_copy_(0, rows, changed)
    return images


def blend(images: Tensor, left: Tensor) -> Tensor:
    """Autocontrast, brightness, colour and contrast, as one affine map of each image's colours.

    Autocontrast stretches each channel to the whole of [0, 1] unless it is flat, brightness blends with black, colour
    with the grey version of the image, contrast with its mean grey.

    Shape: images ``(B, 3, H, W)``, left ``(4, B)``: how much of the image each operation leaves, 1 where it was not
    drawn (autocontrast: any number but 1 is the whole of it); returns the shape of images.
    """
    bright, colourful, contrast = left[1:, :, None].unbind()  # (B, 1) each
    gain = bright * contrast
    pixels = images.flatten(2)
    weights = torch.stack([images.new_full((), share) for share in GREY])  # (3,), without a copy that a GPU waits for
    low, high = pixels.amin(2), pixels.amax(2)  # (B, 3)
    stretched = (left[0] != 1)[:, None] & (high > low)
    low, extent = torch.where(stretched, low, 0.0), torch.where(stretched, high - low, 1.0)
    grey = ((pixels.mean(2) - low) / extent) @ weights  # (B,), after autocontrast; colour does not change it
    mix = torch.lerp(weights.expand(3, 3), torch.eye(3, device=images.device), colourful[..., None])  # (B, 3, 3)
    mix = mix * gain[..., None] / extent[:, None]
    offset = ((bright - gain) * grey[:, None])[..., None] - mix @ low[..., None]  # (B, 3, 1)
    return torch.baddbmm(offset, mix, pixels).clamp_(0, 1).view_as(images)


def enhancement_factor(strength: Tensor) -> Tensor:
    """Return how much of the image is left, 0.95 to 0.05, where 1 would be all of it."""
    return 0.95 - 0.9 * strength


def equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Flatten each channel's histogram of 256 levels; a channel of almost one level stays as it is."""
    levels = (images * 255).long().flatten(0, 1).flatten(1)  # (3 B, H * W)
    counts = images.new_zeros(len(levels), 256).scatter_add_(1, levels, images.new_ones(()).expand_as(levels))
    step = ((levels.shape[1] - counts.gather(1, levels.amax(1, keepdim=True))) / 255).floor()  # (3 B, 1)
    below = counts.cumsum(1) - counts  # (3 B, 256)
    table = ((below + (step / 2).floor()) / step.clamp_min(1)).floor().clamp_max(255) / 255
    pixels = images.reshape(levels.shape)
    return pixels.lerp(table.gather(1, levels), (step > 0).to(pixels.dtype)).view_as(images)  # faster than `where`


def posterize(images: Tensor, strength: Tensor) -> Tensor:
    """Keep the 8 to 4 highest bits."""
    step = 2 ** (5 * strength).long().clamp(max=4)[:, None, None, None]  # (B, 1, 1, 1)
    return (images * (255 / step)).floor_().mul_(step / 255)


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with a smoothed image; the outermost pixels stay as they are."""
    images = images.clone()
    inner = images[:, :, 1:-1, 1:-1]
    columns = (images[:, :, :-2] + images[:, :, 1:-1]).add_(images[:, :, 2:])  # sums over three rows
    box = (columns[..., :-2] + columns[..., 1:-1]).add_(columns[..., 2:])
    share = (1 - enhancement_factor(strength))[:, None, None, None] / 13  # the smoothed pixel is (box + 4 inner) / 13
    inner.mul_(1 - 9 * share).add_(box.mul_(share))
    return images


def solarize(images: Tensor, strength: Tensor) -> Tensor:
    """Invert the pixels at or above a threshold of 1 to 0."""
    threshold = (1 - strength)[:, None, None, None]
    inverted = torch.ge(images, threshold, out=torch.empty_like(images))  # 0 or 1: the latter are inverted
    return inverted.sub_(images).abs_()  # a quarter of the time of booleans
