"""Self-ensembling: a student that agrees on the target with the average of its own weights."""

import copy
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dacn.algorithms.base import Algorithm, Losses
from dacn.batch import Batch
from dacn.config import Config
from dacn.losses.ensembling import class_balance, consistency
from dacn.losses.target_terms import TargetTerms, asks_device, expect_all_classes, target_terms
from dacn.models.classifier import Classifier


class SelfEnsemblingConfig(Config):
    """Self-ensembling (mean teacher for adaptation), arXiv 1706.05208."""

    name: Literal["self_ensembling"] = "self_ensembling"
    threshold: float = Field(0.968, ge=0, lt=1, description="least confidence of the teacher")
    weight: float = Field(3.0, ge=0, le=1000, description="of what is asked on the target")
    balance: float = Field(0.005, ge=0, le=100, description="of the class balance, within that")
    teacher_decay: float = Field(0.99, ge=0, lt=1, description="of the teacher's average; set train.ema to the same")
    target_terms: TargetTerms = Field(default_factory=dict)


class SelfEnsembling(Algorithm):
    """A student learns the source, and on the target what its teacher, the average of its weights, is sure of.

    The teacher sees the weak view of a target image and the student the strong one. What is evaluated is the trainer's
    average (``train.ema``), which is the teacher where both decays are equal, but for its running statistics.

    Where the target has fewer classes (``data.target_classes: fewer``), ``balance: 0`` leaves out what evens them out.

    Departures: the authors make both views by the same random augmentation (``augment.appearance`` and shifts); here
    they are dacn's weak and strong ones. Their batches of source and target pass apart, each with its own batch
    statistics, and both move BatchNorm's running ones: so it is here. With context norms a domain has its own in the
    running statistics too. Their early stopping on the share that is kept is left to `evaluate.select`.

    Args:
        config: threshold, weights and the teacher's decay.
        model: the student.
        num_classes: K.

    Reference: French et al. 2018, arXiv 1706.05208, section 3.
    """

    def __init__(self, config: SelfEnsemblingConfig, model: Classifier, num_classes: int) -> None:
        super().__init__(config, model, num_classes)
        self.asks_device = asks_device(config.target_terms)
        self.takes_fewer_classes = not (config.balance or expect_all_classes(config.target_terms))
        self.teacher = copy.deepcopy(model).requires_grad_(False)

    def forward(self, batch: Batch, progress: float | Tensor) -> Losses:
        """Return the source's loss and the target's."""
        self._follow()
        views = torch.cat(batch.source)  # (2B, 3, H, W)
        logits = self.model(views, batch.source_context.repeat(2))
        source_loss = F.cross_entropy(logits, batch.labels.repeat(2), label_smoothing=self.label_smoothing)

        target_logits = self.model(batch.target.strong, batch.target_context)  # (T, K)
        with torch.no_grad():
            teacher = self.teacher(batch.target.weak, batch.target_context).softmax(dim=1)
        student = target_logits.softmax(dim=1)
        disagreement, keep = consistency(student, teacher, self.config.threshold)  # section 3.2
        kept = keep.to(student.dtype).mean()
        balance = kept * class_balance(student)  # section 3.4
        target_loss = disagreement + self.config.balance * balance

        terms = target_terms(self.config.target_terms, target_logits)
        parts = {
            "loss/source": source_loss.detach(),
            "loss/target": disagreement.detach(),
            "loss/balance": balance.detach(),
            **{f"loss/{name}": term.detach() for name, term in terms.items()},
            "kept": kept,
        }
        return Losses(source_loss + self.config.weight * target_loss + sum(terms.values()), parts)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the teacher's weights towards the student's, as the last step left them."""
        ours: list[Tensor] = list(self.teacher.parameters())
        theirs: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - self.config.teacher_decay)
