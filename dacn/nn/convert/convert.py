"""Any traceable network with its norm layers replaced and the context threaded through to them."""

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.errors import did_you_mean
from dacn.nn.context import takes_context
from dacn.nn.convert.layout import norm_layers
from dacn.nn.convert.replacement import device_and_dtype, hand_on, maker, statistics
from dacn.nn.convert.tracing import trace

Where = Callable[[str, nn.Module], bool] | Iterable[str | type[nn.Module]]


class ContextGraphModule(fx.GraphModule):
    """A traced network that is called as ``net(x, context)``."""

    takes_context = True


def convert_norm(
    model: nn.Module,
    norm: str | Callable[[int], nn.Module],
    num_contexts: int | None = None,
    where: Where | None = None,
    example: Tensor | None = None,
    *,
    leaf: Iterable[str | type[nn.Module]] = (),
    **options: Any,
) -> ContextGraphModule:
    """Return a copy of ``model`` with its norm layers replaced, called as ``net(x, context)``.

    Every context starts at the weights and, from a BatchNorm, at the running statistics of the layer it replaces, with
    that layer's eps: in evaluation nothing has changed yet. A BatchNorm still at mean 0 and variance 1 has learned
    nothing, and a LayerNorm or GroupNorm keeps no statistics: their contexts start as the new layer's ``init`` says.

    Args:
        model: a network of one input that torch.fx can trace; left as it is.
        norm: ``"acn"`` (fitted by likelihood unless ``fit`` says otherwise), ``"acn_base"``, ``"cn"``, or a function
            that makes a layer for a number of channels (and for channels that come last, if it takes
            ``channels_last``).
        num_contexts: K; a function knows it by itself.
        where: which layers: a predicate ``(name, module)``, or names and types. None: every BatchNorm.
        example: a batch on which the result is tried at once, in evaluation.
        leaf: names and types of modules that are not traced into; norm layers inside stay as they are.
        options: of the layers that ``norm`` names, such as ``eta=0.05``.

    Shape: the result takes x as the model does, and context ``(B,)`` int64 or None; returns what the model returns.

    Raises:
        ValueError: a network that cannot be traced, or that reads its training mode outside of a layer; no layer to
            replace, or one of a kind that cannot be; a wrong norm; an example on which the result departs from the
            model.

    >>> net = convert_norm(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()), "acn", num_contexts=2)
    >>> net(torch.rand(4, 3, 8, 8), torch.tensor([0, 0, 1, 1])).shape
    torch.Size([4, 8, 6, 6])
    """
    make = maker(norm, num_contexts, options)
    original, model = model, copy.deepcopy(model)
    modes = {name: module.training for name, module in model.named_modules()}
    chosen = _choose(model, where)
    graph = _trace_in_both_modes(model, set(chosen), tuple(leaf))

    # A layer that is called twice is one layer still.
    called = {node.target for node in graph.nodes if node.op == "call_module"}
    replaced = {name: source for name, source in chosen.items() if name in called}
    if not replaced:
        raise ValueError(f"none of the norm layers is called outside of the leaves: {', '.join(chosen)}")
    for name, source in replaced.items():
        layer = make(name, source).to(*device_and_dtype(source, model)).train(modes[name])
        model.set_submodule(name, layer)
        hand_on(source, layer)
    _thread_context(graph, {name for name in replaced if takes_context(model.get_submodule(name))})

    net = ContextGraphModule(model, graph, type(model).__name__)
    for name, module in net.named_modules():
        module.training = modes.get(name, module.training)  # a new layer may have layers of its own
    if example is not None:
        _try_out(original, net, example, exact=all(statistics(source) for source in replaced.values()))
    return net


def _choose(model: nn.Module, where: Where | None) -> dict[str, nn.Module]:
    modules = dict(model.named_modules())
    if where is None:
        where = (_BatchNorm,)
    if not callable(where):
        where = tuple(where)
        for name in where:
            if isinstance(name, str) and name not in modules:
                raise ValueError(f"the model has no module {name!r}{did_you_mean(name, modules)}")
    chosen = {name: module for name, module in modules.items() if _matches(where, name, module)}
    if not chosen:
        present = Counter(type(module).__name__ for module in norm_layers(model).values())
        listed = ", ".join(f"{name} ({count})" for name, count in present.items()) or "none"
        raise ValueError(f"no norm layer to replace; those present: {listed}; choose with where=[...]")
    return chosen


def _matches(where: Any, name: str, module: nn.Module) -> bool:
    if callable(where):
        return bool(where(name, module))
    return any(name == which if isinstance(which, str) else isinstance(module, which) for which in where)


def _trace_in_both_modes(model: nn.Module, chosen: set[str], leaf: tuple[Any, ...]) -> fx.Graph:
    """Return the graph, which has to be the same in training and evaluation: it holds for both from now on."""
    inside = {name[: dot.start()] for name in chosen for dot in re.finditer(r"\.", name)}

    def is_leaf(name: str, module: nn.Module) -> bool:  # what has nothing to be replaced in it is kept whole
        return name not in inside or _matches(leaf, name, module)

    advice = (
        "rewrite control flow that depends on data, or keep a module whole by leaf=['its name'] if the norm layers "
        "inside may stay as they are"
    )
    training, evaluation = (trace(model.train(mode), is_leaf, advice) for mode in (True, False))
    a, b = (
        [re.sub(r"_tensor_constant\d+", "constant", f"{n.op} {n.target} {n.args} {n.kwargs}") for n in graph.nodes]
        for graph in (training, evaluation)
    )
    if a != b:
        first = next((i for i, (s, t) in enumerate(zip(a, b, strict=False)) if s != t), min(len(a), len(b)) - 1)
        name = _common_module(*(list(graph.nodes)[first] for graph in (training, evaluation)))
        raise ValueError(
            f"the forward of {name or type(model).__name__!r} reads its training mode, which a graph cannot; use a "
            "layer such as nn.Dropout in place of a function, switch auxiliary outputs off, or keep the module whole "
            f"by leaf=[{name!r}] if the norm layers inside may stay as they are"
        )
    return evaluation


def _common_module(*nodes: fx.Node) -> str:
    """Return the name of the innermost module in whose forward all of these nodes are."""
    stacks = [list(node.meta.get("nn_module_stack", {})) for node in nodes]
    # The module that a node itself calls is the last in its stack.
    paths = [stack[:-1] if node.op == "call_module" else stack for node, stack in zip(nodes, stacks, strict=True)]
    shared = [first for first, *others in zip(*paths, strict=False) if others == [first] * len(others)]
    return shared[-1] if shared else ""


def _thread_context(graph: fx.Graph, names: set[str]) -> None:
    """Give the graph the input ``context``, unless it has it, and hand it to the layers of these names."""
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    if len(placeholders) == 1:
        with graph.inserting_after(placeholders[0]):
            placeholders.append(graph.placeholder("context", default_value=None))
    for node in graph.nodes:
        if node.op == "call_module" and node.target in names:
            node.args, node.kwargs = (node.all_input_nodes[0], placeholders[1]), {}


@torch.no_grad()
def _try_out(model: nn.Module, net: nn.Module, example: Tensor, exact: bool) -> None:
    modes = {module: module.training for module in (*model.modules(), *net.modules())}
    context = torch.zeros(len(example), dtype=torch.int64, device=example.device)
    expected, got = model.eval()(example), net.eval()(example, context)
    for module, mode in modes.items():
        module.training = mode
    if exact and isinstance(expected, Tensor):
        gap, size = (got - expected).abs().max().item(), expected.abs().max().item()
        if not gap <= 1e-3 * size:
            raise ValueError(
                f"on the example the converted network departs from the original by {gap:.3g} (values up to {size:.3g})"
            )
