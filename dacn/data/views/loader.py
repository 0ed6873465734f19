"""An endless stream of batches from a pair, whose images are held on the device as bytes or decoded on the way."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from dacn.batch import SOURCE, Batch, consecutive_batches
from dacn.data.domain import DomainPair
from dacn.data.read.images import fetch, prefetch
from dacn.data.views.augment import Augment
from dacn.errors import DataError
from dacn.nn import processes

AHEAD = 2
"""How many draws are decoded ahead of the one that is trained on, where images are not in memory."""
TOGETHER = {"cpu": (6, 2**20), "cuda": (32, 2**22)}
"""How many batches at most are made at once, and of how many pixels in all: a CPU's caches hold no more, and a GPU is
hardly busy with a single batch's thousand small calls."""


class ShuffledIndices:
    """An endless stream of 0 to ``size - 1``, each once per pass, every pass in a new order.

    A draw may run over the end of a pass, or over several.

    Args:
        size: number of indices, at least 1.
        generator: CPU generator that shuffles.

    >>> indices = ShuffledIndices(3, torch.Generator().manual_seed(0))
    >>> indices.take(6).bincount()
    tensor([2, 2, 2])
    """

    def __init__(self, size: int, generator: Generator) -> None:
        self.size = size
        self.generator = generator
        self.order = torch.randperm(size, generator=generator)  # (N,)
        self.position = 0

    def take(self, count: int) -> Tensor:
        """Return the next ``count`` indices: (count,) int64."""
        taken = self.order[self.position : self.position + count]
        self.position += len(taken)
        while len(taken) < count:
            self.order = torch.randperm(self.size, generator=self.generator)
            self.position = min(count - len(taken), self.size)
            taken = torch.cat([taken, self.order[: self.position]])
        return taken

    def upcoming(self, count: int) -> Tensor:
        """Return the next ``count`` indices without taking them, or fewer: the pass after this one has no order yet.

        Looking draws nothing, so whoever looks gets the same indices as who does not.
        """
        return self.order[self.position : self.position + count]

    def state_dict(self) -> dict[str, Any]:
        """Return the order of this pass and the position in it (not the generator, which others may share)."""
        return {"order": self.order, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where ``state`` was taken."""
        self.order, self.position = state["order"], state["position"]


class DomainLoader:
    """Batches of augmented source and target images, for ever, each domain shuffled by itself.

    Of several processes, each gets its own share of every batch: together they see each image once a pass.

    Batches of small images are made several at a time: on two cores that takes 0.6 of the time of single ones, and a
    GPU is given that many times fewer calls.

    The two domains may differ in size: each starts a new pass when its own has ended, so no image waits for the other.
    Labelled images of several domains fill the labelled batch in even shares, in the order of their contexts, and each
    is shuffled by itself; where the shares cannot be even, the first have one image more. Contexts that are no domains
    change nothing in what is drawn; a batch's rows are put in their order, which layers take faster.

    Args:
        pair: its training images are copied to ``device`` as bytes, or decoded by threads a few batches ahead.
        augment: makes the views.
        source_batch, target_batch: images per step, of all processes together; the former at least one for each
            labelled domain, the latter 0 where unlabelled images are not looked at.
        strong: whether strong views are looked at; where not, the weak ones stand in for them.
        generator: CPU generator for sampling, the same in every process, and, on the CPU, for augmentation; another
            device, or each of several processes, gets its own, seeded from it.
        device: where images are held and augmented.

    Raises:
        DataError: fewer labelled images per step than contexts that they come from.

    `state_dict` holds all that a bit-exact continuation needs. To make each batch in a thread while the network trains
    was tried: with as many threads of torch as cores a step took 7 % longer, and 7 % less only where a core was idle.
    """

    def __init__(
        self,
        pair: DomainPair,
        augment: Augment,
        *,
        source_batch: int,
        target_batch: int,
        generator: Generator,
        device: torch.device,
        strong: bool = True,
    ) -> None:
        source = pair.source.to(device)
        assert source.labels is not None  # a DomainPair's source has labels
        self.source_images, self.labels = source.training_images, source.labels  # N images, (N,) int64
        self.source_context = source.context_or(SOURCE)  # (N,) int64
        target = pair.target.to(device)
        self.target_images = target.training_images  # M images
        self.target_context = target.context_or(pair.target_context)  # (M,) int64
        self.augment, self.strong = augment, strong
        self.target_batch = target_batch
        self.generator = generator
        self.device = device
        alone = device.type == "cpu" and processes.count() == 1
        self.augment_generator = generator if alone else _seeded_from(generator, device)
        self.images = source_batch + target_batch  # a step
        self.by_domain = pair.by_domain
        self.source_groups, self.target_groups = self.source_context.cpu(), self.target_context.cpu()  # (N,), (M,)
        groups = self.source_groups if pair.by_domain else torch.zeros_like(self.source_groups)  # (N,)
        present = sorted(set(groups.tolist()))
        self.source_rows = [(groups == group).nonzero()[:, 0] for group in present]  # (N_k,) each
        self.source_shares = _even_shares(source_batch, [pair.contexts[context] for context in present])
        self.source_indices = [ShuffledIndices(len(rows), generator) for rows in self.source_rows]
        self.target_indices = ShuffledIndices(len(self.target_images), generator)
        pixels = self.images * self.source_images.shape[2] * self.source_images.shape[3]  # a step
        most, most_pixels = TOGETHER.get(device.type, TOGETHER["cpu"])
        self.together = min(most, max(1, most_pixels // pixels))
        self._made: deque[Batch] = deque()
        self._before = self._position()  # where those that are made began
        self._passed_over = 0  # how many of the next ones were trained on before a resume

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        while not self._made:
            self._before = self._position()
            self._made.extend(self._make()[self._passed_over :])
            # Where the run went on from another device, more may be passed over than are made together here.
            self._passed_over = max(0, self._passed_over - self.together)
        return self._made.popleft()

    def _make(self) -> list[Batch]:
        """Return the next batches, as many as are made together."""
        drawn = [self._draw() for _ in range(self.together)]
        source, target = (torch.cat(rows) for rows in zip(*drawn, strict=True))  # (n * B,), (n * T,)
        self._prefetch(source, target)
        source_images, target_images = fetch(self.source_images, source), fetch(self.target_images, target)
        source, target = (rows.to(self.device, non_blocking=True) for rows in (source, target))
        source_views, target_views = self.augment.views(
            source_images, target_images, self.augment_generator, strong=self.strong
        )
        all_of_them = Batch(
            source_views, self.labels[source], self.source_context[source], target_views, self.target_context[target]
        )
        return consecutive_batches(all_of_them, self.together)

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Return this process's rows of the next batch, ``(B,)`` of the labelled images and ``(T,)`` of the target."""
        parts = zip(self.source_rows, self.source_indices, self.source_shares, strict=True)
        source = processes.own(torch.cat([rows[indices.take(share)] for rows, indices, share in parts]))
        target = processes.own(self.target_indices.take(self.target_batch))
        if not self.by_domain:
            source = source[self.source_groups[source].argsort(stable=True)]
            target = target[self.target_groups[target].argsort(stable=True)]
        return source, target

    def _prefetch(self, source: Tensor, target: Tensor) -> None:
        """Have these images decoded, then those of the next batches, as far as they are drawn already."""
        if isinstance(self.source_images, Tensor) and isinstance(self.target_images, Tensor):
            return  # they are there
        prefetch(self.source_images, source)
        prefetch(self.target_images, target)
        sources = list(zip(self.source_rows, self.source_indices, self.source_shares, strict=True))
        for batch in range(AHEAD * self.together):
            drawn = [rows[_of_batch(indices, batch, share)] for rows, indices, share in sources]
            prefetch(self.source_images, processes.own(torch.cat(drawn)))
            prefetch(self.target_images, processes.own(_of_batch(self.target_indices, batch, self.target_batch)))

    def state_dict(self) -> dict[str, Any]:
        """Return the position in every labelled context and in the target, and the state of the generators.

        Where some of the batches that were made together are still to come, it is the position before all of them.
        """
        state = dict(self._before if self._made else self._position())
        state["passed_over"] = self.together - len(self._made) if self._made else self._passed_over
        state["augment_generators"] = processes.gather(state.pop("augment_generator"))
        return state

    def _position(self) -> dict[str, Any]:
        return {
            "source": [indices.state_dict() for indices in self.source_indices],
            "target": self.target_indices.state_dict(),
            "generator": self.generator.get_state(),
            "augment_generator": self.augment_generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where ``state`` was taken."""
        for indices, saved in zip(self.source_indices, state["source"], strict=True):
            indices.load_state_dict(saved)
        self.target_indices.load_state_dict(state["target"])
        self.generator.set_state(state["generator"])
        states = state["augment_generators"]
        if len(states) == processes.count() and states[0].shape == self.augment_generator.get_state().shape:
            self.augment_generator.set_state(states[processes.rank()].clone())  # a view would be misread
        # Otherwise other processes or another device than before draw anew.
        self._made.clear()
        self._passed_over = state["passed_over"]


def _of_batch(indices: ShuffledIndices, batch: int, size: int) -> Tensor:
    """Return what the batch after so many others will have, as far as it is drawn already."""
    return indices.upcoming((batch + 1) * size)[batch * size :]


def _seeded_from(generator: Generator, device: torch.device) -> Generator:
    """Return a generator on ``device`` seeded by the seed of ``generator``, which draws nothing, and by the process."""
    return Generator(device).manual_seed(generator.initial_seed() + (1 + processes.rank()) * 2**32)


def _even_shares(batch: int, contexts: list[str]) -> list[int]:
    """Return how many images of a batch each context has."""
    if batch < len(contexts):
        raise DataError(
            f"train.source_batch: got {batch}, but the labelled images come from {len(contexts)} contexts "
            f"({', '.join(contexts)}); expected at least {len(contexts)}, one image of each"
        )
    return [batch // len(contexts) + (index < batch % len(contexts)) for index in range(len(contexts))]
