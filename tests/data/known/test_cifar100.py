import torch

from dacn.data.domain import Domain
from dacn.data.known.cifar100 import with_superclasses
from dacn.data.known.superclasses import CIFAR100_SUPERCLASSES as SUPERCLASSES


def test_twenty_superclasses_of_five_in_alphabetical_order() -> None:
    assert list(SUPERCLASSES) == sorted(SUPERCLASSES)
    assert len(SUPERCLASSES) == 20
    assert {len(names) for names in SUPERCLASSES.values()} == {5}
    assert len({name for names in SUPERCLASSES.values() for name in names}) == 100


def test_a_fine_label_becomes_its_superclass() -> None:
    names = tuple(sorted(name for names in SUPERCLASSES.values() for name in names))
    rows = torch.tensor([names.index("apple"), names.index("shark"), names.index("tractor")])
    domain = with_superclasses(Domain("cifar100", torch.zeros(3, 3, 8, 8, dtype=torch.uint8), rows, names))
    assert domain.labels is not None
    assert domain.classes is not None
    assert [domain.classes[label] for label in domain.labels.tolist()] == ["fruit_and_vegetables", "fish", "vehicles_2"]
