"""The formulas of the methods, as pure functions: one file a subject."""

from dacn.losses.adversarial import classifier_discrepancy, discriminator_accuracy, domain_loss
from dacn.losses.class_weights import class_weights
from dacn.losses.ensembling import class_balance, consistency
from dacn.losses.information import mutual_information
from dacn.losses.moments import covariance_distance, mean_discrepancy
from dacn.losses.progress import reversal_strength, warm_up
from dacn.losses.pseudo_labels import (
    align_distribution,
    confident,
    interpolate_logits,
    pseudo_label_loss,
    relative_threshold,
)
from dacn.losses.target_terms import (
    asks_device,
    certainty_weights,
    expect_all_classes,
    mean_entropy,
    minimum_class_confusion,
    negative_nuclear_norm,
    target_terms,
)

__all__ = [
    "align_distribution",
    "asks_device",
    "certainty_weights",
    "class_balance",
    "class_weights",
    "classifier_discrepancy",
    "confident",
    "consistency",
    "covariance_distance",
    "discriminator_accuracy",
    "domain_loss",
    "expect_all_classes",
    "interpolate_logits",
    "mean_discrepancy",
    "mean_entropy",
    "minimum_class_confusion",
    "mutual_information",
    "negative_nuclear_norm",
    "pseudo_label_loss",
    "relative_threshold",
    "reversal_strength",
    "target_terms",
    "warm_up",
]
