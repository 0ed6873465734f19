"""Normalization layers with the context as an explicit argument. Needs torch, and scikit-learn for EM.

========================  ============  =========================  ==================================================
this package              in recipes    also called                where
========================  ============  =========================  ==================================================
AdaptiveContextNorm       `acn`         ACN; CN-X                  arXiv 2409.04759; arXiv 2403.16798
AdaptiveContextNormBase   `acn_base`    ACN-base; CN               arXiv 2409.04759; the authors' earlier repository
ContextBatchNorm          `cn`          DSBN (``affine="own"``)    arXiv 1906.03950
MixtureNorm               `mn`          MN                         arXiv 1806.02892
LatentContextNorm         `acn_latent`  -                          this package's own; no paper's
LearnedMixtureNorm        `acn_latent`  ACN; UCB-Norm              arXiv 2403.16798; `form: paper`
========================  ============  =========================  ==================================================

Two domains in a batch, each a context; activations are ``(B, C)``, ``(B, C, L)``, ``(B, C, H, W)`` or, with
``channels_last=True``, tokens ``(B, L, C)``:

>>> import torch
>>> x, context = torch.randn(8, 16, 4, 4), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])

A Gaussian for each context, learned by the task, or deeper inside a network by its own likelihood:

>>> layer = AdaptiveContextNorm(16, num_contexts=2, fit="likelihood")
>>> y = layer(x, context)
>>> y = layer.eval()(x)  # the context unknown: all of them, weighted by their posteriors

The same family as one linear map from the one-hot context:

>>> layer = AdaptiveContextNormBase(16, num_contexts=2)
>>> y = layer(x, context)
>>> mean, var = layer.tables()  # (2, 16) each

BatchNorm for each context apart:

>>> layer = ContextBatchNorm(16, num_contexts=2, affine="own")
>>> y = layer(x, context)
>>> y = layer.eval()(x, 1 - context)  # each row by the other context's running statistics

A Gaussian mixture over the activations of all positions, fitted by EM; it takes no context:

>>> layer = MixtureNorm(16, components=3, refit_every=100)
>>> y = layer(x)
>>> fits = em_seconds(layer)["em_fits"]  # and "em_seconds"

Contexts that are not given but discovered, one a row:

>>> layer = LatentContextNorm(16, components=2)
>>> y = layer(x)
>>> latent_context = layer.posterior(x).argmax(dim=1)  # (8,)

The layer that 2403.16798 calls ACN: a mixture as in `MixtureNorm`, learned by the task instead of fitted:

>>> layer = LearnedMixtureNorm(16, components=2)
>>> y = layer(x)

The layers that learn by likelihood train on batch statistics first and open up as training goes on: after a number of
training forwards that they count themselves (``opening_steps``), or as ``open_renorm(model, progress)`` tells them
before each step, as the trainer does.
"""

from dacn.nn.adaptive_context_norm import AdaptiveContextNorm
from dacn.nn.adaptive_context_norm_base import AdaptiveContextNormBase
from dacn.nn.context import ContextSequential, takes_context
from dacn.nn.context_batch_norm import ContextBatchNorm
from dacn.nn.context_norm import ContextNorm, refresh_started
from dacn.nn.convert.convert import convert_norm
from dacn.nn.convert.fold import fold_context
from dacn.nn.gradient_reversal import reverse_gradient
from dacn.nn.latent_context_norm import LatentContextNorm
from dacn.nn.learned_mixture_norm import LearnedMixtureNorm
from dacn.nn.mixture_norm import MixtureNorm, em_seconds, without_refits
from dacn.nn.renorm import open_renorm, renorm_layers

__all__ = [
    "AdaptiveContextNorm",
    "AdaptiveContextNormBase",
    "ContextBatchNorm",
    "ContextNorm",
    "ContextSequential",
    "LatentContextNorm",
    "LearnedMixtureNorm",
    "MixtureNorm",
    "convert_norm",
    "em_seconds",
    "fold_context",
    "open_renorm",
    "refresh_started",
    "renorm_layers",
    "reverse_gradient",
    "takes_context",
    "without_refits",
]
