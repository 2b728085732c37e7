"""The contract of an encoding: how the used bytes of a chunk become the body of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from inpart.contracts.common import Provider
from inpart.volume import Buffer

if TYPE_CHECKING:
    from pydantic import BaseModel


class Encoding(Provider, Protocol):
    """Turns bytes into fewer, or other, bytes and back. Every method may be called from several threads at once.

    An encoding object from a provider's hook has default parameters; ``configured`` makes one with others.
    """

    @property
    def encoding_id(self) -> int:
        """The number stored in frames, 1 to 65535; 1 to 255 are given out by the inpart project."""

    @property
    def parameters(self) -> BaseModel:
        """The parameters in force; they are recorded in the manifest and never needed for decoding."""

    def configured(self, argument: str) -> Encoding:
        """The same encoding with parameters from the text after the colon, ``3`` in ``zstd:3``. Raises UsageError."""

    def encode(self, data: Buffer) -> bytes:
        """The encoded form of ``data``; may be longer than ``data``, the caller then stores it plain."""

    def decode(self, data: Buffer, size: int) -> bytes:
        """The original bytes, exactly ``size`` of them. Raises IntegrityError, also if they would be more."""
