"""A method from outside the package: its config, its class, and the public pieces that train it."""

from pathlib import Path
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from pydantic import Field

from dacn.algorithms import Algorithm, Losses
from dacn.batch import Batch
from dacn.config import Config
from dacn.models.build import build_model
from dacn.recipe.recipe import parse_recipe
from dacn.run.build import build_trainer
from dacn.trainer.tracking import Tracker
from tests import made_up

# What a user writes ---------------------------------------------------------------------------------------------------


class EntropyConfig(Config):
    """Entropy minimization on the target."""

    name: Literal["entropy"] = "entropy"
    weight: float = Field(0.1, ge=0)


class Entropy(Algorithm):
    """Cross-entropy on the source, and predictions on the target that are to be sure of themselves."""

    def forward(self, batch: Batch, progress: float) -> Losses:
        images = torch.cat([batch.source.weak, batch.target.weak])
        logits = self.model(images, torch.cat([batch.source_context, batch.target_context]))
        source, target = logits.split([len(batch.labels), len(batch.target_context)])
        source_loss = F.cross_entropy(source, batch.labels)
        entropy = torch.special.entr(target.softmax(dim=1)).sum(dim=1).mean()
        parts = {"loss/source": source_loss.detach(), "loss/entropy": entropy.detach()}
        return Losses(source_loss + self.config.weight * entropy, parts)


# ----------------------------------------------------------------------------------------------------------------------


def train(out: Path, weight: float, steps: int = 2) -> tuple[list[dict[str, float]], float | None]:
    """Return each step's loss parts and the target accuracy."""
    pair = made_up.pair()
    recipe = parse_recipe(
        {
            "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": "cn"},
            "train": {"steps": steps, "source_batch": 4, "target_ratio": 2},
            "evaluate": {"every": steps},
        },
        "test",
    )
    torch.manual_seed(0)
    model = build_model(recipe.model, len(pair.classes), num_contexts=2)
    algorithm, seen = Entropy(EntropyConfig(weight=weight), model, len(pair.classes)), []
    algorithm.register_forward_hook(
        lambda module, args, losses: seen.append({name: part.item() for name, part in losses.parts.items()})
    )
    with Tracker(out, steps=steps) as tracker:
        result = build_trainer(recipe, algorithm, pair, tracker, out / "checkpoints").fit()
    return seen, result.target


def test_two_steps_through_the_one_trainer(tmp_path: Path) -> None:
    seen, accuracy = train(tmp_path, weight=0.1)
    assert len(seen) == 2
    assert set(seen[0]) == {"loss/source", "loss/entropy"}
    assert accuracy is not None
    assert 0 <= accuracy <= 100
    assert (tmp_path / "checkpoints" / "selected.pt").exists()
    assert '"loss/entropy"' in (tmp_path / "metrics.jsonl").read_text()


def test_it_does_what_it_is_for(tmp_path: Path) -> None:
    without, with_it = (train(tmp_path / str(weight), weight, steps=25)[0] for weight in (0.0, 3.0))
    assert without[0] == with_it[0]  # the same start and the same batch
    last = [sum(step["loss/entropy"] for step in seen[-5:]) for seen in (without, with_it)]
    assert last[1] < 0.7 * last[0]


def test_its_config_is_checked() -> None:
    with pytest.raises(ValueError, match="weight"):
        EntropyConfig(weight=-1)
