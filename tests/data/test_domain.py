import pytest
import torch

from dacn.data.domain import Domain, DomainPair
from dacn.errors import DataError


def domain(
    name: str = "photos", *, count: int = 3, size: int = 8, labels: bool = True, classes=("a", "b", "c"), context=None
) -> Domain:
    given = torch.arange(count) % 3 if labels else None
    return Domain(
        name,
        torch.zeros(count, 3, size, size, dtype=torch.uint8),
        given,
        classes,
        None if context is None else torch.tensor(context),
    )


def test_name_and_classes_follow_from_the_domains():
    pair = DomainPair(source=domain(), target=domain("sketches"))
    assert (pair.name, pair.classes) == ("photos_sketches", ("a", "b", "c"))


def test_target_training_labels_are_dropped_and_nothing_else():
    pair = DomainPair(source=domain(), target=domain("sketches"), target_test=domain("sketches"))
    assert pair.target.labels is None
    assert pair.source.labels is not None
    assert pair.target_test is not None
    assert pair.target_test.labels is not None
    assert pair.to(torch.device("cpu")).target.labels is None


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"source": domain(labels=False)}, "photos has no labels, and only the target's training set may lack them"),
        ({"target_test": domain("test", labels=False)}, "test has no labels"),
        ({"source": domain(classes=None)}, r"photos does not name its classes; give classes=\(...\)"),
        ({"target_test": domain("test", classes=("b", "a", "c"))}, "the classes of test are b, a, c; expected a, b, c"),
        (
            {"target": domain("big", size=9)},
            r"big has images of \(9, 9\) pixels, photos of \(8, 8\); set data.image_size",
        ),
        (
            {"source": domain(context=(0, 1, 2))},
            "contexts of photos run from 0 to 2, but there are 2: source, target",
        ),
        ({"target_test": domain("test", context=(-1, 0, 0))}, "contexts of test run from -1 to 0"),
        ({"contexts": ()}, r"contexts must be different names, at least one, got \(\)"),
        ({"contexts": ("a", "a")}, "contexts must be different names, at least one, got"),
        ({"classes": ("a", "b"), "source": domain(classes=None)}, "labels of photos run from 0 to 2, but there are 2"),
    ],
)
def test_what_does_not_fit_is_named(parts, message):
    with pytest.raises(DataError, match=message):
        DomainPair(**({"source": domain(), "target": domain("sketches", labels=False)} | parts))


def test_a_domain_checks_its_images():
    with pytest.raises(DataError, match=r"x: images must be uint8 of shape \(N, 3, H, W\), got torch.float32"):
        Domain("x", torch.zeros(1, 3, 8, 8))
    with pytest.raises(DataError, match="x: there are no images"):
        Domain("x", torch.zeros(0, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(DataError, match="x: 2 images but labels of shape"):
        Domain("x", torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))


def test_a_domain_has_the_contexts_that_it_gives_or_one_for_all():
    given = domain(context=(1, 0, 1))
    assert given.context_or(5).tolist() == [1, 0, 1]
    assert given.unlabelled().context_or(5).tolist() == [1, 0, 1]
    assert domain().context_or(5).tolist() == [5, 5, 5]
    assert domain().context_or(5).dtype == torch.int64
    moved = given.to(torch.device("meta"))
    assert moved.context is not None
    assert moved.context.device.type == "meta"
    with pytest.raises(DataError, match=r"photos: 3 images but contexts of shape \(2,\)"):
        domain(context=(0, 1))


def test_a_pair_counts_its_contexts_and_the_last_is_the_targets():
    pair = DomainPair(source=domain(), target=domain())
    assert (pair.contexts, pair.num_contexts, pair.target_context, pair.oracle) == (("source", "target"), 2, 1, False)
    pair = DomainPair(source=domain(context=(0, 1, 1)), target=domain(), contexts=("a", "b", "c"), oracle=True)
    assert (pair.num_contexts, pair.target_context) == (3, 2)
    moved = pair.to(torch.device("cpu"))
    assert (moved.contexts, moved.oracle) == (("a", "b", "c"), True)
    assert moved.source.context_or(2).tolist() == [0, 1, 1]
    pair = DomainPair(source=domain(), target=domain(), contexts=("all",))
    assert (pair.num_contexts, pair.target_context) == (1, 0)


def test_a_short_word_on_a_domain_and_on_a_pair():
    assert repr(domain(count=1200)) == "<Domain photos: 1,200 labelled images of 8x8, 3 classes (a, b, c)>"
    assert repr(domain(labels=False, classes=None)) == "<Domain photos: 3 unlabelled images of 8x8>"
    pair = DomainPair(source=domain(), target=domain("sketches"), target_test=domain("tests", count=5))
    assert repr(pair) == (
        "<DomainPair photos_sketches: 3 classes (a, b, c); images of 8x8; source: 3 labelled (photos); "
        "target: 3 unlabelled (sketches); target_test: 5 labelled (tests)>"
    )
    several = DomainPair(
        source=domain(context=[0, 1, 0], classes=tuple("abcd")), target=domain("t"), contexts=("x", "y", "target")
    )
    assert "4 classes (a, b, c, ...)" in repr(several)
    assert repr(several).endswith("; contexts: x, y, target>")
