"""A network from elsewhere as a backbone: without its last layer, the recipe's norm in the place of its norm layers."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.errors import RecipeError
from dacn.models.blocks import block_names
from dacn.models.pretrained.choose import choose_norm_layers, list_kinds
from dacn.nn import convert_norm, takes_context
from dacn.nn.convert.layout import norm_layers


class PretrainedBackbone(nn.Module):
    """A network from elsewhere, called with the context.

    Every context of a replaced layer starts at its affine map and, from a BatchNorm, at its statistics: the outputs of
    a pretrained network have not changed yet. A LayerNorm has no statistics to hand on, so that replacing one changes a
    pretrained network.

    Args:
        net: images to features; the backbone takes it over.
        out_features: F.
        norm: makes the normalization layer for a number of channels.
        where: which norm layers are replaced, as `choose_norm_layers` has it.
        arch: what to call the network in messages.
        scale: mean and deviation of each channel that the weights expect in images from 0 to 1; None: the loader's
            scale as it is. The `Classifier` applies it, before its input norm.
        notes: what to tell of the weights that it started from.
        by_blocks: convert each block that repeats by itself, so that it is still called as one.
        keep_eps: give each layer in the place of a BatchNorm that one's eps, which pretrained weights were trained
            with, whether it has statistics yet or not; False: only where it has.

    Shape: x ``(B, 3, H, W)`` on that scale, context ``(B,)``; returns ``(B, F)``.

    Raises:
        RecipeError: a norm layer named in ``where`` is not there or cannot be replaced.
    """

    takes_context = True

    def __init__(
        self,
        net: nn.Module,
        out_features: int,
        norm: Callable[[int], nn.Module],
        where: Sequence[str] | None,
        arch: str,
        scale: tuple[Sequence[float], Sequence[float]] | None,
        notes: Sequence[str] = (),
        *,
        by_blocks: bool = False,
        keep_eps: bool = False,
    ) -> None:
        super().__init__()
        self.out_features, self.scale = out_features, scale
        chosen = choose_norm_layers(net, where, arch)
        self.notes = tuple(notes)
        if where is None and not chosen and norm_layers(net):
            self.notes += (
                f"model.norm replaces nothing in {arch}, which has no BatchNorm ({list_kinds(net)}); to replace some: "
                f"model.backbone.where: [{type(next(iter(norm_layers(net).values()))).__name__}], or [] to say that "
                "none is to be",
            )
        replaced = {name: net.get_submodule(name) for name in chosen}
        try:
            self.net: nn.Module = _convert(net, norm, chosen, by_blocks=by_blocks)
        except ValueError as error:
            raise RecipeError(f"model.backbone: {arch}: {error}") from error
        for name, source in replaced.items() if keep_eps else ():
            if isinstance(source, _BatchNorm):
                _set_eps(self.net.get_submodule(name), source.eps)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the feature vectors."""
        features: Tensor = self.net(x, context) if takes_context(self.net) else self.net(x)
        return features


def _convert(net: nn.Module, norm: Callable[[int], nn.Module], chosen: list[str], *, by_blocks: bool) -> nn.Module:
    """Return the network with the chosen norm layers replaced."""
    if not chosen:
        return net
    for block in block_names(net) if by_blocks else ():
        inside = [name.removeprefix(f"{block}.") for name in chosen if name.startswith(f"{block}.")]
        if inside and len(inside) < len(chosen):  # the last norm layers of all stay to the whole network
            chosen = [name for name in chosen if not name.startswith(f"{block}.")]
            net.set_submodule(block, convert_norm(net.get_submodule(block), norm, where=inside))
    return convert_norm(net, norm, where=chosen)


def _set_eps(layer: nn.Module, eps: float) -> None:
    """Set the eps of a norm layer, which may be wrapped with the activation or the order of dimensions of another."""
    for module in layer.modules():
        if isinstance(getattr(module, "eps", None), float):
            module.eps = eps  # type: ignore[assignment]
