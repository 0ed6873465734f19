"""The base of every config: frozen, and an unknown key is an error; and the one-word shorthand for a choice of them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Config(BaseModel):
    """A part of a recipe. Each concrete config lives beside the code that takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Word:
    """Annotates configs told apart by ``name``, so that one word, ``norm: acn``, stands for ``norm: {name: acn}``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_mapping, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        mapping = handler(schema)
        return {"anyOf": [{"type": "string", "enum": list(mapping["discriminator"]["mapping"])}, mapping]}


def _as_mapping(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value
