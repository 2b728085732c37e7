"""The two checksums of the formats: CRC-32C on every stored unit, BLAKE3 for content.

CRC-32C (Castagnoli, RFC 3720 section B.4) runs at memory speed on current processors and guards each header and
body by itself; BLAKE3 identifies content across images and seals an index.
"""

from __future__ import annotations

import numpy as np
from blake3 import blake3
from crc32c import crc32c as _crc32c

BLAKE3_SIZE = 32

Bytes = bytes | bytearray | memoryview


def crc32c(data: Bytes, value: int = 0) -> int:
    """CRC-32C of ``data``, continuing from ``value``; releases the interpreter lock for large buffers."""
    return int(_crc32c(data, value))


def blake3_digest(data: Bytes) -> bytes:
    """The 32 byte BLAKE3 digest of ``data``; releases the interpreter lock for large buffers."""
    return bytes(blake3(data).digest())


def all_zero(data: Bytes) -> bool:
    """True if every byte of ``data`` is zero."""
    view = memoryview(data)
    if view and view[0]:
        return False
    return not np.frombuffer(view, dtype=np.uint8).any()
