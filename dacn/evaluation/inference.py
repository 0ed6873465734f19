"""Inference: passes images through a network in batches, with a given precision, compiled or not."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from dacn.data.read.images import Images, batches
from dacn.data.views.augment import to_input

Call = Callable[[Tensor, Tensor | None], Tensor]


@torch.no_grad()
def predict(
    model: nn.Module,
    images: Images,
    context: Tensor | None,
    batch_size: int,
    *,
    flips: bool = False,
    bf16: bool = False,
    compiled: bool = False,
) -> Tensor:
    """Return class probabilities of images.

    Args:
        model: called as ``model(x, context)``; it is put in evaluation mode.
        images: bytes, on the model's device or put there once decoded.
        context: of each image, or None where it is unknown.
        batch_size: images at a time.
        flips: whether mirrored images are shown too and the probabilities averaged.
        bf16: whether under autocast in bfloat16.
        compiled: whether through torch.compile.

    Shape: images ``(N, 3, H, W)``, context ``(N,)``; returns ``(N, K)`` float32.
    """
    model.eval()
    call = MirroredToo(model) if flips else model
    logits = outputs(call, images, context, batch_size, bf16=bf16, compiled=compiled)  # (n, K) each
    return torch.cat([part.softmax(dim=1) for part in logits])


class MirroredToo(nn.Module):
    """A network that is shown an image and its mirror image, and gives the logarithm of their mean probabilities.

    Args:
        network: called as ``network(x, ...)``, gives class scores ``(B, K)``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, *context: Tensor | None) -> Tensor:
        """Return the scores of images ``(B, 3, H, W)``; their softmax is the mean of the two."""
        own, mirrored = (self.network(view, *context).float().softmax(dim=1) for view in (x, x.flip(3)))
        mean: Tensor = (own + mirrored) / 2
        return mean.clamp_min(torch.finfo(torch.float32).tiny).log()


@torch.no_grad()
def outputs(
    call: Call, images: Images, context: Tensor | None, batch_size: int, *, bf16: bool, compiled: bool
) -> Iterator[Tensor]:
    """Yield what ``call(x, context)`` returns of ``batch_size`` images at a time, as float32.

    Compiled, it is called with batches of one size alone, the last one filled up with its own images, for each size is
    compiled anew. What was compiled serves the network's copies too, and at the next evaluation.

    Args:
        call: a network in evaluation mode, where no row depends on another, or a method of one.
        images, context, batch_size, bf16, compiled: as `predict` has them.
    """
    run: Call = torch.compile(call, dynamic=False) if compiled else call
    for number, rows in enumerate(batches(images, batch_size)):  # (n, 3, H, W)
        start, count = number * batch_size, len(rows)
        own = None if context is None else context[start : start + count]
        if compiled and count < batch_size:
            fill = torch.arange(batch_size, device=rows.device) % count
            rows, own = rows[fill], None if own is None else own[fill]
        with torch.autocast(rows.device.type, torch.bfloat16, enabled=bf16):
            result = run(to_input(rows), own)
        yield result[:count].float()
