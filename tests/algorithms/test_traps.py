"""Failures found in published code, each with the proof that this package does not have it.

Those with a test here are about whole runs, or about more than one algorithm. Proved elsewhere:

- The alignment ratio is a constant, so that nothing is aligned: `tests/losses/test_losses.py`,
  `test_alignment_changes_the_proportions_of_the_classes`; `test_adamatch.py`,
  `test_alignment_decides_the_pseudo_label`.
- The source's own pass runs in evaluation mode, or its running statistics stay: `test_adamatch.py`,
  `test_whole_method_by_hand_over_seven_steps` and `test_running_statistics_are_those_of_the_joint_pass`.
- The weak crop is as large as the image and does nothing; digits are mirrored: `tests/data/views/test_augment.py`,
  `test_weak_is_the_shifted_image_on_the_networks_scale` and
  `test_shift_is_a_reflected_crop_and_mirrors_only_where_allowed`.
- The longer domain is cut to the shorter, or not shuffled: `tests/data/views/test_loader.py`,
  `test_each_domain_is_seen_once_a_pass_whatever_the_other_does` and `test_indices_come_once_a_pass_in_a_new_order`.
- A checkpoint is chosen by target test labels or by the training loss: `tests/run/test_run.py`,
  `test_target_test_labels_change_no_step_and_no_selection`.
- The discriminator ends in a softmax over one output: `tests/models/test_discriminator.py`,
  `test_the_end_is_a_logit_not_a_probability`; `test_dann.py`, `test_gradient_reaches_discriminator_backbone_and_head`.
- Both batches are taken to be equal in size: in `test_adamatch.py`, `test_fixmatch.py` and `test_dann.py` they differ.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dacn.algorithms import ALGORITHMS
from dacn.batch import TARGET
from dacn.data.known.names import ABOUT_PAIRS
from dacn.data.pair.pairs import PAIRS
from dacn.data.read.reading import ReadingConfig
from dacn.data.views.augment import to_input
from dacn.recipe.recipe import parse_recipe
from dacn.run.build import build_algorithm, build_trainer
from dacn.trainer.tracking import Tracker
from dacn.trainer.trainer import Trainer
from tests import made_up

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


@pytest.fixture
def trainer_of(tmp_path: Path) -> Iterator[Callable[..., Trainer]]:
    """Make trainers of the made-up pair; their trackers are closed in the end."""
    with ExitStack() as trackers:

        def make(algorithm: str, *, norm: str = "cn", steps: int = 4) -> Trainer:
            tree = {
                "algorithm": algorithm,
                "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": norm},
                "train": {"steps": steps, "source_batch": 4, "target_ratio": 2, "ema": 0.9},
                "evaluate": {"every": steps},
            }
            recipe, pair, out = parse_recipe(tree, "test"), made_up.pair(), tmp_path / algorithm
            tracker = trackers.enter_context(Tracker(out, steps=steps))
            return build_trainer(recipe, build_algorithm(recipe, pair), pair, tracker, out / "checkpoints")

        yield make


@pytest.mark.parametrize("name", ["adamatch", "fixmatch"])
def test_a_confidence_of_one_half_stays_one_half(name: str) -> None:
    """Divided by its L2 norm instead of its sum, this prediction would be 0.95 sure."""
    algorithm_class, config_class = ALGORITHMS[name]
    algorithm = algorithm_class(config_class(threshold=0.9), nn.Identity(), 10)
    prediction = torch.tensor([[0.5, *[0.5 / 9] * 9]])
    assert (prediction / prediction.norm()).max() > 0.94
    assert not algorithm.pseudo_labels(prediction)[1].any()
    assert algorithm.pseudo_labels(torch.tensor([[0.91, *[0.01] * 9]]))[1].all()


@pytest.mark.parametrize("name", [name for name, about in ABOUT_PAIRS.items() if "digit" in about])
def test_no_digits_are_mirrored(name: str) -> None:
    assert not PAIRS[name](ReadingConfig(root=Path("nowhere"))).flips


def test_schedules_end_with_the_run_however_short(trainer_of: Callable[..., Trainer]) -> None:
    weights: dict[str, list[float]] = {"adamatch": [], "dann": []}
    for name, part in (("adamatch", "target_weight"), ("dann", "reversal")):
        trainer = trainer_of(name, steps=8)
        while trainer.step < 8:
            weights[name].append(trainer.train_step(next(trainer.loader)).parts[part].item())
            trainer.step += 1
        assert trainer.schedule.get_last_lr()[0] == pytest.approx(0.03 * 0.25)
    assert weights["adamatch"][0] == weights["dann"][0] == 0
    assert weights["adamatch"][4:] == [1.0] * 4
    assert weights["dann"][-1] > 0.999


@every_algorithm
@pytest.mark.parametrize("norm", ["acn", "bn"])
def test_the_optimizer_knows_every_parameter(trainer_of: Callable[..., Trainer], algorithm: str, norm: str) -> None:
    """No layer is made in `forward`, and weight decay reaches every kernel, a discriminator's too."""
    trainer = trainer_of(algorithm, norm=norm)
    decay = {id(p): group["weight_decay"] for group in trainer.optimizer.param_groups for p in group["params"]}
    trainer.train_step(next(trainer.loader))
    parameters = dict(trainer.algorithm.named_parameters())
    assert decay.keys() == {id(p) for p in parameters.values()}
    for layer in trainer.algorithm.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert decay.pop(id(layer.weight)) == 1e-3
    assert set(decay.values()) == {0.0}


def test_a_step_moves_every_parameter(trainer_of: Callable[..., Trainer]) -> None:
    trainer = trainer_of("dann", norm="acn")
    trainer.step = 1  # of 4: at step 0 nothing is reversed yet
    before = {name: p.detach().clone() for name, p in trainer.algorithm.named_parameters()}
    trainer.train_step(next(trainer.loader))
    for name, parameter in trainer.algorithm.named_parameters():
        assert not torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("algorithm", ["adamatch", "fixmatch", "dann"])
def test_the_target_is_judged_under_its_own_context(trainer_of: Callable[..., Trainer], algorithm: str) -> None:
    trainer = trainer_of(algorithm)
    trainer.fit()
    result, model, images = trainer.evaluate(), trainer.ema.module, to_input(trainer.pair.target_test.images)

    def predictions(context: int) -> Tensor:
        probabilities: Tensor = model(images, torch.full((len(images),), context)).softmax(1)
        return probabilities.detach()

    torch.testing.assert_close(result.target_probabilities, predictions(TARGET))
    assert (predictions(TARGET) - predictions(1 - TARGET)).abs().max() > 0.01  # here the context matters
    assert result.target == result.matrix["target_data/target_context"]
