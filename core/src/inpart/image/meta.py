"""The body of a META frame: the manifest as known at the start, system areas, and bytes from outside the partition.

``u32`` length and JSON of the manifest; ``u32`` count of system areas, each ``u16`` length and UTF-8 name, ``u32``
length and coded extents; ``u32`` count of outside areas, each ``u16`` length and name, ``u64`` offset on the disk,
``u32`` length and bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from inpart.contracts import SystemArea
from inpart.errors import IntegrityError
from inpart.extents import Extents
from inpart.image.coding import decode_extents, encode_extents
from inpart.image.manifest import Manifest
from inpart.image.structs import MAX_RUNS, damaged

ExtraAreas = Mapping[str, tuple[int, bytes]]

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


@dataclass(frozen=True)
class Meta:
    """``extra_areas`` maps a name such as ``mbr`` to the offset on the disk, in bytes, and the bytes there."""

    manifest: Manifest
    system_areas: tuple[SystemArea, ...] = ()
    extra_areas: ExtraAreas = field(default_factory=dict)

    def pack(self) -> bytes:
        parts = [_counted(_U32, self.manifest.to_json()), _U32.pack(len(self.system_areas))]
        for area in self.system_areas:
            parts += [_counted(_U16, area.name.encode()), _counted(_U32, encode_extents(area.extents))]
        parts.append(_U32.pack(len(self.extra_areas)))
        for name, (offset, content) in self.extra_areas.items():
            parts += [_counted(_U16, name.encode()), _U64.pack(offset), _counted(_U32, content)]
        return b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes, partition_size: int) -> Meta:
        """Raises IntegrityError."""
        cursor = _Cursor(data)
        manifest = Manifest.from_json(cursor.counted(_U32))
        areas = _read_areas(cursor, partition_size)
        extra = _read_extra(cursor)
        if cursor.at != len(data):
            raise damaged("description", "has bytes left over")
        return cls(manifest, areas, extra)


def _read_areas(cursor: _Cursor, partition_size: int) -> tuple[SystemArea, ...]:
    areas: list[SystemArea] = []
    left = MAX_RUNS
    for _ in range(cursor.number(_U32)):
        name = cursor.name()
        extents: Extents = decode_extents(cursor.counted(_U32), 0, partition_size, max_runs=left)
        left -= len(extents)
        areas.append(SystemArea(name, extents))
    return tuple(areas)


def _read_extra(cursor: _Cursor) -> dict[str, tuple[int, bytes]]:
    extra: dict[str, tuple[int, bytes]] = {}
    for _ in range(cursor.number(_U32)):
        name = cursor.name()
        offset = cursor.number(_U64)
        extra[name] = (offset, cursor.counted(_U32))
    return extra


class _Cursor:
    """Reads counted pieces, never beyond the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, form: struct.Struct) -> int:
        return int(form.unpack(self._take(form.size))[0])

    def counted(self, form: struct.Struct) -> bytes:
        return self._take(self.number(form))

    def name(self) -> str:
        try:
            return self.counted(_U16).decode()
        except UnicodeDecodeError:
            raise damaged("description", "has a name that is not UTF-8") from None

    def _take(self, length: int) -> bytes:
        piece = self.data[self.at : self.at + length]
        if len(piece) != length:
            raise IntegrityError("the description in the image stream is cut short")
        self.at += length
        return piece


def _counted(form: struct.Struct, content: bytes) -> bytes:
    return form.pack(len(content)) + content
