"""Normalization layers with the context as an explicit argument. Needs torch, and scikit-learn for EM.

===================  =========================================  ======================================================
this package         also called                                where
===================  =========================================  ======================================================
AdaptiveContextNorm  ACN; CN-X                                  arXiv 2409.04759; arXiv 2403.16798
AdaptiveContextNorm-
Base                 ACN-base; CN                               arXiv 2409.04759; the authors' earlier repository
ContextBatchNorm     CN here; DSBN                              arXiv 1906.03950
MixtureNorm          MN                                         arXiv 1806.02892
===================  =========================================  ======================================================
"""

from dacn.nn.adaptive_context_norm import AdaptiveContextNorm, open_renorm
from dacn.nn.adaptive_context_norm_base import AdaptiveContextNormBase
from dacn.nn.context import ContextSequential, takes_context
from dacn.nn.context_batch_norm import ContextBatchNorm
from dacn.nn.context_norm import ContextNorm
from dacn.nn.convert import convert_norm
from dacn.nn.fold import fold_context
from dacn.nn.gradient_reversal import reverse_gradient
from dacn.nn.mixture_norm import MixtureNorm, em_seconds, without_refits

__all__ = [
    "AdaptiveContextNorm",
    "AdaptiveContextNormBase",
    "ContextBatchNorm",
    "ContextNorm",
    "ContextSequential",
    "MixtureNorm",
    "convert_norm",
    "em_seconds",
    "fold_context",
    "open_renorm",
    "reverse_gradient",
    "takes_context",
    "without_refits",
]
