"""A method from outside the package: its config, its class, and the public pieces that train it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner, Result
from pydantic import Field

import dacn
from dacn.algorithms import Algorithm, Losses
from dacn.batch import Batch
from dacn.cli import main
from dacn.config import Config
from dacn.errors import RecipeError
from dacn.models.build import build_model
from dacn.recipe.recipe import load_recipe, parse_recipe
from dacn.recipe.yaml import parse_yaml
from dacn.run.build import build_trainer
from dacn.trainer.tracking import Tracker
from tests import made_up
from tests.cli.test_mistakes import draw

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


# Through a recipe, and from Python ------------------------------------------------------------------------------------

MODULE = """
import torch
import torch.nn.functional as F
from dacn.algorithms import Algorithm, Losses
from dacn.config import Config


class Options(Config):
    weight: float = 0.1


class Entropy(Algorithm):
    config_class = Options

    def forward(self, batch, progress):
        images = torch.cat([batch.source.weak, batch.target.weak])
        logits = self.model(images, torch.cat([batch.source_context, batch.target_context]))
        source, target = logits.split([len(batch.labels), len(batch.target_context)])
        entropy = torch.special.entr(target.softmax(dim=1)).sum(dim=1).mean()
        total = F.cross_entropy(source, batch.labels) + self.config.weight * entropy
        return Losses(total, {"loss/entropy": entropy.detach()})


class Broken(Algorithm):
    def forward(self, batch, progress):
        raise ZeroDivisionError("in my own forward")


class Wrong:
    pass


class NeedsMore(Algorithm):
    def __init__(self, config, model, num_classes, more):
        super().__init__(config, model, num_classes)
"""
RECIPE = """
data: {source: {folder: photos}, target: {folder: sketches}, image_size: 16}
model: {backbone: {name: small_cnn, width: 4}, norm: cn}
train: {steps: 2, source_batch: 4, target_ratio: 1}
algorithm: {python: "own_methods:Entropy", path: code, options: {weight: 0.5}}
evaluate: {figures: false}
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "own_methods.py").write_text(MODULE)
    for seed, name in enumerate(("photos", "sketches")):
        draw(tmp_path / name, ("cat", "dog"), seed=seed)
    Path("own.yaml").write_text(RECIPE)
    yield tmp_path
    sys.modules.pop("own_methods", None)


def dacn_command(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_a_recipe_names_its_class(work: Path) -> None:
    result = dacn_command("train", "own.yaml", "--out", "run", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert '"loss/entropy"' in Path("run/metrics.jsonl").read_text()
    again = load_recipe("run/recipe.yaml").algorithm
    assert (again.name, again.python, again.options) == ("python", "own_methods:Entropy", {"weight": 0.5})
    assert again.path == work / "code", "found from any folder"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("algorithm.python=own_methods:Entropi", "has no function 'Entropi'; did you mean 'Entropy'?"),
        ("algorithm.python=no_such_module:A", "cannot import no_such_module"),
        (
            "algorithm.python=own_methods:Wrong",
            "expected a subclass of dacn.algorithms.Algorithm, got a class of",
        ),
        ("algorithm.options={wait: 1}", "own_methods:Entropy does not take {'wait': 1} (wait: "),
        ("algorithm={python: own_methods:NeedsMore, path: code}", "own_methods:NeedsMore cannot be made: TypeError"),
        ("algorithm={python: own_methods:Broken, path: code, options: {a: 1}}", "has no config_class"),
        ("algorithm.python=Entropy", "algorithm.python: got 'Entropy', expected text such as "),
    ],
)
def test_mistakes_are_told_before_training_and_by_the_doctor(work: Path, override: str, told: str) -> None:
    for command in ("train", "doctor"):
        result = dacn_command(command, "own.yaml", "--set", override, "--device", "cpu")
        assert result.exit_code == 2, result.output
        assert told in result.stderr
    assert not Path("runs").exists()


def test_the_doctor_finds_a_forward_that_fails(work: Path) -> None:
    broken = ("--set", "algorithm={python: own_methods:Broken, path: code}", "--device", "cpu", "--steps", "2")
    result = dacn_command("doctor", "own.yaml", *broken)
    assert result.exit_code == 1, result.output
    assert "ZeroDivisionError: in my own forward" in result.stdout


def test_a_class_from_python(tmp_path: Path) -> None:
    run = dacn.train(
        made_up.pair(),
        algorithm={"python": EntropyOfTarget, "options": {"weight": 0.2}},
        model={"backbone": {"name": "small_cnn", "width": 4}, "norm": "cn"},
        steps=2,
        out=tmp_path,
        train={"source_batch": 4},
        evaluate={"figures": False},
    )
    assert run["steps"] == 2
    tree = parse_yaml((tmp_path / "recipe.yaml").read_bytes(), "run")
    assert tree["algorithm"]["python"] == f"{__name__}:EntropyOfTarget"

    class Inside(Entropy):
        pass

    with pytest.raises(RecipeError, match="Inside stands inside another class or function; move it to its module"):
        dacn.train(made_up.pair(), algorithm=Inside, out=tmp_path / "b")


class EntropyOfTarget(Entropy):
    config_class = EntropyConfig
