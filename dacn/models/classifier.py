"""The network that algorithms train: input scale and norm, backbone, bottleneck and a linear head."""

from torch import Tensor, nn

from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, LatentContextNorm, MixtureNorm, takes_context


class Classifier(nn.Module):
    """Images and contexts in, class scores out.

    Args:
        input_norm: normalizes the images; channels in, channels out.
        backbone: called as ``backbone(x, context)``, returns feature vectors; tells their length as ``out_features``.
        num_classes: K.
        context_net: gives images scores of the contexts, where a context can be told from the image; no part of the
            forward pass.
        input_scale: brings images to the scale that the backbone's weights expect, before anything else; None: as is.
        bottleneck: called as ``bottleneck(features, context)``, tells its width as ``out_features``; None: none.

    Shape: x ``(B, 3, H, W)``, context ``(B,)`` int64 or None when it is unknown (evaluation only); returns ``(B, K)``.
    """

    takes_context = True

    def __init__(
        self,
        input_norm: nn.Module,
        backbone: nn.Module,
        num_classes: int,
        context_net: nn.Module | None = None,
        *,
        input_scale: nn.Module | None = None,
        bottleneck: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.context_net = context_net
        self.input_scale = input_scale
        self.input_norm = input_norm
        self.backbone = backbone
        self.bottleneck = bottleneck
        last = backbone if bottleneck is None else bottleneck
        self.head = nn.Linear(int(last.out_features), num_classes)  # type: ignore[arg-type]
        nn.init.xavier_normal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the feature vectors ``(B, F)`` that the head sees."""
        if self.input_scale is not None:
            x = self.input_scale(x)
        x = self.input_norm(x, context) if takes_context(self.input_norm) else self.input_norm(x)
        features: Tensor = self.backbone(x, context)
        return features if self.bottleneck is None else self.bottleneck(features, context)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the class scores."""
        scores: Tensor = self.head(self.features(x, context))
        return scores


def shares_batch_statistics(model: nn.Module) -> bool:
    """Whether the scores of some rows depend on other rows of the batch, whatever the contexts of both are."""
    sharing = nn.modules.batchnorm._BatchNorm | MixtureNorm | LatentContextNorm
    return any(isinstance(module, sharing) for module in model.modules())


def has_context_statistics(model: nn.Module) -> bool:
    """Whether the scores of some rows depend on other rows of the batch that are of the same context.

    They do in `ContextBatchNorm`, and in `AdaptiveContextNorm` by likelihood, whose training output leaves the batch's
    moments by degrees. Learned by the task, a context's Gaussian depends on the batch in its first step alone.
    """
    return any(
        isinstance(module, ContextBatchNorm) or (isinstance(module, AdaptiveContextNorm) and module.fit == "likelihood")
        for module in model.modules()
    )
