"""The base of every config: frozen, and an unknown key is an error; and the one-word shorthand for a choice of them."""

import re
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Config(BaseModel):
    """A part of a recipe. Each concrete config lives beside the code that takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Word:
    """Annotates configs told apart by ``name``, so that one word, ``norm: acn``, stands for ``norm: {name: acn}``.

    Args:
        hint: says of a name that is none of theirs what it is here, or returns None; its answer becomes the message.
    """

    def __init__(self, hint: Callable[[str], str | None] = lambda word: None) -> None:
        self.hint = hint

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: Any = handler(source)
        union = get_args(source)[0] if get_origin(source) is Annotated else source
        names = {config.model_fields["name"].default for config in get_args(union)}

        def as_mapping(value: Any) -> Any:
            mapping = {"name": value} if isinstance(value, str) else value
            name = mapping.get("name") if isinstance(mapping, dict) else None
            if isinstance(name, str) and name not in names and (known := self.hint(name)):
                raise ValueError(known if isinstance(value, str) else f"name: got {name!r}, {known}")
            return mapping

        return core_schema.no_info_before_validator_function(as_mapping, schema)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        mapping = handler(schema)
        return {"anyOf": [{"type": "string", "enum": list(mapping["discriminator"]["mapping"])}, mapping]}


def plainly(word: str) -> str:
    """Return a name as everybody would write it: small letters alone, what only repeats the kind of layer left out.

    >>> plainly("BatchNorm2d"), plainly("batch_norm"), plainly("Batch Normalization")
    ('batchnorm', 'batchnorm', 'batchnorm')
    """
    return re.sub(r"[^a-z]", "", re.sub(r"[123]d$", "", word.lower())).removesuffix("alization")
