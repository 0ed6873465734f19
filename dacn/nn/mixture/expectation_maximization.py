"""Fitting a mixture of diagonal Gaussians to activations, by scikit-learn's EM."""

import time
import warnings

import torch
from torch import Tensor

from dacn.nn.mixture.mixture import LEAST_WEIGHT, Mixture, floored

LEAST_VARIANCE = 1e-3  # of a component, as a share of the channel's
FIRST_ITERATIONS, LATER_ITERATIONS = 100, 20  # at most; a fit that starts at the one before is there in a few


def fit_mixture(x: Tensor, components: int, start: Mixture | None = None) -> Mixture | None:
    """Return the mixture of ``components`` diagonal Gaussians that EM finds in x, or None where x cannot tell.

    It cannot with fewer different samples than components. The result depends on the arguments alone.

    Args:
        x: samples.
        components: K.
        start: the mixture to start at, whose components keep their order; one that has died starts anew at a sample
            far from the living. None: k-means++.

    Shape: x ``(N, C)``; returns tables ``(K, C)`` in float64.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    x = x.double().cpu()
    centre, scale = x.mean(0), x.std(0, correction=0)
    scale = torch.where(scale > 0, scale, 1.0)  # a constant channel is the same in all components
    x = (x - centre) / scale
    if not bool(x.isfinite().all()) or len(torch.unique(x.sum(1))) < components:
        return None
    model = GaussianMixture(
        components,
        covariance_type="diag",
        init_params="k-means++",
        reg_covar=LEAST_VARIANCE,
        max_iter=LATER_ITERATIONS if start else FIRST_ITERATIONS,
        random_state=0,
    )
    if start is not None:
        mean, var, weight = (table.double().cpu() for table in start)
        mean, var, weight = _revive(x, (mean - centre) / scale, var / scale**2, weight)
        model.means_init, model.weights_init = mean.numpy(), (weight / weight.sum()).numpy()
        model.precisions_init = (1 / var.clamp_min(LEAST_VARIANCE)).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the next refit goes on from here
        model.fit(x.numpy())
    mean, var, weight = (torch.from_numpy(table) for table in (model.means_, model.covariances_, model.weights_))
    return Mixture(mean * scale + centre, var * scale**2, floored(weight))


def _revive(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Move the components without samples to samples drawn as k-means++ does: by squared distance to the others."""
    mean, var, weight = mean.clone(), var.clone(), weight.clone()
    generator = torch.Generator().manual_seed(0)
    for k in torch.nonzero(weight < 2 * LEAST_WEIGHT).flatten().tolist():
        others = mean[weight >= 2 * LEAST_WEIGHT]
        distance = torch.cdist(x, others).min(1).values ** 2  # (N,)
        mean[k] = x[torch.multinomial(distance + 1e-12, 1, generator=generator)[0]]
        var[k], weight[k] = 1.0, 1 / len(weight)
    return mean, var, weight


@torch.library.custom_op("dacn::refit_mixture", mutates_args=("mean", "var", "weight", "age", "spent"))
def refit_mixture(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, age: Tensor, spent: Tensor, every: int, samples: int
) -> None:
    """Refit a layer's mixture to a subsample of x where the last fit is ``every`` steps old, and count the step.

    An operator of its own, so that a compiled network refits as well.

    Args:
        x: activations ``(N, C)``.
        mean, var, weight: the mixture's tables; with all weight in the first component there was no fit yet.
        age: steps since the last fit, int64 ``()``.
        spent: number of fits and their seconds are added here, ``(2,)``.
        every: steps between fits.
        samples: most samples to fit.
    """
    if int(age) >= every:
        import sklearn.mixture  # noqa: F401  # slow the first time, and no part of what a fit takes

        began = time.perf_counter()
        if len(x) > samples:
            drawn = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:samples]
            x = x[drawn.to(x.device)]
        first = float(weight[0]) == 1
        fitted = fit_mixture(x, len(weight), None if first else Mixture(mean, var, weight))
        if fitted is not None:  # else the mixture stays, and the next batch is asked
            for table, value in zip((mean, var, weight), fitted, strict=True):
                table.copy_(value)
            age.zero_()
            spent += torch.tensor([1.0, time.perf_counter() - began]).to(spent)
    age += 1


@refit_mixture.register_fake
def _(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, age: Tensor, spent: Tensor, every: int, samples: int
) -> None:
    return None
