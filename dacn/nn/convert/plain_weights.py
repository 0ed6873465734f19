"""Weights that are computed from others at every call, such as those of weight_norm, as the numbers that they are."""

from torch import nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


def make_weights_plain(model: nn.Module) -> None:
    """Replace every computed weight in ``model`` by a parameter of its present value, in place.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> make_weights_plain(layer)
    >>> sorted(layer.state_dict())
    ['bias', 'weight']
    """
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            _make_plain(module)
        for hook in list(module._forward_pre_hooks.values()):  # the older form of both
            if isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(module, hook.name)


def _make_plain(module: nn.Module) -> None:
    # Not `parametrize.remove_parametrizations`: it takes the weight out of a class that copies of the module share.
    weights = {name: getattr(module, name) for name in module.parametrizations}  # type: ignore[union-attr]
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    for name, weight in weights.items():
        module.register_parameter(name, nn.Parameter(weight.detach().clone()))
