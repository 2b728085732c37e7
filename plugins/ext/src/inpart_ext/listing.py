"""Lists of directories: each name with what its inode says, for one directory or for many that are read together."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from inpart.contracts import EntryType
from inpart.errors import FilesystemDamaged, VolumeError
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_ext.bitmaps import read_blocks
from inpart_ext.content import symlink_target
from inpart_ext.directory import DirectoryReader, block_numbers
from inpart_ext.entries import parse_blocks
from inpart_ext.inodes import Inodes
from inpart_ext.mapping import map_inodes
from inpart_ext.structs import (
    APPEND_FL,
    CASEFOLD_FL,
    ENCRYPT_FL,
    IMMUTABLE_FL,
    INLINE_DATA_FL,
    NODUMP_FL,
    S_IFDIR,
    S_IFLNK,
    S_IFREG,
    VERITY_FL,
)

BATCH = 4096
"""So many names are looked up together."""
TOGETHER = 1 << 20
"""Bytes of blocks of directories that are read together."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = {S_IFREG: EntryType.FILE, S_IFDIR: EntryType.DIR, S_IFLNK: EntryType.SYMLINK}
_ATTRIBUTES = {
    IMMUTABLE_FL: "immutable",
    APPEND_FL: "append-only",
    NODUMP_FL: "no-dump",
    ENCRYPT_FL: "encrypted",
    VERITY_FL: "verity",
    CASEFOLD_FL: "casefold",
}
_SHOWN_FLAGS = sum(_ATTRIBUTES)
_DOTS = (b".", b"..")

Numbers = NDArray[np.int64]


class Facts(NamedTuple):
    """What an entry says besides its path, in the order of ``inpart.contracts.Entry``."""

    type: EntryType
    size: int
    mtime: datetime
    record: int
    attributes: tuple[str, ...]
    target: str


Row = tuple[str, Facts]
"""A name as it is shown, and what it stands for."""


def facts_of(volume: Volume, inodes: Inodes) -> list[Facts]:
    """What each inode says."""
    columns = (inodes.format, inodes.size, inodes.mtime, inodes.mtime_nanoseconds, inodes.numbers, inodes.flags)
    found: list[Facts] = []
    numbers = zip(*(column.tolist() for column in columns), strict=True)
    for index, (form, size, seconds, nanoseconds, number, flags) in enumerate(numbers):
        kind = _TYPES.get(form, EntryType.SPECIAL)
        mtime = _EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
        names = tuple(name for bit, name in _ATTRIBUTES.items() if flags & bit) if flags & _SHOWN_FLAGS else ()
        target = _target(volume, inodes.pick(np.array([index]))) if kind is EntryType.SYMLINK else ""
        has_size = kind in {EntryType.FILE, EntryType.SYMLINK}
        found.append(Facts(kind, size if has_size else 0, mtime, number, names, target))
    return found


def _target(volume: Volume, inode: Inodes) -> str:
    try:
        return shown(symlink_target(volume, inode), int(inode.flags[0]) & ENCRYPT_FL > 0)
    except FilesystemDamaged:
        return ""


def shown(name: bytes, encrypted: bool = False) -> str:
    """A name as text: bytes that are not UTF-8 in hexadecimal, encrypted names as base64url."""
    if encrypted:
        return urlsafe_b64encode(name).decode().rstrip("=")
    return name.decode("utf-8", "backslashreplace")


def one_directory(reader: DirectoryReader, number: int) -> Iterator[list[Row]]:
    """What is in a directory, ``BATCH`` names at a time. Raises FilesystemDamaged if it is none."""
    encrypted = bool(reader.status(number).flags & ENCRYPT_FL)
    entries = [entry for entry in reader.entries(number).values() if 0 < entry.inode <= reader.superblock.inodes_count]
    for start in range(0, len(entries), BATCH):
        batch = entries[start : start + BATCH]
        inodes = reader.table.read(np.array([entry.inode for entry in batch], dtype=np.int64))
        names = [shown(entry.name, encrypted) for entry in batch]
        yield list(zip(names, facts_of(reader.volume, inodes), strict=True))


def many_directories(reader: DirectoryReader, numbers: Sequence[int]) -> dict[int, list[Row]]:
    """What is in those of the directories that are small and sound; about the others nothing is said."""
    try:
        inodes = reader.table.read(np.array(numbers, dtype=np.int64))
        inodes = inodes.pick((inodes.format == S_IFDIR) & (inodes.flags & ENCRYPT_FL == 0))
        found = _names_of_blocks(reader, inodes.pick(inodes.flags & INLINE_DATA_FL == 0))
        for index in np.flatnonzero(inodes.flags & INLINE_DATA_FL).tolist():
            one = inodes.pick(np.array([index]))
            found[int(one.numbers[0])] = _names([(entry.name, entry.inode) for entry in reader.read(one)])
        limit = reader.superblock.inodes_count
        targets = [inode for names in found.values() for inode in names.values() if inode <= limit]
        facts = iter(facts_of(reader.volume, reader.table.read(np.array(targets, dtype=np.int64))))
    except (FilesystemDamaged, VolumeError):
        return {}
    return {
        number: [(shown(name), next(facts)) for name, inode in names.items() if inode <= limit]
        for number, names in found.items()
    }


def _names_of_blocks(reader: DirectoryReader, inodes: Inodes) -> dict[int, dict[bytes, int]]:
    """The names in directories that have blocks, as many as fit into ``TOGETHER`` bytes."""
    mapping, size = map_inodes(reader.volume, inodes), reader.superblock.block_size
    counts = np.bincount(mapping.pieces.owner, weights=mapping.pieces.length, minlength=len(inodes))
    told = np.cumsum(counts) * size <= TOGETHER
    told[[problem.owner for problem in mapping.problems]] = False
    pieces = mapping.pieces.pick(told[mapping.pieces.owner])
    owners = np.repeat(pieces.owner, pieces.length)
    slots = parse_blocks(read_blocks(reader.volume, size, block_numbers(pieces)))
    slots = slots.pick((slots.inode > 0) & (slots.name_len > 0))
    pairs: dict[int, list[tuple[bytes, int]]] = {index: [] for index in np.flatnonzero(told).tolist()}
    for owner, name, inode in zip(owners[slots.row].tolist(), slots.names(), slots.inode.tolist(), strict=True):
        pairs[owner].append((name, inode))
    return {int(inodes.numbers[index]): _names(found) for index, found in pairs.items()}


def _names(pairs: list[tuple[bytes, int]]) -> dict[bytes, int]:
    """Names with their inodes; the first one of each counts."""
    found: dict[bytes, int] = {}
    for name, inode in pairs:
        if name not in _DOTS:
            found.setdefault(name, inode)
    return found
