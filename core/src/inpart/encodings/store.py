"""The encoding ``store``: bodies of frames are the plain bytes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from inpart.contracts import API_VERSION
from inpart.errors import IntegrityError, UsageError
from inpart.volume import Buffer


class StoreParameters(BaseModel):
    """``store`` has nothing to choose."""

    model_config = ConfigDict(frozen=True)


class StoreEncoding:
    """Keeps the bytes as they are; encoding id 1."""

    name = "store"
    api_version = API_VERSION
    summary = "bytes as they are, not compressed"
    encoding_id = 1

    def __init__(self) -> None:
        self.parameters: BaseModel = StoreParameters()

    def configured(self, argument: str) -> StoreEncoding:
        """Raises UsageError for any argument."""
        if argument:
            raise UsageError(f"the encoding store takes no parameter, not {argument!r}", hint="write just: store")
        return self

    def encode(self, data: Buffer) -> bytes:
        return bytes(data)

    def decode(self, data: Buffer, size: int) -> bytes:
        if len(data) != size:
            raise IntegrityError(f"a stored body has {len(data)} bytes where {size} are recorded")
        return bytes(data)
