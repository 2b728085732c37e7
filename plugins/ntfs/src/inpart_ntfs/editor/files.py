"""New files: their attributes, and the entries that lead to them."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass

import numpy as np
from inpart.errors import UsageError

from inpart_ntfs.codes import AttributeType, FileAttribute, Namespace
from inpart_ntfs.directory import I30
from inpart_ntfs.editor.clusters import Numbers, mapped
from inpart_ntfs.editor.drafts import INDEXED, Draft, DraftAttribute
from inpart_ntfs.editor.nodes import Entry, Node, pack_root
from inpart_ntfs.runs import joined
from inpart_ntfs.structs import FILE_NAME, STANDARD_INFORMATION, field_offset

ATTRIBUTES = FileAttribute.HIDDEN | FileAttribute.SYSTEM | FileAttribute.READONLY
_EPOCH = 116444736000000000
"""1970 in 100 ns since 1601."""
_OLD_SIZE = field_offset(STANDARD_INFORMATION, "owner_id")
_SECURITY_ID = field_offset(STANDARD_INFORMATION, "security_id")
_MAX_NAME = 255
_FORBIDDEN = '/\\:*?"<>|'
_SYSTEM = bytes([1, 1, 0, 0, 0, 0, 0, 5]) + struct.pack("<I", 18)
_ADMINISTRATORS = bytes([1, 2, 0, 0, 0, 0, 0, 5]) + struct.pack("<II", 32, 544)
_FULL_ACCESS = 0x1F01FF
_SELF_RELATIVE_WITH_DACL = 0x8004


@dataclass(frozen=True)
class Maker:
    """Makes files of one volume; ``security_id`` is 0 where a file has a descriptor of its own."""

    security_id: int

    @classmethod
    def like(cls, *others: Draft) -> Maker:
        """Files that are protected as the first of ``others`` is whose descriptor is kept in $Secure."""
        for draft in others:
            known = draft.find(AttributeType.STANDARD_INFORMATION)
            if known is not None and len(known.value) >= STANDARD_INFORMATION.itemsize:
                number = int.from_bytes(known.value[_SECURITY_ID : _SECURITY_ID + 4], "little")
                if number:
                    return cls(number)
        return cls(0)

    def attributes(self, key: bytes) -> list[DraftAttribute]:
        """What files and directories with the FILE_NAME value ``key`` have in common."""
        times = np.frombuffer(key, dtype=FILE_NAME, count=1)[0]
        record = np.zeros(1, dtype=STANDARD_INFORMATION)
        for name in ("creation_time", "last_data_change_time", "last_mft_change_time", "last_access_time"):
            record[name] = times[name]
        record["file_attributes"], record["security_id"] = ATTRIBUTES, self.security_id
        value = record.tobytes() if self.security_id else record.tobytes()[:_OLD_SIZE]
        made = [
            DraftAttribute(AttributeType.STANDARD_INFORMATION, value=value),
            DraftAttribute(AttributeType.FILE_NAME, value=key, resident_flags=INDEXED),
        ]
        if not self.security_id:
            made.append(DraftAttribute(AttributeType.SECURITY_DESCRIPTOR, value=security_descriptor()))
        return made


def name_key(parent: int, name: bytes, *, allocated: int = 0, size: int = 0, directory: bool = False) -> bytes:
    """The FILE_NAME value of a new file, as its record and its entry have it; sizes in bytes."""
    record, now = np.zeros(1, dtype=FILE_NAME), time.time_ns() // 100 + _EPOCH
    for field in ("creation_time", "last_data_change_time", "last_mft_change_time", "last_access_time"):
        record[field] = now
    record["parent_directory"], record["allocated_size"], record["data_size"] = parent, allocated, size
    record["file_attributes"] = ATTRIBUTES | (FileAttribute.DUP_FILE_NAME_INDEX if directory else 0)
    record["file_name_length"], record["file_name_type"] = len(name) // 2, Namespace.POSIX
    return record.tobytes() + name


def resized(key: bytes, *, allocated: int, size: int) -> bytes:
    """A FILE_NAME value with other sizes, in bytes."""
    record = np.frombuffer(bytearray(key[: FILE_NAME.itemsize]), dtype=FILE_NAME)
    record["allocated_size"], record["data_size"] = allocated, size
    return record.tobytes() + key[FILE_NAME.itemsize :]


def content(rows: Numbers, size: int) -> DraftAttribute:
    """The unnamed $DATA of a file of ``size`` bytes in rows of first cluster and count."""
    if not len(rows):
        return DraftAttribute(AttributeType.DATA, value=b"")
    return DraftAttribute(AttributeType.DATA, rows=joined(mapped(rows)), data_size=size, initialized_size=size)


def empty_index(like: DraftAttribute) -> DraftAttribute:
    """The $INDEX_ROOT of a new directory, with blocks of the same size as another one."""
    return DraftAttribute(AttributeType.INDEX_ROOT, I30, value=pack_root(Node(), like.value))


def entry_of(number: int, sequence: int, key: bytes) -> Entry:
    """The index entry for a file."""
    return Entry(number | sequence << 48, key)


def stored_name(name: str) -> bytes:
    """A name as it is stored. Raises UsageError for one that Windows would not take."""
    units = name.encode("utf-16-le", "surrogatepass")
    forbidden = any(char in _FORBIDDEN or char < " " for char in name)
    if not 0 < len(units) // 2 <= _MAX_NAME or forbidden or name in (".", "..") or name[-1] in " .":
        raise UsageError(f"{name!r} cannot be the name of a file")
    return units


def security_descriptor() -> bytes:
    """Administrators own it; they and the system may do everything, nobody else anything."""
    entries = b"".join(
        struct.pack("<BBHI", 0, 0, 8 + len(sid), _FULL_ACCESS) + sid for sid in (_SYSTEM, _ADMINISTRATORS)
    )
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(entries), 2, 0) + entries
    head = struct.calcsize("<BBHIIII")
    owner, group = head + len(acl), head + len(acl) + len(_ADMINISTRATORS)
    header = struct.pack("<BBHIIII", 1, 0, _SELF_RELATIVE_WITH_DACL, owner, group, 0, head)
    return header + acl + _ADMINISTRATORS + _ADMINISTRATORS
