"""Files of ``/.inpart`` that an interrupted change leaves without an entry: made and not yet shown, or no longer."""

from __future__ import annotations

import numpy as np
from inpart.contracts import CLAIMS_DIRECTORY
from inpart.errors import FilesystemDamaged

from inpart_ntfs.attributes import FileRecord, parse_record
from inpart_ntfs.codes import REFERENCE_MASK, AttributeType, FileAttribute, Number
from inpart_ntfs.mft import Mft
from inpart_ntfs.structs import FILE_NAME, STANDARD_INFORMATION, field_offset

_HIDDEN = FileAttribute.HIDDEN | FileAttribute.SYSTEM | FileAttribute.READONLY
_ATTRIBUTES = field_offset(STANDARD_INFORMATION, "file_attributes")
_LENGTH = field_offset(FILE_NAME, "file_name_length")


def is_abandoned(mft: Mft, number: int) -> bool:
    """True for a hidden, system, read-only file that is ``/.inpart``, or in a directory of that name and no other."""
    record = _record(mft, number)
    if record is None or not record.in_use or not _is_hidden(record):
        return False
    names = _names(mft, record)
    return bool(names) and all(_is_home(name) or _was_home(mft, _parent(name)) for name in names)


def _was_home(mft: Mft, reference: int) -> bool:
    """True if the record of a file reference is ``/.inpart``, shown or not, was until it was deleted, or is to be.

    Whoever deletes a file gives its record another sequence number; one that is free and has it still is not made yet.
    """
    record, sequence = _record(mft, reference & REFERENCE_MASK), reference >> 48
    if record is not None and not record.in_use and record.sequence_number == sequence:
        return True
    if record is None or not any(map(_is_home, _names(mft, record))):
        return False
    return record.sequence_number == (sequence if record.in_use else sequence % 0xFFFF + 1)


def _record(mft: Mft, number: int) -> FileRecord | None:
    """A record, in use or not; None if it is damaged."""
    try:
        found = mft.read(np.array([number], dtype=np.int64))
        return parse_record(number, found.raw[0].tobytes(), mft.boot.clusters) if found.sound.all() else None
    except FilesystemDamaged:
        return None


def _is_hidden(record: FileRecord) -> bool:
    found = record.find(AttributeType.STANDARD_INFORMATION)
    value = found.value if found is not None else b""
    return int.from_bytes(value[_ATTRIBUTES : _ATTRIBUTES + 4], "little") & _HIDDEN == _HIDDEN


def _names(mft: Mft, record: FileRecord) -> list[bytes]:
    """The FILE_NAME values of a file; of one that is deleted those in its base record."""
    try:
        found = mft.assembled(record.number).all(AttributeType.FILE_NAME) if record.in_use else record.attributes
    except FilesystemDamaged:
        return []
    values = (one.value for one in found if one.type == AttributeType.FILE_NAME)
    return [value for value in values if len(value) > FILE_NAME.itemsize]


def _parent(name: bytes) -> int:
    return int.from_bytes(name[:8], "little")


def _is_home(name: bytes) -> bool:
    units = name[FILE_NAME.itemsize : FILE_NAME.itemsize + 2 * name[_LENGTH]]
    return _parent(name) & REFERENCE_MASK == Number.ROOT and units == CLAIMS_DIRECTORY[1:].encode("utf-16-le")
