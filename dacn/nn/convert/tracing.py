"""A network as a torch.fx graph of one input, or of two where it takes the context."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn


class _Tracer(fx.Tracer):
    """Keeps whole what ``is_leaf`` says and remembers in which module tracing failed."""

    def __init__(self, is_leaf: Callable[[str, nn.Module], bool]) -> None:
        super().__init__()
        self.failed: str | None = None
        self._is_leaf = is_leaf

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether the module stays one node of the graph."""
        return self._is_leaf(module_qualified_name, m)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Trace a module, or keep it."""
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed = self.failed or self.path_of_module(m)  # the innermost comes first
            raise

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        """Let the first argument and the context vary; every other argument takes its default."""
        fn, args = super().create_args_for_root(root_fn, is_module, concrete_args)
        for i, proxy in enumerate(args[2:], start=2):  # args[0] is the module itself, args[1] its input
            node = proxy.node
            if node.target == "context":
                continue
            if node.target.startswith("*"):
                args[i] = {} if node.target.startswith("**") else ()
            elif node.args:
                args[i] = node.args[0]
            else:
                raise TypeError(f"it takes a further input {node.target!r} that has no default")
            self.graph.erase_node(node)
        return fn, args


def trace(model: nn.Module, is_leaf: Callable[[str, nn.Module], bool], advice: str) -> fx.Graph:
    """Return the graph of ``model``, whose inputs are ``x`` and, where the model takes it, ``context``.

    The graph is that of the modes that the modules are in. It does not remember its tracer, for which a
    `torch.fx.GraphModule` would ask when it is loaded.

    Args:
        model: any module; arguments beyond these two are fixed at their defaults. Tensors that its forward makes become
            buffers of it, outside of its state dict.
        is_leaf: whether the module of a name stays one node.
        advice: what to do about a failure, the end of its message.

    Raises:
        ValueError: the network cannot be traced; names the module.
    """
    tracer = _Tracer(is_leaf)
    try:
        graph = tracer.trace(model)
    except Exception as error:  # a module's own code ran on proxies: anything may have come out
        module = model.get_submodule(tracer.failed or "")
        name = f"{tracer.failed!r} ({type(module).__name__})" if tracer.failed else type(module).__name__
        raise ValueError(f"cannot trace {name}: {str(error).strip()}; {advice}") from error
    for node in graph.nodes:
        if node.target is torch._assert:  # what its message was to tell of the input is not known
            node.args = (node.args[0], re.sub(r"Proxy\(\w+\)", "another", str(node.args[1])))
        if node.op == "get_attr" and isinstance(made := model.__dict__.get(node.target), torch.Tensor):
            delattr(model, node.target)
            model.register_buffer(node.target, made, persistent=False)  # which moves with the network
    copied = fx.Graph()
    copied.output(copied.graph_copy(graph, {}))
    return copied
