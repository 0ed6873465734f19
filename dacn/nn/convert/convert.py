"""Any traceable network with its norm layers replaced and the context threaded through to them."""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.errors import did_you_mean
from dacn.nn.context import takes_context
from dacn.nn.convert.layout import norm_layers
from dacn.nn.convert.network import ConvertedNetwork
from dacn.nn.convert.refusals import CALL_HOOKS, STATE_HOOKS, copied, refuse_hooks, refuse_unsettled, refuse_wrappers
from dacn.nn.convert.replacement import device_and_dtype, hand_on, maker, statistics
from dacn.nn.convert.tracing import trace

ADVICE = (
    "rewrite control flow that depends on data, or keep a module whole by leaf=['its name'] if the norm layers inside "
    "may stay as they are"
)
# Measured on a ResNet-18 with fresh weights: losses 1.6, 15.9, 4e5, NaN at a rate of 0.01, even without a step of the
# Gaussians; with gradients clipped to norm 1 it trains.
UNDAMPED = (
    "every layer's mean and std are learned by the task's loss: no batch statistics hold activations at their scale, "
    "so the changes of one step multiply from layer to layer and training diverges at rates that BatchNorm bears; "
    "clip gradients (torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)), or take norm 'acn' with its default fit, "
    "'likelihood'"
)
Where = Callable[[str, nn.Module], bool] | Iterable[str | type[nn.Module]]


def convert_norm(
    model: nn.Module,
    norm: str | Callable[[int], nn.Module],
    num_contexts: int | None = None,
    where: Where | None = None,
    example: Tensor | None = None,
    *,
    leaf: Iterable[str | type[nn.Module]] = (),
    **options: Any,
) -> ConvertedNetwork:
    """Return a copy of ``model`` with its norm layers replaced, called as ``net(x, context)``.

    Every context starts at the weights and, from a BatchNorm, at the running statistics of the layer it replaces, with
    that layer's eps: in evaluation nothing has changed yet. A BatchNorm still at mean 0 and variance 1 has learned
    nothing, and a LayerNorm or GroupNorm keeps no statistics: their contexts start as the new layer's ``init`` says.

    The copy keeps the model's modules under their names, with parameters that are frozen or shared, modes and hooks. It
    is copied, pickled and compiled as the model is. A forward that reads ``self.training`` does in the copy what it did
    in the model, by the mode of the whole network. ``"cn"`` has the momentum of the BatchNorm that it replaces;
    ``"acn"`` follows its rows by ``eta``, which is 0 where that momentum is.

    Where the task's loss learns the Gaussians of several layers (``"acn_base"``, or ``fit="task"``), a warning says
    what their training needs.

    Args:
        model: a network of one input that torch.fx can trace; left as it is.
        norm: ``"acn"`` (fitted by likelihood unless ``fit`` says otherwise), ``"acn_base"``, ``"cn"``, or a function
            that makes a layer for a number of channels (and for channels that come last, if it takes
            ``channels_last``).
        num_contexts: K; a function knows it by itself.
        where: which layers: a predicate ``(name, module)``, or names and types. None: every BatchNorm.
        example: a batch on which the result is tried at once, in evaluation.
        leaf: names and types of modules that are not traced into; norm layers inside stay as they are. A part that was
            converted before is not traced into either, but is handed the context.
        options: of the layers that ``norm`` names, such as ``eta=0.05``.

    Shape: the result takes x as the model does, and context ``(B,)`` int64, an integer for all rows, or None; returns
    what the model returns.

    Raises:
        ValueError: a network that cannot be traced, that is compiled or wrapped for several devices, or that has hooks
            where nothing is called any more; no layer to replace, or one of a kind that cannot be; a wrong norm; an
            example on which the result departs from the model.

    >>> net = convert_norm(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()), "acn", num_contexts=2)
    >>> net(torch.rand(4, 3, 8, 8), torch.tensor([0, 0, 1, 1])).shape
    torch.Size([4, 8, 6, 6])
    """
    make = maker(norm, num_contexts, options)
    refuse_wrappers([("", model)])
    leaf, chosen = tuple(leaf), _choose(model, where)
    if list(chosen) == [""]:  # the model is a norm layer
        model, chosen = _holding(model), {"0": model}
    inside = _containers(chosen)
    whole = {
        name
        for name, module in model.named_modules()
        if name and isinstance(module, ConvertedNetwork) and name not in inside
    }  # parts that were converted before: they are handed the context
    inside |= _containers(whole)
    containers = [(name, m) for name, m in model.named_modules() if name in {"", *inside} and not _is(leaf, name, m)]
    refuse_wrappers(containers)
    refuse_unsettled(chosen.items())
    refuse_hooks(containers[1:], CALL_HOOKS, "but holds norm layers and is no longer called itself")
    refuse_hooks(
        containers[:1], {"_forward_pre_hooks": CALL_HOOKS["_forward_pre_hooks"]}, "which would lose the context"
    )
    refuse_hooks(chosen.items(), CALL_HOOKS | STATE_HOOKS, "but is replaced")

    original, model = model, copied(model)
    modes = {module: module.training for module in model.modules()}
    # What has nothing to be replaced in it is kept whole.
    graphs = [
        trace(model.train(mode), lambda name, m: name not in inside or _is(leaf, name, m), ADVICE)
        for mode in (True, False)
    ]
    for module, mode in modes.items():
        module.training = mode

    called = {node.target for graph in graphs for node in graph.nodes if node.op == "call_module"}
    replaced = {name: model.get_submodule(name) for name in chosen if name in called}
    if not replaced:
        raise ValueError(f"none of the norm layers is called outside of the leaves: {', '.join(chosen)}")
    names = list(model.named_modules(remove_duplicate=False))  # a layer that is called twice is one layer still
    tied: dict[Tensor, nn.Parameter] = {}
    for name, source in replaced.items():
        layer = make(name, source).to(*device_and_dtype(source, model)).train(source.training)
        hand_on(source, layer, tied)
        for alias in (alias for alias, module in names if module is source):
            model.set_submodule(alias, layer)
    for graph in graphs:
        _thread_context(graph, {name for name in (*replaced, *whole) if takes_context(model.get_submodule(name))})

    learned = norm == "acn_base" or (norm == "acn" and options.get("fit") == "task")
    if learned and len(replaced) > 1:
        warnings.warn(UNDAMPED, stacklevel=2)

    net = ConvertedNetwork(model, *graphs)
    if example is not None:
        _try_out(original, net, example, exact=all(statistics(source) for source in replaced.values()))
    return net


def _containers(names: Iterable[str]) -> set[str]:
    """Return the names of all modules that hold those of ``names``."""
    return {name[: dot.start()] for name in names for dot in re.finditer(r"\.", name)}


def _holding(layer: nn.Module) -> nn.Module:
    """Return a network of one layer, in the layer's mode, which stays its own."""
    network = nn.Sequential(layer)
    network.training = layer.training
    return network


def _choose(model: nn.Module, where: Where | None) -> dict[str, nn.Module]:
    modules = dict(model.named_modules())
    if where is None:
        where = (_BatchNorm,)
    if not callable(where):
        where = tuple(where)
        for name in where:
            if isinstance(name, str) and name not in modules:
                raise ValueError(f"the model has no module {name!r}{did_you_mean(name, modules)}")
    chosen = {name: module for name, module in modules.items() if _is(where, name, module)}
    if not chosen:
        present = Counter(type(module).__name__ for module in norm_layers(model).values())
        listed = ", ".join(f"{name} ({count})" for name, count in present.items()) or "none"
        raise ValueError(f"no norm layer to replace; those present: {listed}; choose with where=[...]")
    return chosen


def _is(where: Any, name: str, module: nn.Module) -> bool:
    if callable(where):
        return bool(where(name, module))
    return any(name == which if isinstance(which, str) else isinstance(module, which) for which in where)


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
