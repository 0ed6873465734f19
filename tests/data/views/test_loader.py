import io
from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch import Tensor

from dacn.batch import Batch, Views
from dacn.data.domain import Domain, DomainPair
from dacn.data.read.images import MemoryImage, Streamed
from dacn.data.views.augment import Augment, AugmentConfig
from dacn.data.views.loader import TOGETHER, DomainLoader, ShuffledIndices
from dacn.errors import DataError

CPU = torch.device("cpu")
STILL = AugmentConfig(shift=0, operations=0, cutout=0)


def numbered_pair(
    source: int,
    target: int,
    contexts: tuple[str, ...] = ("source", "target"),
    source_context: list[int] | None = None,
    target_context: list[int] | None = None,
) -> DomainPair:
    """Every pixel of source image i is i, of target image i it is 100 + i; label i is i modulo 5."""
    numbers = [torch.arange(source), 100 + torch.arange(target)]
    images = [n.byte().view(-1, 1, 1, 1).repeat(1, 3, 4, 4) for n in numbers]
    given = [None if context is None else torch.tensor(context) for context in (source_context, target_context)]
    labelled = Domain("s", images[0], torch.arange(source) % 5, context=given[0])
    unlabelled = Domain("t", images[1], context=given[1])
    return DomainPair(name="numbered", classes=tuple("abcde"), source=labelled, target=unlabelled, contexts=contexts)


def loader(pair: DomainPair, source: int, target: int, config: AugmentConfig = STILL, seed: int = 0) -> DomainLoader:
    augment = Augment(config, flips=pair.flips)
    generator = torch.Generator().manual_seed(seed)
    return DomainLoader(pair, augment, source_batch=source, target_batch=target, generator=generator, device=CPU)


def numbers(images: Tensor) -> list[int]:
    """Which images these are, read from their pixels."""
    return (images[:, 0, 0, 0] * 128 + 127.5).round().long().tolist()


def same(first: Batch, second: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(second), strict=True))


def tensors(batch: Batch) -> list[Tensor]:
    return [*batch.source, batch.labels, batch.source_context, *batch.target, batch.target_context]


def test_indices_come_once_a_pass_in_a_new_order() -> None:
    indices = ShuffledIndices(11, torch.Generator().manual_seed(0))
    stream = torch.cat([indices.take(4) for _ in range(33)])  # 12 passes
    passes = [tuple(part.tolist()) for part in stream.split(11)]
    assert all(sorted(part) == list(range(11)) for part in passes)
    assert len(set(passes)) == 12


def test_a_draw_may_be_larger_than_the_set() -> None:
    indices = ShuffledIndices(3, torch.Generator().manual_seed(0))
    stream = torch.cat([indices.take(count) for count in (8, 0, 1, 9)])
    assert all(sorted(part.tolist()) == [0, 1, 2] for part in stream.split(3))


def test_each_domain_is_seen_once_a_pass_whatever_the_other_does() -> None:
    batches = list(islice(loader(numbered_pair(6, 35), 4, 10), 21))
    source = torch.tensor([n for batch in batches for n in numbers(batch.source.weak)])  # 84 = 14 passes of 6
    target = torch.tensor([n for batch in batches for n in numbers(batch.target.weak)])  # 210 = 6 passes of 35
    assert all(sorted(part.tolist()) == list(range(6)) for part in source.split(6))
    assert all(sorted(part.tolist()) == list(range(100, 135)) for part in target.split(35))


def test_a_label_stays_with_its_image_and_both_views_show_it() -> None:
    for batch in islice(loader(numbered_pair(23, 9), 8, 12), 10):
        assert batch.labels.tolist() == [n % 5 for n in numbers(batch.source.weak)]
        assert numbers(batch.source.strong) == numbers(batch.source.weak)
        assert numbers(batch.target.strong) == numbers(batch.target.weak)


def test_the_context_of_a_row_is_its_domain() -> None:
    batch = next(loader(numbered_pair(5, 5), 2, 3))
    assert batch.source_context.tolist() == [0, 0]
    assert batch.target_context.tolist() == [1, 1, 1]
    assert batch.source_context.dtype == batch.target_context.dtype == batch.labels.dtype == torch.int64


@pytest.mark.parametrize("source_context", [None, [0] * 11, [1] * 11])
def test_labelled_images_of_one_context_are_drawn_as_ever(source_context: list[int] | None) -> None:
    """A plain computation with its own generator: two permutations, then rows of six batches before their views."""
    pair, config = numbered_pair(11, 7, source_context=source_context), AugmentConfig(appearance=True)
    generator = torch.Generator().manual_seed(3)
    augment = Augment(config, flips=False)
    sizes = {"source": 11, "target": 7}
    waiting = {name: torch.randperm(size, generator=generator).tolist() for name, size in sizes.items()}
    batches = loader(pair, 4, 10, config, seed=3)
    for _ in range(3):
        rows: dict[str, list[int]] = {"source": [], "target": []}
        for _ in range(6):
            for name, count in (("source", 4), ("target", 10)):
                while len(waiting[name]) < count:
                    waiting[name] += torch.randperm(sizes[name], generator=generator).tolist()
                rows[name] += waiting[name][:count]
                waiting[name] = waiting[name][count:]
        images = pair.source.images[rows["source"]], pair.target.images[rows["target"]]
        source, target = augment.views(*images, generator)
        for part, batch in enumerate(islice(batches, 6)):
            own, others = slice(4 * part, 4 * part + 4), slice(10 * part, 10 * part + 10)
            labels = torch.tensor([row % 5 for row in rows["source"][own]])
            context = torch.full((4,), 0 if source_context is None else source_context[0])
            views = [Views(*(view[rows] for view in both)) for both, rows in ((source, own), (target, others))]
            assert same(batch, Batch(views[0], labels, context, views[1], torch.full((10,), 1)))


@pytest.mark.parametrize(
    ("side", "together"), [(4, 6), (32, 6), (64, 2), (96, 1), (224, 1)], ids=lambda value: str(value)
)
def test_fewer_batches_of_large_images_are_made_at_once(side: int, together: int) -> None:
    images = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    domains = Domain("s", images, torch.tensor([0, 1])), Domain("t", images)
    pair = DomainPair(name="large", classes=("a", "b"), source=domains[0], target=domains[1])
    batches = loader(pair, 40, 80)
    assert batches.together == together
    assert [len(view) for view in (*next(batches).source, *next(batches).target)] == [40, 40, 80, 80]


def test_every_labelled_context_has_its_share_of_the_batch() -> None:
    """Context 0 has images 1, 4, 7, 9; context 1 none; context 2 images 0, 3; context 3 the others."""
    context = [2, 0, 3, 2, 0, 3, 3, 0, 3, 0, 3, 3, 3]
    stream = loader(numbered_pair(13, 5, tuple("abcde"), context), 8, 5)
    seen: dict[int, list[int]] = {0: [], 2: [], 3: []}
    for batch in islice(stream, 14):
        assert batch.source_context.tolist() == [0, 0, 0, 2, 2, 2, 3, 3]
        assert batch.target_context.tolist() == [4] * 5
        drawn = numbers(batch.source.weak)
        assert [context[number] for number in drawn] == batch.source_context.tolist()
        assert batch.labels.tolist() == [number % 5 for number in drawn]
        for number in drawn:
            seen[context[number]].append(number)
    for index, drawn in seen.items():  # 42, 42 and 28 draws: each context in passes of its own
        own = [number for number in range(13) if context[number] == index]
        whole = len(drawn) // len(own) * len(own)
        assert all(sorted(part.tolist()) == own for part in torch.tensor(drawn[:whole]).split(len(own)))


def test_the_target_may_give_its_contexts_too() -> None:
    pair = numbered_pair(4, 4, tuple("abc"), target_context=[1, 2, 2, 1])
    for batch in islice(loader(pair, 2, 3), 5):
        assert batch.target_context.tolist() == [[1, 2, 2, 1][n - 100] for n in numbers(batch.target.weak)]


def test_one_context_for_both() -> None:
    batch = next(loader(numbered_pair(4, 4, ("all",)), 2, 3))
    assert batch.source_context.tolist() == [0, 0]
    assert batch.target_context.tolist() == [0, 0, 0]


def test_a_batch_too_small_for_its_contexts() -> None:
    pair = numbered_pair(4, 4, tuple("abc"), [0, 0, 1, 2])
    expected = (
        r"train.source_batch: got 2, but the labelled images come from 3 contexts \(a, b, c\); expected at least 3"
    )
    with pytest.raises(DataError, match=expected):
        loader(pair, 2, 3)
    assert next(loader(pair, 3, 3)).source_context.tolist() == [0, 1, 2]


def test_the_same_seed_gives_the_same_batches() -> None:
    pair, config = numbered_pair(20, 30), AugmentConfig(appearance=True)
    first, again, other = (list(islice(loader(pair, 8, 8, config, seed), 4)) for seed in (3, 3, 4))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not any(same(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("context", [None, [0, 1, 0, 2] * 5])
def test_a_saved_loader_continues_bit_for_bit(context: list[int] | None, before: int) -> None:
    """Whether or not batches that were made together are still to come."""
    pair, config = numbered_pair(20, 7, tuple("abc"), context), AugmentConfig(appearance=True)
    original = loader(pair, 8, 8, config)
    list(islice(original, before))
    file = io.BytesIO()
    torch.save(original.state_dict(), file)
    expected = list(islice(original, 6))

    resumed = loader(pair, 8, 8, config, seed=99)
    next(resumed)
    resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    again = loader(pair, 8, 8, config, seed=98)
    again.load_state_dict(resumed.state_dict())  # saved again before it went on
    for each in (resumed, again):
        assert all(same(a, b) for a, b in zip(expected, islice(each, 6), strict=True))


@pytest.mark.parametrize("before", [1, 6, 10, 15, 16])
def test_a_run_goes_on_where_fewer_batches_are_made_at_once(before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a GPU, whose generator has a state of another size, to a CPU."""
    pair = numbered_pair(100, 150)
    monkeypatch.setitem(TOGETHER, "cpu", (16, 2**20))
    original = loader(pair, 3, 5)
    list(islice(original, before))
    state = original.state_dict() | {"augment_generators": [torch.zeros(16, dtype=torch.uint8)]}
    expected = list(islice(original, 16 - before))
    monkeypatch.setitem(TOGETHER, "cpu", (6, 2**20))
    resumed = loader(pair, 3, 5, seed=1)
    resumed.load_state_dict(state)
    again = loader(pair, 3, 5, seed=2)
    again.load_state_dict(resumed.state_dict())
    for each in (resumed, again):
        for one, other in zip(expected, islice(each, 16 - before), strict=True):
            assert numbers(one.source.weak) == numbers(other.source.weak)
            assert numbers(one.target.weak) == numbers(other.target.weak)


def test_a_state_is_not_changed_by_going_on() -> None:
    original = loader(numbered_pair(5, 5), 3, 3)
    state = original.state_dict()
    expected = list(islice(original, 5))
    original.load_state_dict(state)
    assert all(same(a, b) for a, b in zip(expected, islice(original, 5), strict=True))


def as_files(pair: DomainPair) -> DomainPair:
    """The same pair, its training images decoded when they are asked for."""

    def part(domain: Domain) -> Domain:
        images = domain.images
        assert isinstance(images, Tensor)
        return replace(domain, images=Streamed([MemoryImage(images, row) for row in range(len(images))], 4, workers=2))

    return replace(pair, source=part(pair.source), target=part(pair.target))


@pytest.mark.parametrize(("source", "target"), [(20, 30), (3, 5), (64, 7)])
@pytest.mark.parametrize("context", [None, (0, 1, 0, 2)])
def test_decoded_batches_are_those_from_memory(source: int, target: int, context: tuple[int, ...] | None) -> None:
    given = None if context is None else [context[row % 4] for row in range(source)]
    if context is not None and source < 4:
        given = [0, 1, 2]
    pair, config = numbered_pair(source, target, tuple("abc"), given), AugmentConfig(appearance=True)
    held, decoded = loader(pair, 8, 8, config), loader(as_files(pair), 8, 8, config)
    for _ in range(3):
        assert all(same(a, b) for a, b in zip(islice(held, 7), islice(decoded, 7), strict=True))
        state = io.BytesIO()
        torch.save(decoded.state_dict(), state)
        held, decoded = loader(pair, 8, 8, config, seed=5), loader(as_files(pair), 8, 8, config, seed=6)
        next(decoded)  # what is decoded ahead of a state that is not its own does no harm
        for resumed in (held, decoded):
            resumed.load_state_dict(torch.load(io.BytesIO(state.getvalue()), weights_only=True))


def test_looking_ahead_draws_nothing() -> None:
    indices = ShuffledIndices(5, torch.Generator().manual_seed(0))
    before = indices.generator.get_state()
    assert len(indices.upcoming(3)) == 3
    assert len(indices.upcoming(30)) == 5
    assert torch.equal(indices.upcoming(4), indices.take(4))
    assert len(indices.upcoming(4)) == 1
    assert torch.equal(indices.generator.get_state(), before)


def test_the_next_batches_are_decoded_meanwhile() -> None:
    pair = as_files(numbered_pair(100, 100))
    batches = loader(pair, 3, 5)
    next(batches)
    begun = [images._begun.keys() for images in (pair.source.images, pair.target.images)]  # type: ignore[union-attr]
    upcoming = batches.source_indices[0].order[18:54], batches.target_indices.order[30:90]  # six are made at once
    assert [sorted(rows) for rows in begun] == [sorted(rows.tolist()) for rows in upcoming]


def test_where_the_target_is_not_looked_at_none_of_it_is_drawn() -> None:
    batch = next(loader(numbered_pair(6, 4), 3, 0))
    assert [len(view) for view in (*batch.source, *batch.target)] == [3, 3, 0, 0]
    assert len(batch.target_context) == 0


def test_without_strong_views_the_weak_ones_stand_in() -> None:
    pair = numbered_pair(6, 4)
    augment, generator = Augment(AugmentConfig(), flips=False), torch.Generator().manual_seed(0)
    batch = next(
        DomainLoader(pair, augment, source_batch=3, target_batch=2, generator=generator, device=CPU, strong=False)
    )
    for views in (batch.source, batch.target):
        assert views.strong.data_ptr() == views.weak.data_ptr()  # the same, not as much again


def test_contexts_that_are_no_domains_change_the_order_within_a_batch_and_nothing_else() -> None:
    plain = numbered_pair(12, 6)
    grouped = replace(numbered_pair(12, 6, ("a", "b"), [1, 0] * 6, [1, 1, 0, 0, 1, 0]), context_kind="cluster")
    for first, second in islice(zip(loader(plain, 5, 4), loader(grouped, 5, 4), strict=True), 6):
        assert sorted(numbers(first.source.weak)) == sorted(numbers(second.source.weak))
        assert sorted(numbers(first.target.weak)) == sorted(numbers(second.target.weak))
        shown = numbers(second.source.weak)
        assert second.source_context.tolist() == sorted(1 - n % 2 for n in shown) == [1 - n % 2 for n in shown]
        assert second.labels.tolist() == [n % 5 for n in shown]
