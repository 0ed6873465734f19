"""How a recipe gives domains: ``{folder:}``, ``{npz:}``, ``{torchvision:}``, ``{named:}``, ``{python:}``."""

from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter

from dacn.config import Config
from dacn.data.known.catalogue import NamedSpec
from dacn.data.read.folder import FolderSpec
from dacn.data.read.npz import NpzSpec
from dacn.data.read.python_set import PythonSpec
from dacn.data.read.torchvision_set import TorchvisionSpec
from dacn.errors import did_you_mean

SPECS: dict[str, type[Config]] = {
    "folder": FolderSpec,
    "npz": NpzSpec,
    "torchvision": TorchvisionSpec,
    "named": NamedSpec,
    "python": PythonSpec,
}


def parse_spec(value: Any) -> Any:
    """Return the spec that a mapping's key names.

    Pydantic's own union would report the problems of all kinds at once.

    Raises:
        ValueError: no kind's key, or several, or a key that this kind does not know.
    """
    if isinstance(value, Config) or value is None:
        return value
    kinds = ", ".join(f"{{{kind}: ...}}" for kind in SPECS)
    if not isinstance(value, dict):
        raise ValueError(f"expected one of {kinds}")
    named = [key for key in value if key in SPECS]
    if not named:
        near = "".join(did_you_mean(key, SPECS) for key in value)
        raise ValueError(f"expected one of {kinds}, got the keys {', '.join(map(str, value)) or 'none'}{near}")
    if len(named) > 1:
        raise ValueError(f"expected one of {kinds}, got {' and '.join(named)}")
    kind = SPECS[named[0]]
    for key in value:
        if key not in kind.model_fields:
            valid = ", ".join(kind.model_fields)
            raise ValueError(
                f"unknown key {key!r} beside {named[0]!r}{did_you_mean(key, kind.model_fields)}; valid: {valid}"
            )
    return kind.model_validate(value)


AnySpec = FolderSpec | NpzSpec | TorchvisionSpec | NamedSpec | PythonSpec
DomainSpec = Annotated[AnySpec, BeforeValidator(parse_spec)]
_SEVERAL: TypeAdapter[tuple[AnySpec, ...]] = TypeAdapter(tuple[DomainSpec, ...])


def parse_specs(value: Any) -> Any:
    """Return the spec that a mapping names, or those that a list of mappings names.

    Raises:
        ValueError: as `parse_spec` does, located in the list; or the list is empty.
    """
    if not isinstance(value, list | tuple):
        return parse_spec(value)
    if not value:
        raise ValueError("expected at least one domain in the list")
    return _SEVERAL.validate_python(value)


DomainSpecs = Annotated[AnySpec | tuple[DomainSpec, ...], BeforeValidator(parse_specs)]


def as_tuple(specs: AnySpec | tuple[AnySpec, ...] | None) -> tuple[AnySpec, ...]:
    """Return the specs one by one, however they were given."""
    if specs is None:
        return ()
    return specs if isinstance(specs, tuple) else (specs,)
