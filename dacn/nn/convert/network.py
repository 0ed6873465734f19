"""A converted network: the modules of the original, called in the order that its graphs tell."""

import importlib
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import Tensor, fx, nn

from dacn.nn.context import context_of_rows


class GraphCode:
    """The code of a graph, as a function of a module and the graph's inputs.

    Pickled, it is text, and the objects that the text names, so that nothing has to be traced again.

    Args:
        source: of a function ``forward(self, ...)``, as `torch.fx.Graph.python_code` writes it.
        names: what the source refers to.
    """

    def __init__(self, source: str, names: dict[str, Any]) -> None:
        self.source, self.names = source, names
        namespace = dict(names)
        exec(compile(source, "<converted network>", "exec"), namespace)
        self.function: Callable[..., Any] = namespace["forward"]

    @classmethod
    def of(cls, graph: fx.Graph) -> "GraphCode":
        """Return the code of a graph."""
        code = graph.python_code("self")
        return cls(code.src, code.globals)

    def __reduce__(self) -> tuple[Any, ...]:
        modules = {name: value.__name__ for name, value in self.names.items() if isinstance(value, ModuleType)}
        others = {name: value for name, value in self.names.items() if name not in modules}
        return _load, (self.source, others, modules)  # a module is no object to pickle, its name is


def _load(source: str, others: dict[str, Any], modules: dict[str, str]) -> GraphCode:
    return GraphCode(source, others | {name: importlib.import_module(path) for name, path in modules.items()})


class ConvertedNetwork(nn.Module):
    """What `convert_norm` returns: a network that is called as ``net(x, context)``.

    It has every module, parameter, buffer and hook of the model under the same name. Its forward is the model's code as
    it ran when traced in training or in evaluation, whichever mode the network is in. Modules that hold replaced layers
    are no longer called themselves.

    Args:
        model: the modules; they become this network's own.
        training, evaluation: graphs over them, of inputs x and context.

    Shape: x as the model takes it; context ``(B,)`` int64, or one integer for all rows, or None in evaluation where it
    is unknown; returns what the model returns.
    """

    takes_context = True

    def __init__(self, model: nn.Module, training: fx.Graph, evaluation: fx.Graph) -> None:
        super().__init__()
        own = nn.Module().__dict__.keys()  # parameters, buffers, modules, hooks and the mode
        self.__dict__.update({name: value for name, value in model.__dict__.items() if name in own})
        for hook in self._load_state_dict_pre_hooks.values():  # torch wraps them
            if getattr(hook, "with_module", False):  # it holds on to the module that it is to be called with
                hook.module = weakref.ref(self)  # type: ignore[attr-defined]
        self._in_training, self._in_evaluation = GraphCode.of(training), GraphCode.of(evaluation)

    @property
    def code(self) -> str:
        """The forward of the present mode, as Python."""
        return (self._in_training if self.training else self._in_evaluation).source

    def forward(self, x: Any, context: Any = None) -> Any:
        """Return what the model returns, each row normalized by its context."""
        if isinstance(x, Tensor) and context is not None:
            context = context_of_rows(context, x)
        code = self._in_training if self.training else self._in_evaluation
        return code.function(self, x, context)
