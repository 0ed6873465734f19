"""A classifier of contexts, trained beside any method."""

import torch.nn.functional as F
from torch import Tensor, nn

from dacn.algorithms.base import Algorithm, Losses
from dacn.batch import Batch
from dacn.data.domain import DomainPair
from dacn.data.read.images import Images
from dacn.models.classifier import Classifier


class ContextLearner(Algorithm):
    """Trains the network's ``context_net`` to tell the labelled images' contexts, beside the method itself.

    The context classifier shares no weight with the network, so the method's own training is what it would be alone.

    Args:
        method: what trains the network; its model has a ``context_net``.
    """

    def __init__(self, method: Algorithm) -> None:
        nn.Module.__init__(self)  # model and config are the method's: registered once, not twice
        self.method = method
        self.uses_target, self.uses_strong = method.uses_target, method.uses_strong
        self.between_domains, self.asks_device = method.between_domains, method.asks_device
        self.takes_fewer_classes = method.takes_fewer_classes

    @property
    def model(self) -> Classifier:  # type: ignore[override]
        """The method's network."""
        return self.method.model

    def prepare(self, pair: DomainPair) -> None:
        """Have the method take what it must know."""
        self.method.prepare(pair)

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the method's losses and that of the context classifier."""
        losses: Losses = self.method(batch, progress)
        assert self.model.context_net is not None
        scores = self.model.context_net(batch.source.weak)  # (B, K)
        loss = F.cross_entropy(scores, batch.source_context)
        right = (scores.argmax(dim=1) == batch.source_context).float().mean()
        parts = {**losses.parts, "loss/context": loss.detach(), "context/accuracy": 100 * right.detach()}
        return Losses(losses.total + loss, parts)

    def before_evaluation(self, model: nn.Module, target: Images, context: int) -> None:
        """Do what the method does."""
        self.method.before_evaluation(model, target, context)

    def pseudo_labels(self, probabilities: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the method's."""
        return self.method.pseudo_labels(probabilities)
