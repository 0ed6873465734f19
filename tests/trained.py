"""A run folder as training leaves it, made without training: its network has seen a few batches of the digits."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from dacn.data.domain import DomainPair
from dacn.data.known.digits import digits
from dacn.models.build import build_model
from dacn.nn import ContextNorm
from dacn.recipe.recipe import parse_recipe
from dacn.run.interface import interface_of
from dacn.run.origin import origin_of
from dacn.trainer.checkpoint import save_checkpoint

SMALL = {"backbone": {"name": "small_cnn", "width": 4}}


def a_run(
    out: Path,
    model: dict[str, Any] | None = None,
    *,
    pair: DomainPair | None = None,
    uses_target: bool = True,
    flips: bool = False,
) -> Path:
    """Write recipe.yaml and a selected checkpoint to ``out``.

    Args:
        model: of the recipe.
        pair: what to show the network, and then no data stand in the recipe; by default the digits at 16 pixels.
        uses_target: whether target images are shown too.
        flips: whether test images are shown mirrored too.
    """
    shown = pair or digits(16)
    data = {"data": {"pair": "digits", "image_size": 16}} if pair is None else {}
    tree: dict[str, Any] = {"name": "tiny", "seed": 3, "model": model or SMALL, **data}
    tree["evaluate"] = {"batch_size": 7, "flips": flips}
    recipe = parse_recipe(tree, "test")
    torch.manual_seed(0)
    network = build_model(recipe.model, len(shown.classes), shown.num_contexts).train()
    parts = [(shown.source, 0)] + [(shown.target, shown.target_context)] * uses_target
    for start in (0, 16):
        images = torch.cat([domain.images[start : start + 16] for domain, _ in parts])
        context = torch.cat([domain.context_or(index)[start : start + 16] for domain, index in parts])
        network((images.float() - 127.5) / 128, context)
    for layer in network.modules():
        if isinstance(layer, ContextNorm | nn.BatchNorm2d) and layer.weight is not None:
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
    interface = interface_of(shown, network, uses_target=uses_target)
    state: dict[str, Any] = {"origin": origin_of(recipe), "network": interface.model_dump(mode="json")}
    state |= {"step": 12, "model": network.state_dict()}
    save_checkpoint(out / "checkpoints" / "selected.pt", state)
    (out / "recipe.yaml").write_text(recipe.to_yaml())
    return out
