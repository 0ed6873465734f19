"""Which normalization layer: the names that recipes use, their options and their classes."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from torch import nn

from dacn.config import Config, plainly
from dacn.nn import (
    AdaptiveContextNorm,
    AdaptiveContextNormBase,
    ContextBatchNorm,
    LatentContextNorm,
    LearnedMixtureNorm,
    MixtureNorm,
)
from dacn.nn.convert.channels_last import over_last

Eps = Annotated[float, Field(gt=0, le=0.1, description="added to variances")]
Affine = Annotated[bool, Field(description="learn a scale and a shift of each channel (gamma and beta) afterwards")]
Share = Annotated[float, Field(ge=0, le=1)]
Eta = Annotated[float, Field(gt=0, le=1, description="weight of the newest batch in the likelihood fit's moving means")]
Momentum = Annotated[float, Field(gt=0, le=1, description="weight of the newest batch in the running statistics")]


def _rising(opening: tuple[float, float]) -> tuple[float, float]:
    if opening[0] >= opening[1]:
        raise ValueError("expected two rising shares of training, such as [0.1, 0.4]")
    return opening


Opening = Annotated[
    tuple[Share, Share],
    AfterValidator(_rising),
    Field(description="shares of training between which likelihood-fitted layers leave batch statistics"),
]


class AcnConfig(Config):
    """Adaptive Context Normalization, arXiv 2409.04759."""

    name: Literal["acn"] = "acn"
    fit: Literal["task", "likelihood"] | None = Field(
        None,
        description="what trains the context's Gaussian; null: task at the input, likelihood in every other layer",
        examples=["likelihood"],
    )
    eta: Eta = 0.1
    opening: Opening = (0.1, 0.4)
    init: Literal["data", "standard"] = Field("data", description="start at the first batch's moments, or at 0 and 1")
    affine: Affine = True
    eps: Eps = 1e-5


class AcnBaseConfig(Config):
    """ACN-base, arXiv 2409.04759: normalization parameters from a linear map of the context."""

    name: Literal["acn_base"] = "acn_base"
    init: Literal["data", "standard"] = Field("data", description="start at the first batch's moments, or at 0 and 1")
    affine: Affine = True
    eps: Eps = 1e-5


class CnConfig(Config):
    """Batch statistics for each context apart; with `affine: own` domain-specific BatchNorm, arXiv 1906.03950."""

    name: Literal["cn"] = "cn"
    momentum: Momentum = 0.1
    affine: Literal["shared", "own", "none"] = Field(
        "shared", description="gamma and beta: one for all contexts, one for each, or none"
    )
    eps: Eps = 1e-5


class AcnLatentConfig(Config):
    """Contexts found in training, each image weighted by their posteriors; `form: paper` is ACN of arXiv 2403.16798."""

    name: Literal["acn_latent"] = "acn_latent"
    form: Literal["own", "paper"] = Field(
        "own",
        description="own: Gaussians that follow their images, no paper's; paper: those of arXiv 2403.16798, a mixture "
        "over positions that the loss learns, for which eta, opening and sharpness mean nothing",
    )
    components: int = Field(2, ge=1, le=64, description="latent contexts")
    eta: Eta = 0.1
    opening: Opening = (0.1, 0.4)
    sharpness: float = Field(20.0, gt=0, le=1000, description="of the posteriors; near 1 components drift into one")
    affine: Affine = True
    eps: Eps = 1e-5

    @model_validator(mode="after")
    def _of_this_form(self) -> Self:
        defaults = type(self).model_fields
        given = [key for key in ("eta", "opening", "sharpness") if getattr(self, key) != defaults[key].default]
        if self.form == "paper" and given:
            raise ValueError(f"{given[0]} is of form: own; drop it, or drop form: paper")
        return self


class MnConfig(Config):
    """Mixture Normalization, arXiv 1806.02892: a Gaussian mixture over the activations, fitted by EM."""

    name: Literal["mn"] = "mn"
    components: int = Field(3, ge=1, le=64, description="Gaussians; one is BatchNorm")
    refit_every: int = Field(100, ge=1, le=1_000_000, description="training steps between two fits by EM")
    samples: int = Field(4096, ge=64, le=1_000_000, description="positions of one batch that a fit sees at most")
    momentum: Momentum = 0.1
    affine: Affine = True
    eps: Eps = 1e-5


class BnConfig(Config):
    """BatchNorm: one set of statistics for all contexts. AdaMatch's authors: momentum 0.001, eps 1e-6."""

    name: Literal["bn"] = "bn"
    momentum: Momentum = 0.1
    affine: Affine = True
    eps: Eps = 1e-5


class InConfig(Config):
    """InstanceNorm: each channel of each image by itself."""

    name: Literal["in"] = "in"
    affine: Affine = True
    eps: Eps = 1e-5


class GnConfig(Config):
    """GroupNorm."""

    name: Literal["gn"] = "gn"
    groups: int = Field(8, ge=1, description="most groups; the largest divisor of the channels up to it is used")
    affine: Affine = True
    eps: Eps = 1e-5


class LnConfig(Config):
    """LayerNorm: all channels and positions of each image together, which is GroupNorm with one group."""

    name: Literal["ln"] = "ln"
    affine: Affine = True
    eps: Eps = 1e-5


class NoNormConfig(Config):
    """No normalization."""

    name: Literal["none"] = "none"


AnyNormConfig = Annotated[
    AcnConfig
    | AcnBaseConfig
    | AcnLatentConfig
    | CnConfig
    | MnConfig
    | BnConfig
    | InConfig
    | GnConfig
    | LnConfig
    | NoNormConfig,
    Field(discriminator="name"),
]


ALSO_CALLED = {
    "adaptivecontextnorm": "acn",
    "acnbase": "acn_base",
    "adaptivecontextnormbase": "acn_base",
    "acnlatent": "acn_latent",
    "latentcontextnorm": "acn_latent",
    "batchnorm": "bn",
    "syncbatchnorm": "bn",
    "batch": "bn",
    "contextbatchnorm": "cn",
    "contextnorm": "cn",
    "domainspecificbatchnorm": "cn",
    "dsbn": "cn",
    "groupnorm": "gn",
    "group": "gn",
    "instancenorm": "in",
    "instance": "in",
    "layernorm": "ln",
    "layer": "ln",
    "mixturenorm": "mn",
    "mixture": "mn",
    "identity": "none",
    "no": "none",
    "false": "none",
}
"""What others call these, as `dacn.config.plainly` has it."""


def norm_hint(word: str) -> str | None:
    """Return what a norm of another name is called here; None where it is not known."""
    name = ALSO_CALLED.get(plainly(word))
    return None if name is None else f"expected {name!r}, as it is called here"


def _acn(config: AcnConfig, num_features: int, num_contexts: int) -> nn.Module:
    options = config.model_dump(exclude={"name"}) | {"fit": config.fit or "likelihood"}
    return AdaptiveContextNorm(num_features, num_contexts, **options)


def _acn_base(config: AcnBaseConfig, num_features: int, num_contexts: int) -> nn.Module:
    return AdaptiveContextNormBase(num_features, num_contexts, **config.model_dump(exclude={"name"}))


def _acn_latent(config: AcnLatentConfig, num_features: int, num_contexts: int) -> nn.Module:
    options = config.model_dump(exclude={"name", "form"})
    if config.form == "own":
        return LatentContextNorm(num_features, **options)
    return LearnedMixtureNorm(num_features, config.components, eps=config.eps, affine=config.affine)


def _cn(config: CnConfig, num_features: int, num_contexts: int) -> nn.Module:
    return ContextBatchNorm(num_features, num_contexts, **config.model_dump(exclude={"name"}))


def _mn(config: MnConfig, num_features: int, num_contexts: int) -> nn.Module:
    return MixtureNorm(num_features, **config.model_dump(exclude={"name"}))


def _bn(config: BnConfig, num_features: int, num_contexts: int) -> nn.Module:
    return nn.BatchNorm2d(num_features, **config.model_dump(exclude={"name"}))


def _in(config: InConfig, num_features: int, num_contexts: int) -> nn.Module:
    return nn.InstanceNorm2d(num_features, **config.model_dump(exclude={"name"}))


def _gn(config: GnConfig, num_features: int, num_contexts: int) -> nn.Module:
    groups = next(g for g in range(min(config.groups, num_features), 0, -1) if num_features % g == 0)
    return nn.GroupNorm(groups, num_features, eps=config.eps, affine=config.affine)


def _ln(config: LnConfig, num_features: int, num_contexts: int) -> nn.Module:
    return nn.GroupNorm(1, num_features, eps=config.eps, affine=config.affine)


def _none(config: NoNormConfig, num_features: int, num_contexts: int) -> nn.Module:
    return nn.Identity()


NORMS: dict[str, tuple[Any, type[Config]]] = {
    "acn": (_acn, AcnConfig),
    "acn_base": (_acn_base, AcnBaseConfig),
    "acn_latent": (_acn_latent, AcnLatentConfig),
    "bn": (_bn, BnConfig),
    "cn": (_cn, CnConfig),
    "gn": (_gn, GnConfig),
    "in": (_in, InConfig),
    "ln": (_ln, LnConfig),
    "mn": (_mn, MnConfig),
    "none": (_none, NoNormConfig),
}


def build_norm(config: Any, num_features: int, num_contexts: int, channels_last: bool = False) -> nn.Module:
    """Return the layer that ``config`` (one of the configs above) describes.

    It takes 4-dimensional activations, or tokens ``(B, L, C)`` with ``channels_last``. Of tokens, LayerNorm normalizes
    each by itself.

    >>> build_norm(CnConfig(), 16, num_contexts=2)
    ContextBatchNorm(16, contexts=2, eps=1e-05, affine=True)
    """
    if channels_last and config.name == "ln":
        return nn.LayerNorm(num_features, eps=config.eps, elementwise_affine=config.affine)
    layer: nn.Module = NORMS[config.name][0](config, num_features, num_contexts)
    return over_last(layer) if channels_last else layer
