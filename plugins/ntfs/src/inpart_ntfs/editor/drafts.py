"""A file while it is edited: whole attributes, and the bytes that they become."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inpart_ntfs.attributes import Attribute, FileRecord
from inpart_ntfs.codes import AttributeFlag, AttributeType, RecordFlag
from inpart_ntfs.editor.pieces import Geometry, get_field, put_fields, units
from inpart_ntfs.mft import Mft
from inpart_ntfs.runs import HOLE, encode
from inpart_ntfs.streams import Stream
from inpart_ntfs.structs import (
    ATTR_NON_RESIDENT,
    ATTR_RECORD,
    COMPRESSED_SIZE,
    FILE_RECORD,
    HEADER_SIZE_OLD,
    MAGIC_FILE,
    NON_RESIDENT_SIZE,
    RESIDENT_SIZE,
)

Numbers = NDArray[np.int64]

INDEXED = 1
"""The resident flag of a value that an index holds, as that of FILE_NAME."""


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
        return fixed + -(-2 * units(self.name) // 8) * 8

    def resident(self) -> bytes:
        """The bytes of a resident attribute, instance 0."""
        name = self.name.encode("utf-16-le", "surrogatepass")
        start = RESIDENT_SIZE + -(-len(name) // 8) * 8
        raw = bytearray(start + -(-len(self.value) // 8) * 8)
        put_fields(raw, ATTR_RECORD, type=self.type, length=len(raw), flags=self.flags)
        put_fields(raw, ATTR_RECORD, name_length=len(name) // 2, name_offset=RESIDENT_SIZE)
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
        put_fields(raw, ATTR_RECORD, type=self.type, length=len(raw), non_resident=1, flags=self.flags)
        put_fields(raw, ATTR_RECORD, name_length=len(name) // 2, name_offset=fixed)
        highest = int(rows[-1, 0] + rows[-1, 2]) - 1 if len(rows) else lowest - 1
        more = {"lowest_vcn": lowest, "highest_vcn": highest}
        more |= {"mapping_pairs_offset": start, "compression_unit": self.compression_unit}
        if lowest == 0:
            more |= {"allocated_size": (self.last + 1) * geometry.cluster_size}
            more |= {"data_size": self.data_size, "initialized_size": self.initialized_size}
            if fixed == COMPRESSED_SIZE:
                stored = int(self.runs[self.runs[:, 1] != HOLE, 2].sum())
                more["compressed_size"] = stored * geometry.cluster_size
        put_fields(raw, ATTR_NON_RESIDENT, ATTR_RECORD.itemsize, **more)
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
        return get_field(self.header, FILE_RECORD, name)

    def put(self, **fields: int) -> None:
        """Set fields of the header: flags, link_count ..."""
        put_fields(self.header, FILE_RECORD, **fields)

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
    put_fields(header, FILE_RECORD, flags=flags | RecordFlag.IN_USE, base_mft_record=0)
    return Draft(number, header, attributes)


def empty_header(like: Draft, number: int, sequence: int) -> bytearray:
    """The header of an extension record of ``like``, laid out as that of its base record."""
    header = bytearray(len(like.header))
    layout = {name: like.get(name) for name in ("usa_ofs", "usa_count", "attrs_offset", "bytes_allocated")}
    put_fields(header, FILE_RECORD, magic=MAGIC_FILE, sequence_number=sequence, flags=RecordFlag.IN_USE, **layout)
    put_fields(header, FILE_RECORD, base_mft_record=like.reference)
    if layout["usa_ofs"] > HEADER_SIZE_OLD:
        put_fields(header, FILE_RECORD, mft_record_number=number)
    return header


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
