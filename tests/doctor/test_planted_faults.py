"""Each fault that is planted is found by its check, and nothing else is."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dacn import losses
from dacn.algorithms import adamatch
from dacn.algorithms.dann import Dann
from dacn.algorithms.fixmatch import FixMatch
from dacn.algorithms.source_only import SourceOnly
from dacn.batch import Batch, Views
from dacn.data.domain import Domain, DomainPair
from dacn.data.views import augment
from dacn.data.views.loader import DomainLoader, ShuffledIndices
from dacn.evaluation import matrix
from dacn.models.discriminator import Discriminator
from dacn.trainer import trainer as trainer_module
from tests import made_up
from tests.doctor.examined import examine, found

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize("algorithm", ["adamatch", "fixmatch", "dann", "source_only", "supervised"])
@pytest.mark.parametrize("norm", ["acn", "bn"])
def test_a_healthy_recipe_has_no_findings(algorithm: str, norm: str) -> None:
    diagnosis = examine(algorithm=algorithm, model={"norm": norm})
    assert diagnosis.findings == []
    assert len(diagnosis.done) >= 20


# Recipes and data that are broken.

SIGNS = replace(made_up.pair(classes=4, count=40), classes=tuple("0123"), flips=True)


def equal_images() -> DomainPair:
    pair = made_up.pair(classes=4, count=40)
    return replace(pair, target=Domain("blank", torch.full_like(pair.target.images, 255)))


def no_gap() -> DomainPair:
    pair = made_up.pair(classes=4, count=40)
    return replace(pair, target=replace(pair.source, name="copy"))


def missing_class() -> DomainPair:
    pair = made_up.pair(classes=4, count=40)
    assert pair.source.labels is not None
    return replace(pair, source=replace(pair.source, labels=pair.source.labels.clamp(max=2)))


def rare_class() -> DomainPair:
    pair = made_up.pair(classes=2, count=44)
    return replace(pair, source=replace(pair.source, labels=(torch.arange(44) < 4).long()))


def telling_context() -> DomainPair:
    pair = made_up.pair(classes=4, count=40)
    assert pair.source.labels is not None
    contexts = pair.source.labels // 2  # a superclass
    source, kind = replace(pair.source, context=contexts), "superclass"
    return replace(pair, source=source, contexts=("low", "high"), fits=(), context_kind=kind, leaks=True)


BROKEN: dict[str, tuple[str, DomainPair | None, dict[str, Any], str]] = {
    "mirrored digits": ("mirrored signs", SIGNS, {}, "the classes are signs"),
    "no shift": ("weak views", None, {"augment": {"shift": 0}}, "the weak view is the image itself (shift 0 of 16"),
    "shift below a pixel": ("weak views", None, {"augment": {"shift": 0.05}}, "the weak view is the image itself"),
    "no strong views": ("strong views", None, {"augment": {"operations": 0, "cutout": 0}}, "made like weak ones"),
    "few steps": ("unseen images", made_up.pair(4, count=800),
                  {"algorithm": "fixmatch", "train": {"steps": 20, "ema": 0.5}}, "20 steps of 32 see 80 % of 800"),
    "slow average": ("ema", None, {"train": {"ema": 0.9999}}, "would span the last 10,000 steps, and there are 1,000"),
    "learning rate": ("learning rate", None, {"optimizer": {"name": "sgd", "lr": 90}}, "the loss"),
    "not finite": ("learning rate", None, {"optimizer": {"name": "sgd", "lr": 100},
                   "model": {"norm": "none", "input_norm": "none"}}, "the loss is not finite"),
    "long warm-up": ("ramps", None, {"schedule": {"name": "cosine", "warm_up": 0.9}}, "rises for 90 % of training"),
    "late opening": ("ramps", None, {"model": {"norm": {"name": "acn", "opening": [0.5, 1]}}}, "only when training en"),
    "slow marginal": ("ramps", None, {"algorithm": {"name": "adamatch", "source_marginal_decay": 0.9999}}, "uniform"),
    "slow reversal": ("ramps at the end", None, {"algorithm": {"name": "dann", "alpha": 0.5}}, "reversal has risen to"),
    "low threshold": ("mask", None, {"algorithm": {"name": "fixmatch", "threshold": 0.2}}, "every prediction becomes"),
    "full threshold": ("mask", None, {"algorithm": {"name": "fixmatch", "threshold": 1}}, "no prediction becomes"),
    "blank target": ("images", equal_images(), {}, "blank: every image is of a single grey"),
    "no gap": ("domains differ", no_gap(), {}, "100 % of the target's images are the source's"),
    "missing class": ("classes", missing_class(), {}, "reds has no image of 'class3'"),
    "rare class": ("classes", rare_class(), {}, "reds has 4 images of 'class1' and 40 of 'class0'"),
    "telling context": ("leaking context", telling_context(), {"algorithm": "supervised"}, "the context tells much of"),
    "one row": ("batch size", None, {"train": {"source_batch": 1, "target_ratio": 8}, "model": {"norm": "cn"}},
                "takes its statistics over 1 image of a context"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_recipe(fault: str) -> None:
    check, pair, sections, what = BROKEN[fault]
    diagnosis = examine(pair, steps=20 if check == "learning rate" else 5, **sections)
    findings = found(diagnosis)
    assert [*findings] == [check]
    assert what in findings[check]


# Code that is broken: traps found in published implementations.


def one_ratio_for_all(probabilities: Tensor, p_source: Tensor, p_target: Tensor) -> Tensor:
    return losses.align_distribution(probabilities, p_source.mean(), p_target.mean())


def test_an_alignment_ratio_over_all_entries(monkeypatch: Patch) -> None:
    monkeypatch.setattr(adamatch, "align_distribution", one_ratio_for_all)
    assert "pseudo-labels stay as they are" in found(examine())["alignment"]


def test_marginals_over_all_entries(monkeypatch: Patch) -> None:
    follow = adamatch.AdaMatch._follow
    monkeypatch.setattr(
        adamatch.AdaMatch, "_follow", lambda self, p, q: follow(self, torch.full_like(p, float(p.mean())), q)
    )
    assert "the source's running marginal is the same for every class" in found(examine())["alignment"]


def test_pseudo_labels_by_their_l2_norm(monkeypatch: Patch) -> None:
    honest = FixMatch.pseudo_labels
    monkeypatch.setattr(FixMatch, "pseudo_labels", lambda self, p: honest(self, p / p.norm(dim=1, keepdim=True)))
    findings = found(examine(algorithm={"name": "fixmatch", "threshold": 0.9}))
    assert [*findings] == ["mask"]
    assert "passes a threshold of 0.90" in findings["mask"]


@pytest.mark.parametrize("domain", ["source", "target"])
def test_views_of_different_images(monkeypatch: Patch, domain: str) -> None:
    honest = DomainLoader.__next__

    def shuffled(self: DomainLoader) -> Batch:
        batch = honest(self)
        weak, strong = getattr(batch, domain)
        return batch._replace(**{domain: Views(weak, strong[torch.randperm(len(strong), generator=self.generator)])})

    monkeypatch.setattr(DomainLoader, "__next__", shuffled)
    findings = found(examine())
    assert [*findings] == ["views"]
    assert f"weak and strong views of the {domain} differ" in findings["views"]


def test_labels_of_other_images(monkeypatch: Patch) -> None:
    honest = DomainLoader.__next__
    monkeypatch.setattr(DomainLoader, "__next__", lambda self: (b := honest(self))._replace(labels=b.labels.roll(7)))
    assert "labels of the source belong to other images" in found(examine())["views"]


def test_digits_that_are_mirrored_though_they_may_not(monkeypatch: Patch) -> None:
    honest = augment.shift_and_mirror
    monkeypatch.setattr(
        augment, "shift_and_mirror", lambda images, shift, _, g, views: honest(images, shift, True, g, views)
    )
    findings = found(examine())
    assert [*findings] == ["mirrored images"]


def test_a_crop_that_moves_nothing(monkeypatch: Patch) -> None:
    monkeypatch.setattr(augment, "_draw_shift", lambda count, furthest, g: torch.zeros(count, 1, dtype=torch.int64))
    assert [*found(examine())] == ["weak views"]


def test_a_ramp_built_for_more_steps(monkeypatch: Patch) -> None:
    monkeypatch.setattr(adamatch, "warm_up", lambda progress: losses.warm_up(progress / 100))
    findings = found(examine())
    assert [*findings] == ["ramps at the end"]
    assert "target_weight has risen to 0.00098" in findings["ramps at the end"]


def test_a_discriminator_that_ends_in_a_softmax(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Discriminator, "forward", lambda self, x: self.layers(x).softmax(dim=1).squeeze(1))
    findings = found(examine(algorithm="dann"))
    assert [*findings] == ["gradients"]
    assert "no gradient reaches discriminator.layers.0.weight" in findings["gradients"]


def test_a_layer_that_is_made_in_forward(monkeypatch: Patch) -> None:
    honest = SourceOnly.forward

    def forward(self: SourceOnly, *arguments: Any) -> Any:
        self.late = torch.nn.Linear(1, 1)
        result = honest(self, *arguments)
        return result._replace(total=result.total + self.late(torch.ones(1, 1)).sum())

    monkeypatch.setattr(SourceOnly, "forward", forward)
    assert "the optimizer does not have late.weight, late.bias" in found(examine(algorithm="source_only"))["gradients"]


def test_images_in_the_order_of_their_classes(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ShuffledIndices, "take", lambda self, count: torch.arange(count) % min(self.size, 10))
    pair = made_up.pair(classes=4, count=40)
    assert pair.source.labels is not None
    order = pair.source.labels.argsort()
    pair = replace(
        pair, source=replace(pair.source, images=pair.source.images[order], labels=pair.source.labels[order])
    )
    assert "labelled images are of 1 of 4 classes" in found(examine(pair))["shuffling"]


def test_the_target_under_the_context_of_the_source(monkeypatch: Patch) -> None:
    monkeypatch.setattr(matrix, "context_rows", lambda model, pair, domain, *_: torch.zeros(len(domain)).long())
    findings = found(examine())
    assert [*findings] == ["target context"]
    assert findings["target context"] == "the target is evaluated under the context 'source'"


def test_the_target_under_an_unknown_context(monkeypatch: Patch) -> None:
    monkeypatch.setattr(matrix, "context_rows", lambda *_: None)
    assert [*found(examine())] == ["target context"]
    assert found(examine(algorithm="source_only")) == {}  # there its own was not trained


def test_a_checkpoint_chosen_by_test_labels(monkeypatch: Patch) -> None:
    def peeking(model: Any, pair: DomainPair, **options: Any) -> matrix.Evaluation:
        result = matrix.evaluate(model, pair, **options)
        return replace(result, scores=dict.fromkeys(result.scores, result.target or 0.0))

    monkeypatch.setattr(trainer_module, "evaluate", peeking)
    what = found(examine())["label-free selection"]
    assert what.startswith("the label-free score mutual_information")
    assert what.endswith("changes with the target's test labels")


def test_an_average_that_starts_from_zero_weight(monkeypatch: Patch) -> None:
    from dacn.doctor import recipe_checks

    slow = torch.optim.swa_utils.get_ema_multi_avg_fn(0.999)
    monkeypatch.setattr(
        recipe_checks, "MovingAverage", lambda model, _: torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=slow)
    )
    assert "37 % of the averaged network would be its random start" in found(examine())["ema"]


def test_a_loader_that_raises(monkeypatch: Patch) -> None:
    def __next__(self: DomainLoader) -> Any:  # noqa: N807 - it stands in for that one
        raise IndexError("out of range")

    monkeypatch.setattr(DomainLoader, "__next__", __next__)
    findings = found(examine())
    assert findings["views"] == "the check fails: IndexError: out of range"
    assert findings["steps"] == "step 1 fails: IndexError: out of range"


def test_a_step_that_raises(monkeypatch: Patch) -> None:
    def forward(self: Dann, *_: Any) -> Any:
        raise IndexError("out of range")

    monkeypatch.setattr(Dann, "forward", forward)
    diagnosis = examine(algorithm="dann")
    assert found(diagnosis) == {"steps": "step 1 fails: IndexError: out of range"}
    assert diagnosis.failed
