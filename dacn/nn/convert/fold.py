"""The same network for one fixed context, as a plain torch module."""

import re
from collections import Counter, deque

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.nn.context import ContextSequential
from dacn.nn.context_norm import ContextNorm
from dacn.nn.convert.fuse import into_layer_after, into_layer_before, scale_and_shift
from dacn.nn.convert.plain_weights import make_weights_plain
from dacn.nn.convert.refusals import CALL_HOOKS, copied, refuse_hooks, refuse_wrappers
from dacn.nn.convert.same_padding import fix_same_padding
from dacn.nn.convert.tracing import trace

# Calls after which a tensor may have another number of dimensions.
RESHAPING = {"flatten", "getitem", "mean", "reshape", "squeeze", "sum", "unflatten", "unsqueeze", "view"}


@torch.no_grad()
def fold_context(model: nn.Module, context: int, example: Tensor | None = None) -> fx.GraphModule:
    """Return ``model`` in evaluation under one context, called as ``net(x)`` and made of torch's own modules alone.

    The normalization of one context is a fixed affine map: a BatchNorm in evaluation. It goes into the weights of the
    convolution or linear layer that it directly follows, or that directly follows it, the latter only where the
    convolution pads nothing. So does a BatchNorm that the model has already. Parametrized weights, such as those of
    weight_norm and spectral_norm, become plain ones.

    The result is saved whole and loaded where there is torch but not this package, as is its state dict.

    Args:
        model: a network that torch.fx can trace, such as a `Classifier` or what `convert_norm` returns; left as it is.
        context: 0 to K - 1.
        example: an input of the size that the result is for, ``(1, 3, H, W)``. Only networks whose convolutions pad by
            what the input's size asks for (timm's ``tf_`` ones) need it; they pad by as much from then on.

    Shape: the result takes x as the model does and returns what it returns.

    Raises:
        ValueError: a context out of range; a layer without a fixed affine map, such as one whose output depends on a
            posterior; a network that cannot be traced, that is compiled or wrapped for several devices, or has hooks.

    >>> from dacn.nn import AdaptiveContextNorm, ContextSequential
    >>> net = ContextSequential(nn.Conv2d(3, 8, 3), AdaptiveContextNorm(8, num_contexts=2), nn.ReLU())
    >>> [type(module).__name__ for module in fold_context(net, 1).modules()][1:]
    ['Conv2d', 'ReLU']
    """
    refuse_wrappers(model.named_modules())
    model = copied(ContextSequential(model) if isinstance(model, ContextNorm) else model).eval()
    make_weights_plain(model)
    refuse_hooks(model.named_modules(), CALL_HOOKS, "which a folded network has no place for")
    _check(model, context)
    if example is not None:
        fix_same_padding(model, example, context)
    graph = trace(model, _is_leaf, "rewrite control flow that depends on data")
    called = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    modules = {name: model.get_submodule(name) for name in called}
    plain: dict[str, _BatchNorm] = {}
    for node in list(graph.nodes):
        name = str(node.target)
        layer = modules.get(name) if node.op == "call_module" else None
        if isinstance(layer, ContextNorm):
            if name not in plain:  # a layer that is called twice stays one
                plain[name] = _plain(layer, context, _class_for_rank(node, modules) or nn.BatchNorm1d)
            norm, channels_last = plain[name], layer.channels_last
        elif isinstance(layer, _BatchNorm) and layer.running_mean is not None:
            norm, channels_last = layer, False
        else:
            continue
        previous = node.all_input_nodes[0]  # however x was passed
        node.args, node.kwargs = (previous,), {}
        if beside := _fused(node, norm, channels_last, modules, called):
            name, fused = beside
            modules[name] = fused
            model.set_submodule(name, fused)
            node.replace_all_uses_with(previous)
            graph.erase_node(node)
        elif channels_last:
            _multiply_and_add(model, graph, node, norm)
        elif isinstance(layer, ContextNorm) and _class_for_rank(node, modules) is None:
            _normalize_any_rank(model, graph, node, norm)
        else:
            model.set_submodule(name, norm)
    _drop_context(graph)
    return fx.GraphModule(model, graph).eval()


def _check(model: nn.Module, context: int) -> None:
    for name, layer in model.named_modules():
        if isinstance(layer, ContextNorm) and not 0 <= context < layer.num_contexts:
            raise ValueError(f"context {context} is outside 0 to {layer.num_contexts - 1}, those of layer {name!r}")
        # A layer that keeps the base's forward is, under a known context, the affine map of its tables.
        fixed = isinstance(layer, ContextNorm) and type(layer).forward is ContextNorm.forward
        if _is_our_layer(layer) and not fixed:
            raise ValueError(f"cannot fold {name!r} ({type(layer).__name__}): no fixed affine map belongs to a context")


def _is_our_layer(module: nn.Module) -> bool:
    if isinstance(module, nn.Sequential):
        return False
    return isinstance(module, ContextNorm) or (
        type(module).__module__.startswith("dacn.nn.") and not any(module.children())
    )


def _is_leaf(name: str, module: nn.Module) -> bool:
    """Whether a module stays one node: torch's own stay for good, the layers of this package are replaced."""
    torch_layer = type(module).__module__.startswith("torch.nn.") and not isinstance(module, nn.Sequential)
    return torch_layer or _is_our_layer(module)


def _plain(layer: ContextNorm, context: int, kind: type[_BatchNorm]) -> _BatchNorm:
    """Return the layer under one context as a BatchNorm in evaluation."""
    mean, var = layer.tables()
    weight, bias = layer.affine_tables(mean)
    norm = kind(layer.num_features, eps=layer.eps, device=mean.device, dtype=mean.dtype).eval()
    own = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    for tensor, table in zip(own, (mean, var, weight, bias), strict=True):
        tensor.copy_(table[context])  # type: ignore[union-attr]  # (C,) of (K, C)
    return norm


def _fused(
    node: fx.Node, norm: _BatchNorm, channels_last: bool, modules: dict[str, nn.Module], called: Counter[str]
) -> tuple[str, nn.Module] | None:
    """Return the name of the layer beside a norm that can take it, and that layer with the norm in its weights."""
    before = node.all_input_nodes[0]
    sides = [(before, before, into_layer_before)]  # the layer, what reaches the norm or leaves it, and how to fuse
    sides += [(after, node, into_layer_after) for after in _readers(node)]
    for beside, link, fuse in sides:
        name = str(beside.target)
        if beside.op == "call_module" and called[name] == 1 and len(_readers(link)) == 1:
            fused = fuse(modules[name], norm, channels_last)
            if fused is not None:
                return name, fused
    return None


def _readers(node: fx.Node) -> list[fx.Node]:
    """Return the users of a node's values, without those that ask for the shape, which no norm changes."""
    return [user for user in node.users if not (user.target is getattr and user.args[1] == "shape")]


def _multiply_and_add(model: nn.Module, graph: fx.Graph, node: fx.Node, norm: _BatchNorm) -> None:
    """Put ``x * weight + bias`` in the place of a norm over the last dimension, which no BatchNorm does."""
    name = str(node.target)
    scale, shift = scale_and_shift(norm)
    holder = nn.Module()
    holder.weight, holder.bias = nn.Parameter(scale), nn.Parameter(shift)
    model.set_submodule(name, holder)
    with graph.inserting_before(node):
        scaled = graph.call_function(torch.mul, (node.args[0], graph.get_attr(f"{name}.weight")))
        shifted = graph.call_function(torch.add, (scaled, graph.get_attr(f"{name}.bias")))
    node.replace_all_uses_with(shifted)
    graph.erase_node(node)


def _normalize_any_rank(model: nn.Module, graph: fx.Graph, node: fx.Node, norm: _BatchNorm) -> None:
    """Put torch's function in the place of a norm whose input may have any rank, which no class of torch takes."""
    name = str(node.target)
    model.set_submodule(name, norm)
    with graph.inserting_before(node):
        tensors = [graph.get_attr(f"{name}.{of}") for of in ("running_mean", "running_var", "weight", "bias")]
        result = graph.call_function(F.batch_norm, (node.args[0], *tensors), {"eps": norm.eps})
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def _class_for_rank(node: fx.Node, modules: dict[str, nn.Module]) -> type[_BatchNorm] | None:
    """Return the BatchNorm for the rank of a norm's input, if the nearest layer with one in its name tells it."""
    seen, queue, reshaped = {node}, deque([node]), False
    while queue:
        near = queue.popleft()
        module = modules.get(str(near.target)) if near.op == "call_module" else None
        rank = re.search(r"([123])d$", type(module).__name__)
        if rank and near is not node:
            return {"1": nn.BatchNorm1d, "2": nn.BatchNorm2d, "3": nn.BatchNorm3d}[rank[1]]
        name = near.target if isinstance(near.target, str) else getattr(near.target, "__name__", "")
        ends = near is not node and (isinstance(module, nn.Flatten | nn.Unflatten | nn.Linear) or name in RESHAPING)
        reshaped = reshaped or ends
        if not ends:
            neighbours = [n for n in (*near.all_input_nodes, *near.users) if n not in seen]
            seen.update(neighbours)
            queue.extend(neighbours)
    return nn.BatchNorm1d if reshaped else None


def _drop_context(graph: fx.Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "placeholder" and node.target == "context":
            if node.users:
                raise ValueError(f"the context goes elsewhere than to a norm: {', '.join(map(str, node.users))}")
            graph.erase_node(node)
