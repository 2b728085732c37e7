"""Chunks that one image has lost, from other images of the same partition that hold the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from inpart.errors import InpartError
from inpart.extents import Extents


class Lender(Protocol):
    """An image that may hold the same chunks."""

    @property
    def image_id(self) -> bytes:
        """16 bytes."""

    def has_same(self, number: int, extents: Extents, digest: bytes) -> bool:
        """True if chunk ``number`` has the same used bytes with the same content there."""

    def read_chunk(self, number: int) -> bytes:
        """The used bytes of chunk ``number``, proven. Raises InpartError."""


class Lenders:
    """Other images, opened when the first chunk is missed. ``used`` are the ids of those that have lent one."""

    def __init__(self, open_all: Callable[[], Sequence[Lender]]) -> None:
        self.used: set[bytes] = set()
        self._open_all = open_all
        self._opened: Sequence[Lender] | None = None
        self._lock = threading.Lock()

    def chunk(self, number: int, extents: Extents, digest: bytes) -> bytes | None:
        """The chunk with these used ``extents`` and this BLAKE3 ``digest`` of its content; None if none has it."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open_all()
        for lender in self._opened:
            if lender.has_same(number, extents, digest):
                try:
                    content = lender.read_chunk(number)
                except InpartError:
                    continue
                self.used.add(lender.image_id)
                return content
        return None
