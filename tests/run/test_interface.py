"""What a checkpoint says of its network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dacn.data.domain import DomainPair
from dacn.data.values import ValueRange
from dacn.errors import DataError
from dacn.models.build import ModelConfig, build_model
from dacn.run.interface import Interface, interface_of, read_interface, require_same_range
from tests import made_up

WHOLE = {"classes": ["a", "b"], "contexts": ["source", "target"], "trained": [0, 1], "image_size": [8, 8]}
WHOLE |= {"fits": ["crop", "digits"], "context_from": "domain"}
NETWORK = build_model(ModelConfig(backbone={"name": "small_cnn", "width": 4}), 2, 2)


def test_a_pair_s_interface_is_plain_values_and_back() -> None:
    pair = replace(made_up.pair(), source=replace(made_up.domain("reds", 8, seed=0, tint=0), fit="digits"), fits=())
    interface = interface_of(pair, NETWORK, uses_target=True)
    plain = interface.model_dump(mode="json")
    assert plain == {
        "classes": ["class0", "class1"],
        "contexts": ["source", "target"],
        "resize_size": None,
        "context_from": "domain",
        "trained": [0, 1],
        "image_size": [16, 16],
        "fits": ["digits", "crop"],
        "value_range": None,
    }
    assert read_interface(Path("last.pt"), {"network": plain}) == interface


def test_contexts_that_training_does_not_see() -> None:
    assert interface_of(made_up.pair(), NETWORK, uses_target=False).trained == (0,)
    source = made_up.domain("both", 6, seed=0, tint=0)
    oracle = replace(source, context=torch.ones(6, dtype=torch.int64))
    pair = DomainPair(source=oracle, target=source, classes=("a", "b"))
    assert interface_of(pair, NETWORK, uses_target=False).trained == (1,)
    several = replace(source, context=torch.arange(6) % 2)
    pair = DomainPair(source=several, target=source, classes=("a", "b"), contexts=("x", "y", "target"))
    assert interface_of(pair, NETWORK, uses_target=False).trained == (0, 1)
    assert interface_of(pair, NETWORK, uses_target=True).trained == (0, 1, 2)


def test_a_checkpoint_of_an_older_dacn() -> None:
    with pytest.raises(DataError) as error:
        read_interface(Path("runs/x/last.pt"), {"model": {}})
    assert str(error.value) == (
        "runs/x/last.pt: does not say which classes it knows; it is of an older dacn, train anew"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"classes": []}, "network.classes: Tuple should have at least 1 item"),
        ({"classes": ["a", "\x1b[2J"]}, "'\\x1b[2J' cannot be printed"),
        ({"contexts": 3}, "network.contexts: Input should be a valid tuple"),
        ({"trained": [2]}, "trained contexts (2,), but there are 2"),
        ({"fits": ["crop"]}, "1 fits, but there are 2 contexts"),
        ({"fits": ["crop", "other"]}, "network.fits.1: Input should be 'crop'"),
        ({"image_size": [8, 10**9]}, "network.image_size.1: Input should be less than or equal to 65536"),
        ({"more": 1}, "network.more: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_one(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as error:
        read_interface(Path("last.pt"), {"network": WHOLE | changes})
    assert str(error.value).startswith("last.pt: damaged, or of another dacn (network")
    assert text in str(error.value)


def test_an_entry_that_is_no_mapping() -> None:
    with pytest.raises(DataError, match=r"last.pt: damaged, or of another dacn \(network: Input should be"):
        read_interface(Path("last.pt"), {"network": 3})
    assert Interface.model_validate(WHOLE).classes == ("a", "b")


def test_a_range_of_values_survives_as_plain_values() -> None:
    pair = made_up.pair()
    ranged = replace(pair, source=replace(pair.source, value_range=ValueRange(0, 4095, stated=False)))
    plain = interface_of(ranged, NETWORK, uses_target=True).model_dump(mode="json")
    assert plain["value_range"] == [0, 4095, False]
    saved = {"network": plain}
    assert read_interface(Path("a.pt"), saved).value_range == ValueRange(0, 4095, stated=False)
    require_same_range(Path("a.pt"), saved, pair)  # nothing in it is deep
    other = replace(pair, target=replace(pair.target, value_range=ValueRange(0, 255)))
    with pytest.raises(DataError, match=r"a.pt: was trained on values read as 0 to 4095, .* 0 to 255 now; bring back"):
        require_same_range(Path("a.pt"), saved, other)
    with pytest.raises(DataError, match="value_range 5 to 5 is empty"):
        read_interface(Path("a.pt"), {"network": {**plain, "value_range": [5, 5, True]}})
