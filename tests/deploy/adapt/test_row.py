"""A context more, for every kind of norm."""

from pathlib import Path

import pytest
import torch

from dacn.data.known.digits import digits
from dacn.deploy.adapt.row import context_layers, with_row, with_row_alone
from dacn.deploy.loading import load_run
from tests.trained import SMALL, a_run


@pytest.mark.parametrize("norm", ["acn", "acn_base", "bn", "cn", {"name": "cn", "affine": "none"}, "gn"])
def test_known_contexts_are_what_they_were(tmp_path: Path, norm: object) -> None:
    inside = norm if norm != "acn_base" else "cn"
    network = load_run(a_run(tmp_path, SMALL | {"input_norm": norm, "norm": inside}), device="cpu")
    images = digits(16).target.images[:9]
    wider = with_row(network, "new")
    assert wider.contexts == ("source", "target", "new")
    assert wider.interface.trained == (0, 1, 2)
    for context in ("source", "target"):
        before, after = network.predict(images, context), wider.predict(images, context)
        if norm == "bn":
            torch.testing.assert_close(after, before, atol=1e-6, rtol=0)
        else:
            assert torch.equal(after, before)
    torch.testing.assert_close(wider.predict(images, "new"), network.predict(images, "source"), atol=1e-6, rtol=0)


def test_a_row_alone(tmp_path: Path) -> None:
    network = load_run(a_run(tmp_path), device="cpu")
    wider = with_row(network, "new")
    with torch.no_grad():
        for layer in context_layers(wider.model).values():
            layer.running_mean[2] += 0.3
    alone = with_row_alone(wider)
    assert alone.contexts == ("new",)
    images = digits(16).target.images[:9]
    assert torch.equal(alone.predict(images), wider.predict(images, "new"))
    assert not torch.equal(alone.predict(images), network.predict(images, "source"))
