"""How easily a linear classifier tells the domains apart by their features."""

from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

FEATURES = 300
"""How many images of each domain the distance is taken over."""


def proxy_a_distance(features: Tensor, of_target: Tensor) -> float:
    """Return ``2 (1 - 2 error)`` of a linear classifier of the domain: 0 where it is at chance, 2 where never wrong.

    The classifier is ridge regression on standardized features, which has a closed form. Each half of the images is
    classified by what was learned on the other. Where one domain has more images, each domain's error weighs one half.

    Args:
        features: feature vectors of both domains; at least two of each.
        of_target: which domain each row is of.

    Shape: features ``(N, F)``, of_target ``(N,)`` bool.

    Reference: Ben-David et al. 2010, section 4; Ganin et al. 2016, arXiv 1505.07818, section 3.2.
    """
    truth = of_target.cpu().numpy()
    halves = StratifiedKFold(2, shuffle=True, random_state=0)
    classifier = make_pipeline(StandardScaler(), RidgeClassifier(class_weight="balanced"))
    told = cross_val_predict(classifier, features.double().cpu().numpy(), truth, cv=halves)
    error = 0.5 * ((told != truth)[truth].mean() + (told != truth)[~truth].mean())
    return max(0.0, float(2 * (1 - 2 * error)))
