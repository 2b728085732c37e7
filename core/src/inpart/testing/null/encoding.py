"""The null encoding: every byte exclusive-or one key, stored in front: one byte longer than the data."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inpart.errors import IntegrityError, UsageError
from inpart.volume import Buffer


class NullParameters(BaseModel):
    """The key."""

    model_config = ConfigDict(frozen=True)

    key: int = Field(default=255, ge=0, le=255)


class NullEncoding:
    """``null`` or ``null:KEY``. What is stored differs from what was there, so nobody can forget to decode."""

    name = "null"
    api_version = 1
    summary = "exclusive-or with one byte, for tests"
    encoding_id = 254

    def __init__(self, parameters: NullParameters | None = None) -> None:
        self.parameters = parameters or NullParameters()

    def configured(self, argument: str) -> NullEncoding:
        """``argument`` is the key, 0 to 255. Raises UsageError."""
        try:
            return NullEncoding(NullParameters.model_validate({"key": argument}))
        except ValidationError as error:
            raise UsageError(
                f"{argument!r} is not a key of the null encoding", hint="write null:0 to null:255"
            ) from error

    def encode(self, data: Buffer) -> bytes:
        """The key, then the data."""
        key = self.parameters.key
        return bytes((key,)) + (np.frombuffer(data, dtype=np.uint8) ^ np.uint8(key)).tobytes()

    def decode(self, data: Buffer, size: int) -> bytes:
        """Needs no parameters: the key is in front. Raises IntegrityError."""
        if len(data) != size + 1:
            raise IntegrityError(f"{len(data)} bytes of the null encoding cannot stand for {size}")
        view = memoryview(data)
        return (np.frombuffer(view[1:], dtype=np.uint8) ^ np.uint8(view[0])).tobytes()
