"""Copies of small system areas, boot sectors and partition tables, as they are kept beside an image."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from inpart_storage_contiguous.structs import MAX_OFFSET, require, to_text

Areas = Mapping[str, tuple[int, bytes]]
"""Place in the partition and bytes of each area by its name."""

_AREA = struct.Struct("<QIH2x")


def pack_areas(areas: Areas) -> bytes:
    """All areas in the order of their names."""
    return b"".join(
        _AREA.pack(start, len(data), len(name.encode())) + name.encode() + data
        for name, (start, data) in sorted(areas.items())
    )


def unpack_areas(data: bytes, at: int, count: int) -> dict[str, tuple[int, bytes]]:
    """``count`` areas from byte ``at`` on. Raises IntegrityError if they reach beyond ``data``."""
    found: dict[str, tuple[int, bytes]] = {}
    for _ in range(count):
        require(at + _AREA.size <= len(data), "system area")
        start, length, name_length = _AREA.unpack_from(data, at)
        at += _AREA.size
        require(at + name_length + length <= len(data) and start < MAX_OFFSET, "system area")
        found[to_text(data[at : at + name_length])] = (start, data[at + name_length : at + name_length + length])
        at += name_length + length
    return found
