"""What a network may not have in it when it is converted or folded, told before anything is traced."""

import copy
from collections.abc import Iterable

import torch
from torch import nn
from torch._dynamo.eval_frame import OptimizedModule
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.utils.parametrize import is_parametrized

CALL_HOOKS = {
    "_forward_pre_hooks": "forward pre-hook",
    "_forward_hooks": "forward hook",
    "_backward_pre_hooks": "backward pre-hook",
    "_backward_hooks": "backward hook",
}
STATE_HOOKS = {
    "_state_dict_pre_hooks": "state-dict pre-hook",
    "_state_dict_hooks": "state-dict hook",
    "_load_state_dict_pre_hooks": "load-state-dict pre-hook",
    "_load_state_dict_post_hooks": "load-state-dict post-hook",
}
Named = Iterable[tuple[str, nn.Module]]


def refuse_wrappers(modules: Named) -> None:
    """Refuse modules that stand around another one, which is what to hand over.

    Raises:
        ValueError: names the first.
    """
    for name, module in modules:
        where = f"{name!r} is" if name else "the model is"
        if isinstance(module, OptimizedModule):
            raise ValueError(f"{where} compiled: hand over its ._orig_mod and compile the result")
        if isinstance(module, DataParallel | DistributedDataParallel):
            raise ValueError(f"{where} wrapped in {type(module).__name__}: hand over its .module and wrap the result")
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(f"{where} TorchScript, which has no forward to trace: hand over what it was made from")


def refuse_unsettled(modules: Named) -> None:
    """Refuse norm layers whose parameters are not there yet, or are computed from others at every call.

    Raises:
        ValueError: names the first.
    """
    for name, module in modules:
        if isinstance(module, LazyModuleMixin) and getattr(module, "num_features", None) == 0:
            raise ValueError(
                f"cannot replace {name!r} ({type(module).__name__}): its number of channels is not known yet; run a "
                "batch through the model first"
            )
        if is_parametrized(module):
            raise ValueError(
                f"cannot replace {name!r} ({type(module).__name__}): its parameters are parametrized; call "
                "torch.nn.utils.parametrize.remove_parametrizations first, or leave this layer out by where=..."
            )


def refuse_hooks(modules: Named, kinds: dict[str, str], reason: str) -> None:
    """Refuse modules with hooks.

    Args:
        modules: names and modules.
        kinds: attributes of a module, such as `CALL_HOOKS`, and how to call what they hold.
        reason: why a hook cannot stay, in the message.

    Raises:
        ValueError: names the first module and the kind of its hook.
    """
    for name, module in modules:
        for attribute, kind in kinds.items():
            if getattr(module, attribute):
                raise ValueError(
                    f"{name!r} ({type(module).__name__}) has a {kind}, {reason}; remove it first, by remove() of the "
                    "handle that registering it gave, and register it on the result where it still applies"
                )


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of the model.

    Raises:
        ValueError: something in it cannot be copied.
    """
    try:
        return copy.deepcopy(model)
    except RuntimeError as error:
        raise ValueError(
            f"cannot copy the model: {error}; of torch.nn.utils, weight_norm leaves such tensors behind, "
            "parametrizations.weight_norm does not"
        ) from error
