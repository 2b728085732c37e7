"""Files and directories by path: resolving names, listing, walking."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
from inpart.contracts import Entry, EntryType
from inpart.errors import FilesystemDamaged, UsageError

from inpart_ext.content import symlink_target
from inpart_ext.directory import DirectoryReader, DirEntry
from inpart_ext.inodes import Inodes
from inpart_ext.structs import (
    APPEND_FL,
    CASEFOLD_FL,
    ENCRYPT_FL,
    IMMUTABLE_FL,
    NODUMP_FL,
    ROOT_INO,
    S_IFDIR,
    S_IFLNK,
    S_IFREG,
    VERITY_FL,
)

MAX_DEPTH = 1000
_BATCH = 4096
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


class Tree:
    """The tree of directories, bounded on any bytes: no directory is listed twice in a walk."""

    def __init__(self, reader: DirectoryReader) -> None:
        self.reader = reader

    def walk(self, path: str) -> Iterator[Entry]:
        """Everything below ``path``, parents first, down to ``MAX_DEPTH`` levels."""
        base, number = self.resolve(path)
        if not self._is_directory(number):
            return
        seen = {number}
        levels = [self.children(base, number)]
        while levels:
            for entry in levels[-1]:
                yield entry
                if entry.type is EntryType.DIR and entry.record not in seen and len(levels) < MAX_DEPTH:
                    seen.add(entry.record)
                    levels.append(self.children(entry.path, entry.record))
                    break
            else:
                levels.pop()

    def list(self, path: str) -> Iterator[Entry]:
        """The entries of a directory, or the file itself."""
        real, number = self.resolve(path)
        if self._is_directory(number):
            yield from self.children(real, number)
        else:
            yield self._entry(real, self.reader.table.one(number), 0)

    def stat(self, path: str) -> Entry:
        """One entry. Raises UsageError."""
        real, number = self.resolve(path)
        return self._entry(real, self.reader.table.one(number), 0)

    def children(self, path: str, number: int) -> Iterator[Entry]:
        """What is in the directory with that inode number, whose path is ``path``."""
        prefix = path.rstrip("/")
        encrypted = self._encrypted(number)
        found = [entry for entry in self.reader.entries(number).values() if self._exists(entry)]
        for start in range(0, len(found), _BATCH):
            batch = found[start : start + _BATCH]
            inodes = self.reader.table.read(np.array([entry.inode for entry in batch], dtype=np.int64))
            for index, entry in enumerate(batch):
                yield self._entry(f"{prefix}/{shown(entry.name, encrypted)}", inodes, index)

    def resolve(self, path: str) -> tuple[str, int]:
        """The path as it is written in the directories, and its inode number. Raises UsageError."""
        real, number = "", ROOT_INO
        for name in filter(None, path.split("/")):
            if not self._is_directory(number):
                raise UsageError(f"{real} is not a directory")
            match = self._match(number, name)
            if match is None:
                raise UsageError(f"there is no {path}", hint="`inpart ls DEVICE --recursive` shows what there is")
            real, number = f"{real}/{shown(match.name, self._encrypted(number))}", match.inode
        return real or "/", number

    def _match(self, number: int, name: str) -> DirEntry | None:
        entries, encrypted = self.reader.entries(number), self._encrypted(number)
        if not encrypted:
            exact = entries.get(name.encode("utf-8", "surrogateescape"))
            if exact is not None and self._exists(exact):
                return exact
        folds = self.reader.status(number).flags & CASEFOLD_FL
        for entry in entries.values():
            text = shown(entry.name, encrypted)
            if (text == name or (folds and text.casefold() == name.casefold())) and self._exists(entry):
                return entry
        return None

    def _exists(self, entry: DirEntry) -> bool:
        return 0 < entry.inode <= self.reader.superblock.inodes_count

    def _is_directory(self, number: int) -> bool:
        return self.reader.status(number).is_dir

    def _encrypted(self, number: int) -> bool:
        return bool(self.reader.status(number).flags & ENCRYPT_FL)

    def _entry(self, path: str, inodes: Inodes, index: int) -> Entry:
        kind = _TYPES.get(int(inodes.format[index]), EntryType.SPECIAL)
        has_size = kind in {EntryType.FILE, EntryType.SYMLINK}
        target = self._target(inodes.pick(np.array([index]))) if kind is EntryType.SYMLINK else ""
        size = int(inodes.size[index]) if has_size else 0
        flags = int(inodes.flags[index])
        names = tuple(name for bit, name in _ATTRIBUTES.items() if flags & bit) if flags & _SHOWN_FLAGS else ()
        return Entry(path, kind, size, _modified(inodes, index), int(inodes.numbers[index]), names, target)

    def _target(self, inode: Inodes) -> str:
        try:
            return shown(symlink_target(self.reader.volume, inode), int(inode.flags[0]) & ENCRYPT_FL > 0)
        except FilesystemDamaged:
            return ""


def shown(name: bytes, encrypted: bool = False) -> str:
    """A name as text: bytes that are not UTF-8 in hexadecimal, encrypted names as base64url."""
    if encrypted:
        return urlsafe_b64encode(name).decode().rstrip("=")
    return name.decode("utf-8", "backslashreplace")


def _modified(inodes: Inodes, index: int) -> datetime:
    micro = int(inodes.mtime_nanoseconds[index]) // 1000
    return _EPOCH + timedelta(seconds=int(inodes.mtime[index]), microseconds=micro)
