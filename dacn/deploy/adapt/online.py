"""A stream of images: each batch is predicted, and then, or in doing so, learned from."""

from collections import deque
from typing import Any

import torch
from torch import Tensor

from dacn.data.views.augment import to_input
from dacn.deploy.adapt.adapter import Adapter
from dacn.deploy.adapt.domains import Domains
from dacn.deploy.adapt.lame import Lame
from dacn.deploy.adapt.methods import ONLINE, make_adapter, require_method
from dacn.deploy.adapt.offline import distances, predict_under
from dacn.deploy.adapt.row import copy_row, with_row
from dacn.deploy.adapt.watch import collapse
from dacn.deploy.network import UNKNOWN, Network
from dacn.errors import DacnError

WINDOW = 500
"""Images that the watch looks back."""
DEPTH = 2 / 3
"""Of the norm layers, from the input on, whose rows a stream moves: see `Context`."""
BATCH = 16
"""Images at a time where nobody says."""


class Stream:
    """The network of a run, adapted to a stream while it predicts it; nothing is saved, and the network stays as it is.

    The new context starts at the known one that the first batch is nearest to. Each batch is also predicted by the
    network as it was: where the predictions of the last `WINDOW` images collapse beside those, the method starts anew,
    and `notes` says so.

    Args:
        network: stays as it is.
        method: ``context``, ``tent``, ``eata``, ``sar`` or ``lame``.
        context: the known one to start from; None: the nearest.
        domains: how many domains the stream may be of, ``context`` alone: which one an image is of is inferred.
        options: of the method, such as ``lr``.

    Raises:
        DacnError: no such method, or one that the network does not allow.
    """

    def __init__(
        self, network: Network, method: str = "context", context: str | None = None, domains: int = 1, **options: Any
    ) -> None:
        require_method(method, ONLINE)
        if domains < 1 or (domains > 1 and method != "context"):
            raise DacnError(f"--domains {domains}: expected 1, or more with --method context alone")
        self.network, self.method = network, method
        self.options = {"depth": DEPTH} | options if method == "context" else options
        self.context = None if context in (None, UNKNOWN) else context
        self.wider, self.row = network, len(network.contexts)
        for k in range(domains):
            self.wider = with_row(self.wider, f"stream {k + 1}")
        self.domains = domains
        self.adapter: Adapter | None = None
        self.start = network.interface.trained[0]
        self.notes: list[str] = []
        self.images = 0
        self._recent: deque[tuple[Tensor, Tensor]] = deque()

    def predict(self, images: Tensor) -> Tensor:
        """Return the probability of each class, and learn from the images.

        Shape: images ``(B, 3, H, W)`` uint8; returns ``(B, K)`` float32, on the CPU.
        """
        images = images.to(self.network.device)
        if not len(images):
            return torch.zeros(0, len(self.network.classes))
        if self.adapter is None:
            self.adapter = self._begin(images)
        probabilities = self.adapter.step(to_input(images)).float().softmax(1)
        self.images += len(images)
        if not isinstance(self.adapter, Lame):  # which learns nothing that could be taken back
            self._watch(probabilities, predict_under(self.network, images, self.start))
        return probabilities.cpu()

    def summary(self) -> dict[str, Any]:
        """Return what was done: method, start, images, and what the method counted."""
        facts = {} if self.adapter is None else self.adapter.facts
        start = self.network.contexts[self.start]
        return {"method": self.method, "start": start, "images": self.images, "restarts": len(self.notes), **facts}

    def _begin(self, images: Tensor) -> Adapter:
        if self.context is not None:
            self.start = self.network.contexts.index(self.context)
        else:
            near = distances(self.wider, images, self.network.interface.trained)
            self.start = min(near, key=lambda k: near[k].distance, default=self.start)
        for row in range(self.row, self.row + self.domains):
            copy_row(self.wider.model, self.start, row)
        if self.domains > 1:
            return Domains(self.wider.model, self.row, count=self.domains, **self.options)
        return make_adapter(self.method, self.wider, self.row, self.options)

    def _watch(self, probabilities: Tensor, frozen: Tensor) -> None:
        """Start anew where the recent predictions have collapsed."""
        self._recent.append((probabilities, frozen))
        while sum(len(part) for part, _ in self._recent) - len(self._recent[0][0]) >= WINDOW:
            self._recent.popleft()
        recent, before = (torch.cat(column) for column in zip(*self._recent, strict=True))
        if why := collapse(recent, before):
            assert self.adapter is not None
            self.adapter.reset()
            self._recent.clear()
            self.notes.append(f"after {self.images:,} images the method went back to where it started: {why}")
