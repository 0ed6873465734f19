"""What the doctor says of backbones from elsewhere, with no images at hand and no network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dacn.doctor.data_checks import pretrained_weights_see_enough
from dacn.doctor.diagnose import diagnose
from dacn.doctor.recipe_checks import pretrained_weights_move_slowly
from dacn.errors import DataError, RecipeError
from dacn.recipe.recipe import Recipe
from tests import made_up
from tests.doctor.examined import recipe

FILE = {"name": "torchvision", "arch": "squeezenet1_1", "pretrained": Path("no.pt"), "where": []}


def photographs(root: Path, backbone: dict[str, Any], **parts: Any) -> Recipe:
    """Return a recipe whose images are not there."""
    return recipe(data={"pair": "mnist_usps", "root": str(root)}, model={"backbone": backbone, "norm": "cn"}, **parts)


def test_a_backbone_is_built_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"model\.backbone\.pretrained: no\.pt: there is no such file"):
        diagnose(photographs(tmp_path, FILE))
    with pytest.raises(RecipeError, match="cannot import no_such_nets"):
        diagnose(photographs(tmp_path, {"python": "no_such_nets:tiny"}))
    found = diagnose(photographs(tmp_path, FILE | {"pretrained": True}))  # which is not downloaded
    assert [name for name, _ in found.findings if name == "data"] == ["data"]


@pytest.mark.parametrize(
    ("optimizer", "told"),
    [
        ({"name": "sgd", "lr": 0.01}, True),
        ({"name": "adamw", "lr": 1e-3}, True),
        ({"name": "sgd", "lr": 0.01, "backbone_lr": 0.1}, False),
        ({"name": "adamw", "lr": 1e-3, "layer_decay": 0.75}, False),
        ({"name": "sgd", "lr": 1e-3}, False),
    ],
)
def test_pretrained_weights_at_the_heads_rate(optimizer: dict[str, Any], told: bool, tmp_path: Path) -> None:
    findings = [*pretrained_weights_move_slowly(photographs(tmp_path, FILE, optimizer=optimizer))]
    assert [finding.key for finding in findings] == ["optimizer.backbone_lr"] * told
    fresh = photographs(tmp_path, FILE | {"pretrained": False}, optimizer=optimizer)
    assert not [*pretrained_weights_move_slowly(fresh)]


@pytest.mark.parametrize(("side", "file", "told"), [(64, 160, True), (64, 64, False), (96, 160, False)])
def test_pretrained_weights_at_tiny_sizes(side: int, file: int, told: bool, tmp_path: Path) -> None:
    pair = made_up.pair(classes=2, size=side, count=2)
    pair = replace(pair, source=replace(pair.source, file_size=(file, file + 9)))
    findings = [*pretrained_weights_see_enough(photographs(tmp_path, FILE), pair)]
    assert [finding.key for finding in findings] == ["data.image_size"] * told
    assert not told or f"see images of {side}x{side}" in findings[0].what
    fresh = photographs(tmp_path, FILE | {"pretrained": False})
    assert not [*pretrained_weights_see_enough(fresh, pair)]
