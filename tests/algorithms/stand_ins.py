"""Networks and batches small enough to write the methods out in NumPy."""

import torch
from torch import Tensor, nn

from dacn.batch import SOURCE, TARGET, Batch, Views

B, T, K, D = 4, 6, 3, 12  # source (labelled) rows, target (unlabelled) rows, classes, numbers in an image (3, 2, 2)


class Planted(nn.Module):
    """The image is the logits: (B, K, 1, 1) in, (B, K) out."""

    takes_context = True

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return x.flatten(1)


class Linear(nn.Module):
    """Batch norm without affine map, then a linear map; notes the contexts that it was given."""

    takes_context = True

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(D, affine=False)
        self.weight = nn.Parameter(scale * torch.randn(K, D, generator=torch.Generator().manual_seed(7)))
        self.contexts: list[list[int]] = []

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if context is not None:
            self.contexts.append(context.tolist())
        scores: Tensor = self.norm(x.flatten(1)) @ self.weight.T
        return scores


def batch_of(source: list[Tensor], labels: Tensor, target: list[Tensor]) -> Batch:
    contexts = torch.full((len(labels),), SOURCE), torch.full((len(target[0]),), TARGET)
    return Batch(Views(*source), labels, contexts[0], Views(*target), contexts[1])


def random_batch(seed: int, *, labels: int = K, size: int = 2, dtype: torch.dtype = torch.float64) -> Batch:
    """A batch of the first ``labels`` classes, whose target is brighter and of more contrast."""
    torch.manual_seed(seed)
    source = [torch.randn(B, 3, size, size, dtype=dtype) for _ in range(2)]
    target = [2 * torch.randn(T, 3, size, size, dtype=dtype) + 1 for _ in range(2)]
    return batch_of(source, torch.randint(labels, (B,)), target)
