"""Labels of the target's training images: nobody who trains, evaluates or reports can reach them."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from dacn.algorithms import ALGORITHMS
from dacn.data.domain import Domain, DomainPair
from dacn.recipe.recipe import parse_recipe
from dacn.run.run import train_recipe
from tests import made_up


class Secret:
    """Raises whatever is done with it."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise AssertionError(f"someone looked at the target's labels: {name}")

    def __bool__(self) -> NoReturn:
        raise AssertionError("someone asked whether the target has labels")

    def __len__(self) -> NoReturn:
        raise AssertionError("someone counted the target's labels")


def pair_with_secret() -> DomainPair:
    plain = made_up.pair()
    target = made_up.domain("blues", 24, seed=1, tint=2)
    object.__setattr__(target, "labels", Secret())
    return replace(plain, target=target)


def test_the_secret_is_one() -> None:
    target = made_up.domain("blues", 24, seed=1, tint=2)
    object.__setattr__(target, "labels", Secret())
    for touch in (lambda: target.labels.shape, lambda: target.to(torch.device("cpu")), lambda: bool(target.labels)):
        with pytest.raises(AssertionError, match="someone"):
            touch()
    assert pair_with_secret().target.labels is None


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_trains_and_reports_without_them(tmp_path: Path, algorithm: str) -> None:
    tree: dict[str, Any] = {
        "algorithm": algorithm,
        "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": "cn"},
        "train": {"steps": 2, "source_batch": 4, "target_ratio": 2},
        "evaluate": {"every": 1},
    }
    summary = train_recipe(parse_recipe(tree, "test"), out=tmp_path, device="cpu", pair=pair_with_secret())
    assert summary["steps"] == 2
    assert summary["target"]["last"] is not None  # the test set has labels, to report


def test_the_pair_cannot_be_built_around_the_rule() -> None:
    pair = made_up.pair()
    again = replace(pair, target=made_up.domain("blues", 24, seed=1, tint=2)).to(torch.device("cpu"))
    assert again.target.labels is None
    assert isinstance(again.target, Domain)
