"""A file while it is edited: whole attributes, and the bytes of attributes, lists and records made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from inpart.errors import FilesystemUnsupported
from numpy.typing import NDArray

from inpart_ntfs.attributes import Attribute, FileRecord, Stream
from inpart_ntfs.mft import Mft
from inpart_ntfs.runs import HOLE, encode
from inpart_ntfs.structs import (
    ATTR_LIST_ENTRY,
    ATTR_NON_RESIDENT,
    ATTR_RECORD,
    BLOCK,
    COMPRESSED_SIZE,
    FILE_RECORD,
    HEADER_SIZE_OLD,
    MAGIC_FILE,
    NON_RESIDENT_SIZE,
    RESIDENT_SIZE,
    AttributeFlag,
    AttributeType,
    RecordFlag,
    Struct,
    field_offset,
)

Numbers = NDArray[np.int64]

END = AttributeType.END.to_bytes(4, "little") + bytes(4)
INSTANCE = field_offset(ATTR_RECORD, "instance")
INDEXED = 1
"""The resident flag of a value that an index holds, as that of FILE_NAME."""


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


@dataclass
class DraftAttribute:
    """A whole attribute: ``value`` if resident, else ``rows`` of vcn, lcn, count from vcn 0 on, shape (k, 3).

    ``pieces`` are where it stands on the disk, none if it is new. Changes are told by comparing the two.
    """

    type: int
    name: str = ""
    flags: int = 0
    value: bytes = b""
    rows: Numbers | None = None
    data_size: int = 0
    initialized_size: int = 0
    compression_unit: int = 0
    resident_flags: int = 0
    pieces: tuple[Attribute, ...] = ()

    @classmethod
    def of(cls, stream: Stream) -> DraftAttribute:
        """Raises FilesystemDamaged if its run list is damaged."""
        first = stream.first
        return cls(
            type=first.type,
            name=first.name,
            flags=first.flags,
            value=first.value,
            rows=stream.rows.copy() if first.non_resident else None,
            data_size=first.data_size,
            initialized_size=first.initialized_size,
            compression_unit=first.compression_unit,
            resident_flags=first.resident_flags,
            pieces=stream.pieces,
        )

    @property
    def runs(self) -> Numbers:
        """``rows``, none if it is resident."""
        return np.empty((0, 3), dtype=np.int64) if self.rows is None else self.rows

    @property
    def is_sized_alike(self) -> bool:
        """True if at most clusters have changed their place."""
        if not self.pieces or self.rows is None or not self.pieces[0].non_resident:
            return False
        first = self.pieces[0]
        sizes = (first.data_size, first.initialized_size, first.flags)
        return (self.data_size, self.initialized_size, self.flags) == sizes and self.pieces[-1].highest_vcn == self.last

    @property
    def last(self) -> int:
        """The last vcn; -1 if there is none."""
        return int(self.runs[-1, 0] + self.runs[-1, 2]) - 1 if len(self.runs) else -1

    def between(self, lowest: int, highest: int) -> Numbers:
        """Rows of the vcns from ``lowest`` to ``highest``."""
        return cut_rows(self.runs, lowest, highest + 1)

    def header_size(self) -> int:
        """Bytes of a piece before its run list."""
        special = self.flags & (AttributeFlag.SPARSE | AttributeFlag.COMPRESSION_MASK)
        fixed = COMPRESSED_SIZE if special else NON_RESIDENT_SIZE
        return fixed + -(-2 * _units(self.name) // 8) * 8

    def resident(self) -> bytes:
        """The bytes of a resident attribute, instance 0."""
        name = self.name.encode("utf-16-le", "surrogatepass")
        start = RESIDENT_SIZE + -(-len(name) // 8) * 8
        raw = bytearray(start + -(-len(self.value) // 8) * 8)
        _put(raw, ATTR_RECORD, type=self.type, length=len(raw), flags=self.flags)
        _put(raw, ATTR_RECORD, name_length=len(name) // 2, name_offset=RESIDENT_SIZE)
        raw[16:20] = len(self.value).to_bytes(4, "little")
        raw[20:22] = start.to_bytes(2, "little")
        raw[22] = self.resident_flags
        raw[RESIDENT_SIZE : RESIDENT_SIZE + len(name)] = name
        raw[start : start + len(self.value)] = self.value
        return bytes(raw)

    def mapped(self, rows: Numbers, geometry: Geometry, lowest: int = 0) -> bytes:
        """The bytes of the piece that maps ``rows``, from vcn ``lowest`` on, instance 0."""
        pairs = encode(rows, hole_as_lcn=geometry.old_holes)
        name = self.name.encode("utf-16-le", "surrogatepass")
        start = self.header_size()
        fixed = start - -(-len(name) // 8) * 8
        raw = bytearray(start + -(-len(pairs) // 8) * 8)
        _put(raw, ATTR_RECORD, type=self.type, length=len(raw), non_resident=1, flags=self.flags)
        _put(raw, ATTR_RECORD, name_length=len(name) // 2, name_offset=fixed)
        highest = int(rows[-1, 0] + rows[-1, 2]) - 1 if len(rows) else lowest - 1
        more = {"lowest_vcn": lowest, "highest_vcn": highest}
        more |= {"mapping_pairs_offset": start, "compression_unit": self.compression_unit}
        if lowest == 0:
            more |= {"allocated_size": (self.last + 1) * geometry.cluster_size}
            more |= {"data_size": self.data_size, "initialized_size": self.initialized_size}
            if fixed == COMPRESSED_SIZE:
                stored = int(self.runs[self.runs[:, 1] != HOLE, 2].sum())
                more["compressed_size"] = stored * geometry.cluster_size
        _put(raw, ATTR_NON_RESIDENT, ATTR_RECORD.itemsize, **more)
        raw[fixed : fixed + len(name)] = name
        raw[start : start + len(pairs)] = pairs
        return bytes(raw)


@dataclass
class Draft:
    """A file: the header of its base record, its attributes without the list of them, and where all of it stands.

    ``header`` are the bytes of the base record before its first attribute. ``records`` are its records on the disk,
    the base record among them unless the file is new; ``listing`` is its attribute list there.
    """

    number: int
    header: bytearray
    attributes: list[DraftAttribute]
    records: dict[int, FileRecord] = field(default_factory=dict)
    listing: Attribute | None = None

    def get(self, name: str) -> int:
        """A field of the header."""
        return _get(self.header, FILE_RECORD, name)

    def put(self, **fields: int) -> None:
        """Set fields of the header: flags, link_count ..."""
        _put(self.header, FILE_RECORD, **fields)

    @property
    def reference(self) -> int:
        """The file reference that leads here."""
        return self.number | self.get("sequence_number") << 48

    def find(self, kind: int, name: str = "") -> DraftAttribute | None:
        """The first attribute of a type and name."""
        return next((one for one in self.attributes if one.type == kind and one.name == name), None)


def load(mft: Mft, number: int) -> Draft:
    """A file as it stands on the disk. Raises FilesystemDamaged."""
    file = mft.assembled(number)
    listing = file.base.find(AttributeType.ATTRIBUTE_LIST)
    drafts = [DraftAttribute.of(one) for one in file.streams if one.type != AttributeType.ATTRIBUTE_LIST]
    header = bytearray(file.base.raw[: file.base.attrs_offset])
    return Draft(number, header, drafts, {number: file.base, **file.extensions}, listing)


def new_draft(number: int, sequence: int, flags: int, attributes: list[DraftAttribute], like: Draft) -> Draft:
    """A file that is not on the disk yet; ``like`` is any file of the volume."""
    header = empty_header(like, number, sequence)
    _put(header, FILE_RECORD, flags=flags | RecordFlag.IN_USE, base_mft_record=0)
    return Draft(number, header, attributes)


def empty_header(like: Draft, number: int, sequence: int) -> bytearray:
    """The header of an extension record of ``like``, laid out as that of its base record."""
    header = bytearray(len(like.header))
    layout = {name: like.get(name) for name in ("usa_ofs", "usa_count", "attrs_offset", "bytes_allocated")}
    _put(header, FILE_RECORD, magic=MAGIC_FILE, sequence_number=sequence, flags=RecordFlag.IN_USE, **layout)
    _put(header, FILE_RECORD, base_mft_record=like.reference)
    if layout["usa_ofs"] > HEADER_SIZE_OLD:
        _put(header, FILE_RECORD, mft_record_number=number)
    return header


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
    following = _get(header, FILE_RECORD, "next_attr_instance")
    taken = [piece.instance for piece in pieces if piece.instance is not None]
    following = max([following, *(one + 1 for one in taken)])
    if following + len(pieces) > 0xFFFF:
        raise FilesystemUnsupported("a record has used up its instance numbers", hint="run chkdsk on it first")
    at, placed = len(header), []
    for piece in sorted(pieces, key=lambda one: one.order(geometry)):
        instance = piece.instance
        if instance is None:
            instance, following = following, following + 1
        raw = piece.raw[:INSTANCE] + instance.to_bytes(2, "little") + piece.raw[INSTANCE + 2 :]
        image[at : at + len(raw)] = raw
        at += len(raw)
        placed.append(Piece(piece.type, piece.name, piece.lowest_vcn, raw, instance))
    image[at : at + len(END)] = END
    _put(image, FILE_RECORD, bytes_in_use=at + len(END), next_attr_instance=following)
    return bytes(image), tuple(placed)


def room_in(header: bytes, geometry: Geometry) -> int:
    """Bytes that attributes may take in a record."""
    return geometry.record_size - len(header) - len(END)


def differing(before: bytes, after: bytes, sector_size: int) -> list[int]:
    """The sectors that have to be written to turn one image of a record into the other, by their first byte.

    What lies behind the end of what one of them uses does not count. The last two bytes of each stride are kept in
    the update sequence array, in the first sector.
    """
    used = min(_get(image, FILE_RECORD, "bytes_in_use") for image in (before, after))
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
        _put(raw, ATTR_LIST_ENTRY, mft_reference=reference, instance=piece.instance or 0, **place)
        raw[ATTR_LIST_ENTRY.itemsize : ATTR_LIST_ENTRY.itemsize + len(name)] = name
        parts.append(bytes(raw))
    return b"".join(parts)


def entry_size(name: str) -> int:
    """Bytes of an entry in an attribute list."""
    return -(-(ATTR_LIST_ENTRY.itemsize + 2 * _units(name)) // 8) * 8


def cut_rows(rows: Numbers, first: int, end: int) -> Numbers:
    """The part of rows of vcn, lcn, count from vcn ``first`` up to ``end``."""
    low = int(np.searchsorted(rows[:, 0] + rows[:, 2], first, side="right"))
    high = int(np.searchsorted(rows[:, 0], end, side="left"))
    part = rows[low:high].copy()
    if len(part):
        skip = max(0, first - int(part[0, 0]))
        part[0] += (skip, skip if part[0, 1] != HOLE else 0, -skip)
        part[-1, 2] -= max(0, int(part[-1, 0] + part[-1, 2]) - end)
    return part


def _units(name: str) -> int:
    return len(name.encode("utf-16-le", "surrogatepass")) // 2


def _get(raw: bytes | bytearray, struct: Struct, name: str) -> int:
    at, size = _place(struct, name)
    return int.from_bytes(raw[at : at + size], "little") if at + size <= len(raw) else 0


def _put(raw: bytearray, struct: Struct, base: int = 0, **values: int) -> None:
    for name, value in values.items():
        at, size = _place(struct, name)
        raw[base + at : base + at + size] = value.to_bytes(size, "little", signed=value < 0)


@cache
def _place(struct: Struct, name: str) -> tuple[int, int]:
    """Where a field stands, and its bytes."""
    return field_offset(struct, name), struct[name].itemsize
