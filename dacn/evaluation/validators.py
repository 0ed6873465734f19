"""Label-free scores that may choose a checkpoint."""

from collections.abc import Callable

from torch import Tensor

from dacn.losses import mutual_information

VALIDATORS: dict[str, Callable[[Tensor], Tensor]] = {"mutual_information": mutual_information}
"""Name to a function of target probabilities ``(N, K)``; higher is better."""
