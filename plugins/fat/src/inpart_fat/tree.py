"""Files and directories by path: resolving names, listing, walking."""

from __future__ import annotations

from collections.abc import Iterator

from inpart.contracts import Entry, EntryType
from inpart.errors import UsageError

from inpart_fat.directory import DirEntry
from inpart_fat.inventory import MAX_DEPTH
from inpart_fat.reader import DirectoryReader, Seen

_ATTRIBUTES = ("read-only", "hidden", "system", "volume", "directory", "archive")
_ATTRIBUTE_NAMES = tuple(
    tuple(name for bit, name in enumerate(_ATTRIBUTES) if value >> bit & 1 and name not in {"volume", "directory"})
    for value in range(64)
)


class Tree:
    """The tree of directories, bounded on any table: no cluster is read twice as part of a directory."""

    def __init__(self, reader: DirectoryReader) -> None:
        self.reader = reader

    def walk(self, path: str) -> Iterator[Entry]:
        """Everything below ``path``, parents first, down to ``MAX_DEPTH`` levels."""
        base, start = self.resolve(path)
        seen = self.reader.unseen()
        levels = [self.children(base, start, seen)]
        while levels:
            for entry, found in levels[-1]:
                yield entry
                if found.is_dir and len(levels) < MAX_DEPTH:
                    levels.append(self.children(entry.path, found, seen))
                    break
            else:
                levels.pop()

    def list(self, path: str) -> Iterator[Entry]:
        """The entries of a directory, or the file itself."""
        real, found = self.resolve(path)
        if found is not None and not found.is_dir:
            yield as_entry(real, found)
        else:
            yield from (entry for entry, _ in self.children(real, found))

    def stat(self, path: str) -> Entry:
        """One entry. Raises UsageError."""
        real, found = self.resolve(path)
        if found is None:
            return Entry("/", EntryType.DIR, 0, None, self.reader.geometry.root_cluster)
        return as_entry(real, found)

    def children(
        self, path: str, directory: DirEntry | None, seen: Seen | None = None
    ) -> Iterator[tuple[Entry, DirEntry]]:
        """What is in ``directory`` (None for the root directory), whose path is ``path``; nothing for a file."""
        cluster = directory.cluster if directory else 0
        if directory and not (directory.is_dir and self.reader.geometry.valid(cluster)):
            return
        if seen is not None and cluster and seen[cluster]:
            return
        prefix = path.rstrip("/")
        for found in self.reader.slots(cluster, seen).entries():
            yield as_entry(f"{prefix}/{found.name}", found), found

    def resolve(self, path: str) -> tuple[str, DirEntry | None]:
        """The path as it is written in the directories, and its entry; None for the root. Raises UsageError."""
        real, found = "", None
        for name in filter(None, path.split("/")):
            if found is not None and not found.is_dir:
                raise UsageError(f"{real} is not a directory")
            match = _match(name, [entry for _, entry in self.children(real, found)])
            if match is None:
                raise UsageError(f"there is no {path}", hint="`inpart ls DEVICE --recursive` shows what there is")
            real, found = f"{real}/{match.name}", match
        return real or "/", found


def as_entry(path: str, found: DirEntry) -> Entry:
    """A directory entry as the contract has it."""
    return Entry(
        path,
        EntryType.DIR if found.is_dir else EntryType.FILE,
        0 if found.is_dir else found.size,
        found.modified,
        found.cluster,
        _ATTRIBUTE_NAMES[found.attributes & 0x3F],
    )


def _match(name: str, entries: list[DirEntry]) -> DirEntry | None:
    """The entry of exactly that name, else one whose long or short name differs in case only."""
    for entry in entries:
        if entry.name == name:
            return entry
    folded = name.casefold()
    for entry in entries:
        if folded in {entry.name.casefold(), entry.alias.casefold()}:
            return entry
    return None
