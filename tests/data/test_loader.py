import io
from itertools import islice

import torch
from torch import Tensor

from dacn.batch import Batch
from dacn.data.augment import Augment, AugmentConfig
from dacn.data.domain import Domain, DomainPair
from dacn.data.loader import DomainLoader, ShuffledIndices

CPU = torch.device("cpu")
STILL = AugmentConfig(shift=0, operations=0, cutout=0)


def numbered_pair(source: int, target: int) -> DomainPair:
    """Every pixel of source image i is i, of target image i it is 100 + i; label i is i modulo 5."""
    numbers = [torch.arange(source), 100 + torch.arange(target)]
    images = [n.byte().view(-1, 1, 1, 1).repeat(1, 3, 4, 4) for n in numbers]
    labelled = Domain("s", images[0], torch.arange(source) % 5)
    return DomainPair(name="numbered", classes=tuple("abcde"), source=labelled, target=Domain("t", images[1]))


def loader(pair: DomainPair, source: int, target: int, config: AugmentConfig = STILL, seed: int = 0) -> DomainLoader:
    augment = Augment(config, flips=pair.flips, grey_source=pair.source.grey)
    generator = torch.Generator().manual_seed(seed)
    return DomainLoader(pair, augment, source_batch=source, target_batch=target, generator=generator, device=CPU)


def numbers(images: Tensor) -> list[int]:
    """Which images these are, read from their pixels."""
    return (images[:, 0, 0, 0] * 128 + 127.5).round().long().tolist()


def same(first: Batch, second: Batch) -> bool:
    pairs = zip(
        [*first.source, *first.target, first.labels], [*second.source, *second.target, second.labels], strict=True
    )
    return all(torch.equal(a, b) for a, b in pairs)


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
    assert batch.source.weak.is_contiguous(memory_format=torch.channels_last)


def test_the_same_seed_gives_the_same_batches() -> None:
    pair, config = numbered_pair(20, 30), AugmentConfig(appearance=True)
    first, again, other = (list(islice(loader(pair, 8, 8, config, seed), 4)) for seed in (3, 3, 4))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not any(same(a, b) for a, b in zip(first, other, strict=True))


def test_a_saved_loader_continues_bit_for_bit() -> None:
    pair, config = numbered_pair(20, 7), AugmentConfig(appearance=True)
    original = loader(pair, 8, 8, config)
    list(islice(original, 4))
    file = io.BytesIO()
    torch.save(original.state_dict(), file)
    expected = list(islice(original, 6))

    resumed = loader(pair, 8, 8, config, seed=99)
    next(resumed)
    resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert all(same(a, b) for a, b in zip(expected, islice(resumed, 6), strict=True))


def test_a_state_is_not_changed_by_going_on() -> None:
    original = loader(numbered_pair(5, 5), 3, 3)
    state = original.state_dict()
    expected = list(islice(original, 5))
    original.load_state_dict(state)
    assert all(same(a, b) for a, b in zip(expected, islice(original, 5), strict=True))
