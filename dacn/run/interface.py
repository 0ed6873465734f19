"""The inputs and outputs of a trained network, stored in every checkpoint so that it can be used without its data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator
from torch import nn

from dacn.batch import SOURCE
from dacn.config import Config
from dacn.data.classes.names import composed
from dacn.data.domain import DomainPair
from dacn.data.fit import Fit
from dacn.data.values import ValueRange
from dacn.errors import DataError
from dacn.models.classifier import Classifier
from dacn.models.context_net import ClusterAssigner

Name = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(composed)]
Side = Annotated[int, Field(ge=1, le=65_536)]


class Interface(Config):
    """The `network` entry of a checkpoint.

    Args:
        classes: what output i stands for, K names.
        contexts: what context i stands for; where it is the domain, the target's is the last.
        context_from: what tells the context of an image: its domain; or, by the network's ``context_net``, a trained
            classifier, or the clusters of pooled images or of their features.
        trained: indices of the contexts that training has seen.
        image_size: height and width in pixels.
        resize_size: pixels of both sides of the squares whose centre that is; None: all of them.
        fits: how images of each context are brought to that size; one of an unknown context is fitted as the target's.
        value_range: what becomes black and white in images of more than 8 bits, and whether a person said so; None
            where training had none.
    """

    classes: tuple[Name, ...] = Field(min_length=1)
    contexts: tuple[Name, ...] = Field(min_length=1)
    context_from: Literal["domain", "classifier", "images", "features"]
    trained: tuple[int, ...] = Field(min_length=1)
    image_size: tuple[Side, Side]
    resize_size: Side | None = None
    fits: tuple[Fit, ...]
    value_range: ValueRange | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        for name in (*self.classes, *self.contexts):
            if not name.isprintable():
                raise ValueError(f"{name!a} cannot be printed")
        if not all(0 <= index < len(self.contexts) for index in self.trained):
            raise ValueError(f"trained contexts {self.trained}, but there are {len(self.contexts)}")
        if len(self.fits) != len(self.contexts):
            raise ValueError(f"{len(self.fits)} fits, but there are {len(self.contexts)} contexts")
        if self.resize_size is not None and self.resize_size < max(self.image_size):
            raise ValueError(f"images of {self.resize_size} pixels do not hold {self.image_size}")
        if self.value_range is not None and not self.value_range.low < self.value_range.high:
            raise ValueError(f"value_range {self.value_range} is empty")
        return self


def interface_of(pair: DomainPair, model: Classifier, *, uses_target: bool) -> Interface:
    """Return the interface of a network that is trained on ``pair``.

    Args:
        pair: the images.
        model: the network.
        uses_target: whether the method looks at target images; where not, the target's contexts stay untrained.
    """
    trained = set(pair.source.context_or(SOURCE).tolist())
    trained |= set(pair.target.context_or(pair.target_context).tolist()) if uses_target else set()
    height, width = pair.source.images.shape[2:]
    return Interface(
        classes=pair.classes,
        contexts=pair.contexts,
        context_from=_context_from(model.context_net),
        trained=tuple(sorted(trained)),
        image_size=(height, width),
        resize_size=None if pair.source.uncropped is None else int(pair.source.uncropped.shape[2]),
        fits=pair.fits if pair.by_domain else (pair.target.fit,) * pair.num_contexts,
        value_range=pair.value_range,
    )


def _context_from(context_net: nn.Module | None) -> Any:
    if isinstance(context_net, ClusterAssigner):
        return context_net.on
    return "domain" if context_net is None else "classifier"


def read_interface(checkpoint: Path, saved: Mapping[str, Any]) -> Interface:
    """Return the interface that a checkpoint holds.

    Args:
        checkpoint: its file, for the message.
        saved: its content.

    Raises:
        DataError: it holds none, or a damaged one.
    """
    if "network" not in saved:
        raise DataError(f"{checkpoint}: does not say which classes it knows; it is of an older dacn, train anew")
    try:
        return Interface.model_validate(saved["network"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("network", *first["loc"])))
        raise DataError(f"{checkpoint}: damaged, or of another dacn ({place}: {first['msg']})") from error


def require_same_range(checkpoint: Path, saved: Mapping[str, Any], pair: DomainPair) -> None:
    """Make sure that images of more than 8 bits are read as those were that a network was trained on.

    Raises:
        DataError: the data hold other values now, so that another range was found.
    """
    trained, now = read_interface(checkpoint, saved).value_range, pair.value_range
    if trained is not None and now is not None and trained[:2] != now[:2]:
        raise DataError(
            f"{checkpoint}: was trained on values read as {trained}, and those of the data are read as {now} now; "
            f"bring back the images of then, or state data.range: [{trained.low:g}, {trained.high:g}] to read these so"
        )
