"""Expanding what was deflated into a structure on a disk, which may state any size and hold any bytes."""

from __future__ import annotations

import zlib

from inpart.errors import IntegrityError


def inflate(stored: bytes, size: int, what: str) -> bytes:
    """``stored`` expanded to exactly ``size`` bytes, and never to more. Raises IntegrityError with ``what``."""
    expander = zlib.decompressobj()
    try:
        expanded = expander.decompress(stored, size + 1)
    except zlib.error:
        expanded = b""
    if len(expanded) != size:
        raise IntegrityError(f"{what} is damaged: its compressed part")
    return expanded
