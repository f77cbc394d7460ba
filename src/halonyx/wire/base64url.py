"""Bytes as base64url without padding, as they travel in JSON. Source: spec/delivery.md, "REST"; RFC 4648 section 5."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from halonyx.core.encoding import decode_base64url, encode_base64url
from halonyx.core.errors import Malformed


@dataclass(frozen=True, slots=True)
class Base64Url:
    """Marks a `bytes` field that travels as base64url.

    Attributes:
        minimum: Fewest bytes.
        maximum: Most bytes.
    """

    minimum: int
    maximum: int

    def parse(self, value: object) -> bytes:
        """Return the bytes of a JSON string, or check bytes passed from Python.

        Raises:
            ValueError: Neither, or of another size.
        """
        longest = (4 * self.maximum + 2) // 3
        match value:
            case str() if len(value) <= longest:
                try:
                    data = decode_base64url(value)
                except Malformed as error:
                    raise ValueError(str(error)) from None  # pydantic knows no other
            case bytes():
                data = value
            case _:
                raise ValueError("not base64url of the right size")
        if not self.minimum <= len(data) <= self.maximum:
            raise ValueError("not base64url of the right size")
        return data

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(encode_base64url, when_used="json"),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "string",
            "format": "base64url",
            "pattern": "^[A-Za-z0-9_-]*$",
            "minLength": (4 * self.minimum + 2) // 3,
            "maxLength": (4 * self.maximum + 2) // 3,
        }
