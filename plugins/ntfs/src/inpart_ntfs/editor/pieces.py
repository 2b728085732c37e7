"""The bytes of records and attribute lists, made of pieces of attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from inpart.errors import FilesystemUnsupported

from inpart_ntfs.attributes import Attribute
from inpart_ntfs.codes import AttributeType
from inpart_ntfs.structs import ATTR_LIST_ENTRY, ATTR_RECORD, BLOCK, FILE_RECORD, Struct, field_offset

END = AttributeType.END.to_bytes(4, "little") + bytes(4)
INSTANCE = field_offset(ATTR_RECORD, "instance")


@dataclass(frozen=True)
class Geometry:
    """What the bytes of records depend on; sizes in bytes.

    ``sector_size`` is what is written at once. ``old_holes`` asks for holes as NTFS 1.2 writes them. ``fold`` makes
    names equal as $UpCase does.
    """

    record_size: int
    cluster_size: int
    sector_size: int
    fold: Callable[[str], bytes]
    old_holes: bool = False


@dataclass(frozen=True)
class Piece:
    """A part of a file as it is to stand in a record: ``raw`` with instance 0 unless it stays where it is."""

    type: int
    name: str
    lowest_vcn: int
    raw: bytes
    instance: int | None = None

    @classmethod
    def standing(cls, attribute: Attribute) -> Piece:
        """A piece that stays where it is."""
        return cls(attribute.type, attribute.name, attribute.lowest_vcn, attribute.raw, attribute.instance)

    def order(self, geometry: Geometry) -> tuple[object, ...]:
        """Pieces stand in this order in records and lists: type, name, vcn."""
        units = np.frombuffer(geometry.fold(self.name), dtype="<u2").tolist()
        return (self.type, units, self.name, self.lowest_vcn)


def record_image(
    header: bytes, pieces: Sequence[Piece], geometry: Geometry, before: bytes = b""
) -> tuple[bytes, tuple[Piece, ...]]:
    """A record of these pieces, and the pieces in order with their instance numbers.

    Behind the end mark the bytes of ``before`` stay, so that as few sectors as can be differ from it.
    """
    image = bytearray(before or bytes(geometry.record_size))
    image[: len(header)] = header
    following = get_field(header, FILE_RECORD, "next_attr_instance")
    taken = [piece.instance for piece in pieces if piece.instance is not None]
    following = max([following, *(one + 1 for one in taken)])
    if following + len(pieces) > 0xFFFF:
        raise FilesystemUnsupported("a record has used up its instance numbers", hint="run chkdsk on it first")
    at, placed = len(header), []
    for piece in sorted(pieces, key=lambda one: one.order(geometry)):
        instance = piece.instance
        if instance is None:
            instance, following = following, following + 1
        raw = numbered(piece.raw, instance)
        image[at : at + len(raw)] = raw
        at += len(raw)
        placed.append(Piece(piece.type, piece.name, piece.lowest_vcn, raw, instance))
    image[at : at + len(END)] = END
    put_fields(image, FILE_RECORD, bytes_in_use=at + len(END), next_attr_instance=following)
    return bytes(image), tuple(placed)


def numbered(raw: bytes, instance: int) -> bytes:
    """The bytes of an attribute with another instance number."""
    return raw[:INSTANCE] + instance.to_bytes(2, "little") + raw[INSTANCE + 2 :]


def room_in(header: bytes, geometry: Geometry) -> int:
    """Bytes that attributes may take in a record."""
    return geometry.record_size - len(header) - len(END)


def differing(before: bytes, after: bytes, sector_size: int) -> list[int]:
    """The sectors that have to be written to turn one image of a record into the other, by their first byte.

    What lies behind the end of what one of them uses does not count. The last two bytes of each stride are kept in
    the update sequence array, in the first sector.
    """
    used = min(get_field(image, FILE_RECORD, "bytes_in_use") for image in (before, after))
    step = min(sector_size, len(before))
    found = {at for at in range(0, used, step) if before[at : at + step] != after[at : at + step]}
    tails = (at + BLOCK - 2 for at in range(0, len(before), BLOCK) if at < used)
    if any(before[tail : tail + 2] != after[tail : tail + 2] for tail in tails):
        found.add(0)
    return sorted(found)


def list_value(entries: Iterable[tuple[Piece, int]], geometry: Geometry) -> bytes:
    """The content of an attribute list for pieces and the file references of the records that they stand in."""
    parts = []
    for piece, reference in sorted(entries, key=lambda one: one[0].order(geometry)):
        name = piece.name.encode("utf-16-le", "surrogatepass")
        raw = bytearray(entry_size(piece.name))
        place = {"type": piece.type, "length": len(raw), "name_length": len(name) // 2}
        place |= {"name_offset": ATTR_LIST_ENTRY.itemsize, "lowest_vcn": piece.lowest_vcn}
        put_fields(raw, ATTR_LIST_ENTRY, mft_reference=reference, instance=piece.instance or 0, **place)
        raw[ATTR_LIST_ENTRY.itemsize : ATTR_LIST_ENTRY.itemsize + len(name)] = name
        parts.append(bytes(raw))
    return b"".join(parts)


def entry_size(name: str) -> int:
    """Bytes of an entry in an attribute list."""
    return -(-(ATTR_LIST_ENTRY.itemsize + 2 * units(name)) // 8) * 8


def units(name: str) -> int:
    """How many UTF-16 units a name has."""
    return len(name.encode("utf-16-le", "surrogatepass")) // 2


def get_field(raw: bytes | bytearray, struct: Struct, name: str) -> int:
    """A field of a structure at the front of ``raw``; 0 where that is too short for it."""
    at, size = _place(struct, name)
    return int.from_bytes(raw[at : at + size], "little") if at + size <= len(raw) else 0


def put_fields(raw: bytearray, struct: Struct, base: int = 0, **values: int) -> None:
    """Set fields of a structure that starts at byte ``base``."""
    for name, value in values.items():
        at, size = _place(struct, name)
        raw[base + at : base + at + size] = value.to_bytes(size, "little", signed=value < 0)


@cache
def _place(struct: Struct, name: str) -> tuple[int, int]:
    """Where a field stands, and its bytes."""
    return field_offset(struct, name), struct[name].itemsize
