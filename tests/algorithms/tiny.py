"""A network and batches small enough to work out by hand."""

import torch
from torch import Tensor, nn

from dacn.batch import SOURCE, TARGET, Batch, Views

D, F, K = 12, 5, 3  # numbers in an image (3, 2, 2), features, classes


class Tiny(nn.Module):
    """Batch norm without affine map, a linear map to features, a linear head."""

    takes_context = True

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(D, affine=False) if norm else nn.Identity()
        self.backbone = nn.Linear(D, F, bias=False)
        self.head = nn.Linear(F, K)

    def features(self, x: Tensor, context: Tensor) -> Tensor:
        features: Tensor = self.backbone(self.norm(x.flatten(1)))
        return features

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x, context))
        return logits


def tiny(seed: int = 0, norm: bool = True) -> Tiny:
    torch.manual_seed(seed)
    return Tiny(norm).double()


def batch(seed: int = 0, rows: tuple[int, int] = (4, 7)) -> Batch:
    """Return a batch in double precision, the target's images brighter."""
    torch.manual_seed(seed)
    source, target = ([torch.randn(n, 3, 2, 2, dtype=torch.float64) for _ in range(2)] for n in rows)
    contexts = torch.full(rows[:1], SOURCE), torch.full(rows[1:], TARGET)
    target = [view + 1 for view in target]
    return Batch(Views(*source), torch.randint(K, rows[:1]), contexts[0], Views(*target), contexts[1])


def passed(model: Tiny, batch: Batch, strong: bool) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
    """Return features and logits of source and target, and the labels, by one plain pass over all views."""
    views = [*batch.source[: 1 + strong], *batch.target[: 1 + strong]]
    x = torch.cat(views).flatten(1)
    if isinstance(model.norm, nn.BatchNorm1d):
        x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    features = x @ model.backbone.weight.T
    logits = features @ model.head.weight.T + model.head.bias
    cut = (1 + strong) * len(batch.labels)
    labels = torch.cat([batch.labels] * (1 + strong))
    return (features[:cut], logits[:cut]), (features[cut:], logits[cut:]), labels


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of minus the log-probabilities, row by row."""
    rows = [z.exp().sum().log() - z[label] for z, label in zip(logits, labels.tolist(), strict=True)]
    return torch.stack(rows).mean()
