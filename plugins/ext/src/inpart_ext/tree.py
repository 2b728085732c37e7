"""Files and directories by path: resolving names, listing, walking."""

from __future__ import annotations

from collections.abc import Iterator

from inpart.contracts import Entry
from inpart.errors import UsageError

from inpart_ext.directory import DirectoryReader, DirEntry
from inpart_ext.listing import facts_of, one_directory, shown
from inpart_ext.structs import CASEFOLD_FL, ENCRYPT_FL, ROOT_INO
from inpart_ext.walking import Walk


class Tree:
    """The tree of directories, bounded on any bytes: no directory is listed twice in a walk."""

    def __init__(self, reader: DirectoryReader) -> None:
        self.reader = reader

    def walk(self, path: str) -> Iterator[Entry]:
        """Everything below ``path``, parents first, down to ``walking.MAX_DEPTH`` levels."""
        base, number = self.resolve(path)
        if self._is_directory(number):
            yield from Walk(self.reader).entries(base, number)

    def list(self, path: str) -> Iterator[Entry]:
        """The entries of a directory, or the file itself."""
        real, number = self.resolve(path)
        if self._is_directory(number):
            prefix = real.rstrip("/")
            for rows in one_directory(self.reader, number):
                yield from (Entry(f"{prefix}/{name}", *facts) for name, facts in rows)
        else:
            yield self._entry(real, number)

    def stat(self, path: str) -> Entry:
        """One entry. Raises UsageError."""
        real, number = self.resolve(path)
        return self._entry(real, number)

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

    def _entry(self, path: str, number: int) -> Entry:
        return Entry(path, *facts_of(self.reader.volume, self.reader.table.one(number))[0])
