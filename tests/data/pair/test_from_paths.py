"""A pair given as paths: the same as a recipe's of these folders and archives."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dacn.data.domain import DomainPair
from dacn.data.pair.config import DataConfig
from dacn.data.pair.pairs import build_pair
from dacn.data.read.folder import folder
from dacn.errors import DataError
from tests.cli.test_mistakes import draw


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "photos", ("cat", "dog"))
    draw(tmp_path / "sketches", ("dog", "cat"), seed=1)
    draw(tmp_path / "flat", (), count=5, seed=2)
    np.savez("more.npz", images=np.zeros((4, 20, 20, 3), np.uint8), labels=[0, 1, 0, 1], classes=["cat", "dog"])
    return tmp_path


def test_all_of_them_are_read_as_a_recipes_data_are(work: Path) -> None:
    pair = DomainPair(source="photos", target=Path("flat"), target_test="sketches", flips=True, image_size=16)
    tree = {"source": {"folder": "photos"}, "target": {"folder": "flat"}, "target_test": {"folder": "sketches"}}
    like = build_pair(DataConfig.model_validate(tree | {"image_size": 16}))
    assert (pair.name, pair.classes, pair.flips) == ("photos_flat", ("cat", "dog"), True)
    assert pair.target.labels is None
    assert pair.target_test is not None
    for name in ("source", "target", "target_test"):
        mine, theirs = pair.domains[name], like.domains[name]
        assert torch.equal(mine.images[:], theirs.images[:]), name
        assert mine.labels is theirs.labels is None or torch.equal(mine.labels, theirs.labels), name
    assert pair.source.images.shape == (6, 3, 16, 16)


def test_the_size_is_chosen_where_it_is_not_given(work: Path) -> None:
    config = DataConfig.model_validate({"source": {"folder": "photos"}, "target": {"folder": "flat"}})
    pair = DomainPair(source="photos", target="flat")
    assert pair.source.images.shape == build_pair(config).source.images.shape


def test_beside_a_domain_they_have_its_size(work: Path) -> None:
    pair = DomainPair(source=folder("photos", 24), target="flat", source_test="more.npz")
    assert {part.images.shape[2:] for part in pair.domains.values()} == {(24, 24)}
    assert pair.source_test is not None
    assert len(pair.source_test) == 4


def test_what_is_not_there_is_named(work: Path) -> None:
    with pytest.raises(DataError, match=r"data.source: .*potos: no such folder"):
        DomainPair(source="potos", target="flat")
    with pytest.raises(DataError, match="image_size: "):
        DomainPair(source="photos", target="flat", image_size=-3)
