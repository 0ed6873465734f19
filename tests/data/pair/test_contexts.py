"""Contexts other than the domain: what each image gets, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from dacn.data.domain import Domain, DomainPair
from dacn.data.known.superclasses import CIFAR100_SUPERCLASSES
from dacn.data.pair.contexts import CONTEXTS, ClusterContext, RandomContext, SuperclassContext, with_contexts
from dacn.data.pair.pairs import DataConfig
from dacn.data.views.augment import to_input
from dacn.errors import DataError
from tests import made_up
from tests.data.own_sets import colours, read


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contexts(domain: Domain | None) -> list[int] | None:
    return None if domain is None or domain.context is None else domain.context.tolist()


def animals(here: Path, **context: Any) -> DomainPair:
    names = ("cat", "dog", "car")
    train = colours("train", [0, 1, 2, 2, 0], level=0, classes=names)
    test = colours("test", [2, 1, 0], level=100, classes=names)
    return read(dataset=train, target_test=test, context=context)


def test_the_domain_is_the_context_unless_told_otherwise() -> None:
    pair = made_up.pair()
    assert with_contexts(CONTEXTS["domain"][1](), pair) is pair
    assert DataConfig(pair="digits").context.name == DataConfig(pair="digits", context="domain").context.name
    assert pair.by_domain
    assert not pair.leaks


def test_groups_of_classes_leak_and_the_unlabelled_part_has_none(here: Path) -> None:
    pair = animals(here, name="superclass", groups={"animal": ["dog", "cat"], "vehicle": ["car"]})
    assert pair.contexts == ("animal", "vehicle")
    assert contexts(pair.source) == [0, 0, 1, 1, 0]
    assert contexts(pair.target_test) == [1, 0, 0]
    assert pair.target.context is None  # it has no labels to derive them from
    assert (pair.context_kind, pair.leaks, pair.context_net) == ("superclass", True, None)


def test_a_file_of_classes_is_the_same_from_outside(here: Path) -> None:
    (here / "groups.csv").write_text("cat,pet\ncar, thing\n\ndog,pet\n")
    pair = animals(here, name="file", path="groups.csv")
    assert pair.contexts == ("pet", "thing")
    assert contexts(pair.source) == [0, 0, 1, 1, 0]
    assert (pair.context_kind, pair.leaks) == ("file", True)


def test_a_file_of_single_images_reaches_every_part(here: Path) -> None:
    np.savez("c.npz", source=[0, 2, 1, 0, 0], target=[1, 1, 1, 0, 0], target_test=[0, 1, 0])
    pair = animals(here, name="file", path="c.npz")
    assert pair.contexts == ("context0", "context1", "context2")
    assert contexts(pair.source) == [0, 2, 1, 0, 0]
    assert contexts(pair.target) == [1, 1, 1, 0, 0]
    assert contexts(pair.target_test) == [0, 1, 0]
    assert not pair.leaks


def test_cifar_100s_superclasses_hold_every_class_once() -> None:
    names = [name for group in CIFAR100_SUPERCLASSES.values() for name in group]
    assert len(CIFAR100_SUPERCLASSES) == 20
    assert len(set(names)) == len(names) == 100
    images, labels = torch.zeros(100, 3, 8, 8, dtype=torch.uint8), torch.arange(100)
    domain = Domain("cifar100", images, labels, tuple(sorted(names)))
    pair = with_contexts(SuperclassContext(), DomainPair(source=domain, target=domain, target_test=domain))
    assert pair.num_contexts == 20
    assert torch.equal(pair.source.context.bincount(), torch.full((20,), 5))  # type: ignore[union-attr]
    assert pair.contexts[int(pair.source.context[sorted(names).index("tiger")])] == "large_carnivores"  # type: ignore[index]


def test_random_contexts_depend_on_their_seed_alone() -> None:
    pair = made_up.pair(count=200)
    a, b = (with_contexts(RandomContext(count=4, seed=1), pair) for _ in range(2))
    assert contexts(a.source) == contexts(b.source) != contexts(a.target)
    assert contexts(with_contexts(RandomContext(count=4, seed=2), pair).source) != contexts(a.source)
    assert a.source.context is not None
    assert a.source.context.bincount().min() > 30
    assert a.num_contexts == 4


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
@pytest.mark.parametrize("on", ["images", "features"])
def test_clusters_find_what_differs_and_an_image_keeps_its_own(method: str, on: str) -> None:
    pair = made_up.pair(count=60)  # reds and blues
    clustered = with_contexts(ClusterContext(count=2, method=method, on=on, components=8), pair)
    source, target = clustered.source.context, clustered.target.context
    assert source is not None
    assert target is not None
    together = torch.cat([source, target])
    assert together.bincount(minlength=2).min() >= 10
    assert clustered.context_net is not None
    rows = clustered.context_net(to_input(pair.target.images)).argmax(dim=1)
    assert torch.equal(rows, target)  # what is known in training is what an image tells
    again = with_contexts(ClusterContext(count=2, method=method, on=on, components=8), pair)
    assert torch.equal(source, again.source.context)  # type: ignore[arg-type]
    assert clustered.contexts == ("cluster0", "cluster1")
    assert not clustered.leaks


def test_contexts_change_nothing_else(here: Path) -> None:
    plain = animals(here, name="domain")
    clustered = animals(here, name="cluster", count=2)
    for name in ("source", "target", "target_test"):
        assert torch.equal(getattr(plain, name).images, getattr(clustered, name).images)
    assert torch.equal(plain.source.labels, clustered.source.labels)  # type: ignore[arg-type]
    assert (clustered.name, clustered.classes, clustered.flips) == (plain.name, plain.classes, plain.flips)
    assert clustered.target.labels is None


def test_what_does_not_fit_is_refused(here: Path) -> None:
    def refused(message: str, **context: Any) -> None:
        with pytest.raises(DataError, match=message):
            animals(here, **context)

    refused("no class 'beaver'.*these are CIFAR-100's superclasses, name your own by data", name="superclass")
    refused(
        "data.context.groups: train has no class 'cart'; did you mean 'c",
        name="superclass",
        groups={"a": ["cat", "dog"], "b": ["cart"]},
    )
    refused("'dog' stands in two groups", name="superclass", groups={"a": ["cat", "dog"], "b": ["car", "dog"]})
    refused("no context for 'car'; expected one for each class", name="superclass", groups={"a": ["cat", "dog"]})
    refused("3 different images|data.context.count: 9 clusters", name="cluster", count=9)
    refused("data.context.path: no.csv: no such file", name="file", path="no.csv")
    (here / "bad.csv").write_text("cat,a,b\n")
    refused("bad.csv: expected lines `class,context`", name="file", path="bad.csv")
    (here / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    refused("bytes.csv: not a text file", name="file", path="bytes.csv")
    np.savez("short.npz", source=[0, 1], target=[0] * 5, target_test=[0] * 3)
    refused(
        r"short.npz: expected an array 'source' of 5 indices from 0, got int64 of shape \(2,\)",
        name="file",
        path="short.npz",
    )
    np.savez("none.npz", source=[0] * 5)
    refused("expected an array 'target' of 5 indices from 0, got none", name="file", path="none.npz")
    np.savez("vast.npz", source=[10**9] * 5, target=[0] * 5, target_test=[0] * 3)
    refused("expected at most 1000 contexts", name="file", path="vast.npz")
    np.savez("objects.npz", source=np.array([{}], dtype=object))
    refused("not an .npz of plain arrays", name="file", path="objects.npz")
    with pytest.raises(ValidationError, match="context"):
        DataConfig(pair="digits", context="domains")
