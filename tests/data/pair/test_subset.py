import pytest
import torch

from dacn.data.domain import Domain
from dacn.data.pair.subset import balanced_subset, join, joined_name, long_tailed_subset, share_among
from dacn.errors import DataError


def numbered(labels: list[int], name: str = "a", start: int = 0) -> Domain:
    """Every pixel of image i is start + i."""
    images = (start + torch.arange(len(labels))).byte().view(-1, 1, 1, 1).repeat(1, 3, 2, 2)
    return Domain(name, images, torch.tensor(labels), ("x", "y", "z"))


def draw(domain: Domain, counts: list[int], seed: int = 0) -> list[int]:
    subset = balanced_subset("labels", domain, "xyz", counts, seed)
    assert subset.labels is not None
    assert domain.labels is not None
    rows = [int(row) for row in subset.images[:, 0, 0, 0].tolist()]
    assert subset.labels.tolist() == [int(domain.labels[row]) for row in rows]
    return rows


@pytest.mark.parametrize("total", [3, 4, 5, 6, 250])
def test_shares_differ_by_one_at_most(total: int) -> None:
    shares = share_among(total, numbered([0]), "xyz")
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


def test_fewer_images_than_classes() -> None:
    with pytest.raises(
        DataError, match=r"data\.labels: got 2, but a has 3 classes; expected at least one image of each"
    ):
        share_among(2, numbered([0]), "xyz")


def test_every_class_has_its_count_and_no_image_comes_twice() -> None:
    labels = [0, 1, 2, 1, 1, 0, 2, 2, 2, 0]
    for seed in range(20):
        rows = draw(numbered(labels), [2, 3, 1], seed)
        assert sorted(labels[row] for row in rows) == [0, 0, 1, 1, 1, 2]
        assert len(set(rows)) == 6


def test_the_draw_is_uniform_follows_from_the_seed_and_grows() -> None:
    domain = numbered([0, 1, 2] * 6)
    assert draw(domain, [2, 2, 2], 5) == draw(domain, [2, 2, 2], 5)
    times = torch.zeros(18)
    for seed in range(300):
        few, more = (draw(domain, [count] * 3, seed) for count in (2, 4))
        assert set(few) < set(more)
        times[few] += 1
    assert 60 < times.min() <= times.max() < 140  # 100 expected


def test_later_classes_are_ever_rarer() -> None:
    labels = [2, 0, 1] * 80
    thin = long_tailed_subset(numbered(labels), 3, 100, seed=0)
    assert thin.labels is not None
    assert torch.bincount(thin.labels).tolist() == [80, 8, 1]
    rows = [int(row) for row in thin.images[:, 0, 0, 0].tolist()]
    assert thin.labels.tolist() == [labels[row] for row in rows]
    assert rows == sorted(rows)
    again, other = (long_tailed_subset(numbered(labels), 3, 100, seed=seed) for seed in (0, 1))
    assert torch.equal(again.images, thin.images)
    assert not torch.equal(other.images, thin.images)
    few = long_tailed_subset(numbered([0, 1, 2]), 3, 1000, seed=0)
    assert len(few) == 3, "one of each stays"


def test_the_draw_leaves_torchs_own_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    draw(numbered([0, 1, 2]), [1, 1, 1])
    assert torch.equal(torch.rand(3), expected)


def test_a_class_with_too_few_images_is_named() -> None:
    expected = r"data\.labels: 2 images of class 'z' are called for, but a has 1; lower data\.labels"
    with pytest.raises(DataError, match=expected):
        draw(numbered([0, 0, 1, 1, 2]), [2, 2, 2])


def test_joined_domains_know_their_contexts() -> None:
    joined = join([(0, numbered([0, 1], "a")), (2, numbered([2], "b", 50)), (1, numbered([1], "a", 90))])
    assert joined.name == "a+b"
    assert joined.classes == ("x", "y", "z")
    assert joined.images[:, 0, 0, 0].tolist() == [0, 1, 50, 90]
    assert joined.labels is not None
    assert joined.labels.tolist() == [0, 1, 2, 1]
    assert joined.context is not None
    assert joined.context.tolist() == [0, 0, 2, 1]
    assert joined.context.dtype == torch.int64


def test_one_domain_is_left_as_it_is_unless_its_context_is_another() -> None:
    domain = numbered([0, 1])
    assert join([(0, domain)]) is domain
    other = join([(1, domain)])
    assert other.context is not None
    assert other.context.tolist() == [1, 1]
    assert joined_name([domain, domain]) == "a"
