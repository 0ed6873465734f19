"""Files of weights that others saved, read without running code that they hold."""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from dacn.errors import DataError, did_you_mean

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "backbone", "encoder", "teacher")
"""The keys under which training scripts keep weights in their checkpoints; the first that is there is taken."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Args:
        path: a state dict, or a checkpoint that holds one, as ``torch.save`` writes it; or a ``.safetensors`` file.

    Raises:
        DataError: there is no such file, it is damaged or of another kind, or it holds no weights.
    """
    if not path.is_file():
        siblings = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"model.backbone.pretrained: {path}: there is no such file{did_you_mean(path.name, siblings)}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    weights = unwrap(content)
    if not weights:
        held = f"a mapping of {_some(content)}" if isinstance(content, Mapping) else type(content).__name__
        raise DataError(
            f"model.backbone.pretrained: {path}: holds {held}, expected a state dict (names and tensors) or a "
            f"checkpoint with one under {', '.join(WRAPPERS[:3])} or the like"
        )
    return weights


def unwrap(content: Any) -> dict[str, Tensor]:
    """Return the state dict in what a file holds; empty where there is none.

    >>> unwrap({"epoch": 3, "state_dict": {"module.weight": torch.zeros(2)}})
    {'module.weight': tensor([0., 0.])}
    """
    if not isinstance(content, Mapping):
        return {}
    own = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    inside = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
    for each in inside:
        if weights := unwrap(each):
            return weights
    return own


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise DataError(
            f"model.backbone.pretrained: {path}: holds more than tensors and plain values, or is no file of torch; "
            "save the weights alone: torch.save(model.state_dict(), path)"
        ) from error
    except (RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"model.backbone.pretrained: {path}: damaged, or no file of weights ({reason})") from error


def _read_safetensors(path: Path) -> Any:
    if find_spec("safetensors") is None:
        raise DataError(
            f"model.backbone.pretrained: {path}: to read it needs safetensors, not installed here: "
            "pip install safetensors"
        )
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"model.backbone.pretrained: {path}: damaged, or no safetensors file ({error})") from error


def _some(names: Iterable[Any], most: int = 5) -> str:
    listed = [str(name) for name in names]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "") or "nothing"
