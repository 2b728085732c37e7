"""Files, directories and streams by path: resolving names, listing, walking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from inpart.contracts import Entry, EntryType
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, UsageError

from inpart_ntfs.attributes import HINT
from inpart_ntfs.codes import AttributeType, Number, RecordFlag
from inpart_ntfs.content import read_stream
from inpart_ntfs.details import Detail, describe, whole
from inpart_ntfs.directory import I30, DirectoryReader, Folder
from inpart_ntfs.mft import File
from inpart_ntfs.names import as_text
from inpart_ntfs.reparse import FOREIGN, tag_name, tag_of
from inpart_ntfs.streams import Stream

MAX_DEPTH = 1000
FIRST_LISTED = 16
"""Names in the root directory of records below this number, ``$MFT`` and its like, are found but not listed."""
_BATCH = 4096
_MISSING = "`inpart ls DEVICE --recursive` shows what there is"


@dataclass(frozen=True)
class Place:
    """What a path leads to: a file by its record, and one of its streams, the unnamed one if it is empty."""

    path: str
    number: int
    stream: str = ""


class Tree:
    """The tree of directories, bounded on any bytes: no directory is listed twice in a walk.

    A stream of a file is listed behind it as ``/path/file:stream``.
    """

    def __init__(self, reader: DirectoryReader) -> None:
        self.reader = reader
        self.mft = reader.mft

    def walk(self, path: str) -> Iterator[Entry]:
        """Everything below ``path``, parents first, down to ``MAX_DEPTH`` levels."""
        base = self.resolve(path)
        if base.stream or not self._is_directory(base.number):
            return
        seen = {base.number}
        levels = [self.children(base.path, base.number)]
        while levels:
            for entry in levels[-1]:
                yield entry
                if self._enters(entry) and entry.record not in seen and len(levels) < MAX_DEPTH:
                    seen.add(entry.record)
                    levels.append(self.children(entry.path, entry.record))
                    break
            else:
                levels.pop()

    def list(self, path: str) -> Iterator[Entry]:
        """The entries of a directory, or the file or stream itself."""
        place = self.resolve(path)
        if not place.stream and self._is_directory(place.number):
            yield from self.children(place.path, place.number)
        else:
            yield self._stat(place)

    def stat(self, path: str) -> Entry:
        """One entry. Raises UsageError."""
        return self._stat(self.resolve(path))

    def children(self, path: str, number: int) -> Iterator[Entry]:
        """What is in the directory with that record number, whose path is ``path``, and the streams of the root."""
        prefix = path.rstrip("/")
        folder = self.reader.folder(number)
        if number == Number.ROOT:
            yield from _streams("/", Number.ROOT, describe(self.mft, np.array([Number.ROOT])).get(Number.ROOT))
        chosen = folder.listed()
        if number == Number.ROOT:
            chosen = chosen[folder.record[chosen] >= FIRST_LISTED]
        for start in range(0, len(chosen), _BATCH):
            batch = chosen[start : start + _BATCH]
            details = describe(self.mft, folder.record[batch])
            for index in batch.tolist():
                name = f"{prefix}/{folder.name(index)}"
                number = int(folder.record[index])
                detail = _current(folder, index, details.get(number))
                yield _entry(name, number, detail) if detail else _lost(name, folder, index)
                yield from _streams(name, number, detail)

    def resolve(self, path: str) -> Place:
        """What a path leads to, written as in the directories. Raises UsageError."""
        real, number = "", int(Number.ROOT)
        names = list(filter(None, path.split("/")))
        for position, name in enumerate(names):
            if not self._is_directory(number):
                raise UsageError(f"{real} is not a directory")
            found = self.reader.find(number, name)
            if found is None:
                if position == len(names) - 1 and ":" in name:
                    return self._resolve_stream(path, real, number, name)
                raise UsageError(f"there is no {path}", hint=_MISSING)
            folder, index = found
            real, number = f"{real}/{folder.name(index)}", int(folder.record[index])
        return Place(real or "/", number)

    def _resolve_stream(self, path: str, real: str, number: int, name: str) -> Place:
        """``name:stream``, ``name:stream:$DATA`` or ``name::$DATA`` in the directory ``number``."""
        name, _, stream = name.partition(":")
        if name:
            found = self.reader.find(number, name)
            if found is None:
                raise UsageError(f"there is no {path}", hint=_MISSING)
            folder, index = found
            real, number = f"{real}/{folder.name(index)}", int(folder.record[index])
        stream = stream.removesuffix(":$DATA")
        if not stream:
            return Place(real or "/", number)
        fold = self.reader.upcase.fold
        streams = [one.name for one in self.mft.assembled(number).all(AttributeType.DATA) if one.name]
        same = [one for one in streams if fold(one) == fold(stream)]
        if not same:
            raise UsageError(f"{real or '/'} has no stream {stream}", hint=_MISSING)
        stream = stream if stream in same else same[0]
        return Place(f"{real or '/'}:{as_text(stream)}", number, stream)

    def stream(self, path: str) -> Stream | None:
        """The content of a file or stream, the index of a directory; None if it has none. Raises FilesystemDamaged."""
        place = self.resolve(path)
        file = self.mft.assembled(place.number)
        if not place.stream and file.base.is_directory:
            return file.stream(AttributeType.INDEX_ALLOCATION, I30)
        return file.stream(AttributeType.DATA, place.stream)

    def read(self, path: str, offset: int, length: int | None) -> Iterator[bytes]:
        """A part of a file or stream. Raises UsageError for directories, FilesystemUnsupported, FilesystemDamaged."""
        place = self.resolve(path)
        file = self.mft.assembled(place.number)
        if not place.stream:
            if file.base.is_directory:
                raise UsageError(f"{path} is a directory")
            self._refuse_foreign(file, path)
        stream = file.stream(AttributeType.DATA, place.stream)
        return read_stream(self.mft.volume, self.mft.boot, stream, offset, length) if stream else iter(())

    def _refuse_foreign(self, file: File, path: str) -> None:
        """Some reparse points stand for content that Windows puts together from elsewhere."""
        point = file.stream(AttributeType.REPARSE_POINT)
        tag = tag_of(whole(self.mft, point)) if point else 0
        if tag in FOREIGN:
            raise FilesystemUnsupported(
                f"the content of {path} is kept elsewhere by Windows ({tag_name(tag)})",
                hint="images hold all of it; only reading the single file is not possible",
            )

    def _stat(self, place: Place) -> Entry:
        detail = describe(self.mft, np.array([place.number])).get(place.number)
        if detail is None:
            raise FilesystemDamaged(f"record {place.number} of {place.path} is damaged", hint=HINT)
        if not place.stream:
            return _entry(place.path, place.number, detail)
        owner = place.path.removesuffix(f":{as_text(place.stream)}")
        return next(entry for entry in _streams(owner, place.number, detail) if entry.path == place.path)

    def _is_directory(self, number: int) -> bool:
        records = self.mft.read(np.array([number], dtype=np.int64))
        return bool(records.in_use[0] and int(records["flags"][0]) & RecordFlag.IS_DIRECTORY)

    def _enters(self, entry: Entry) -> bool:
        return entry.type is EntryType.DIR and "damaged" not in entry.attributes


def _current(folder: Folder, index: int, detail: Detail | None) -> Detail | None:
    """The detail, if it is still of the file that the name was given to."""
    return detail if detail and detail.sequence == int(folder.reference[index]) >> 48 else None


def _entry(path: str, number: int, detail: Detail) -> Entry:
    return Entry(path, detail.type, detail.size, detail.mtime, number, detail.attributes, detail.target)


def _lost(path: str, folder: Folder, index: int) -> Entry:
    """What the index says of a file whose record is damaged or belongs to another file by now."""
    is_directory = folder.is_directory(index)
    size = 0 if is_directory else max(0, int(folder.data_size[index]))
    kind = EntryType.DIR if is_directory else EntryType.FILE
    return Entry(path, kind, size, None, int(folder.record[index]), ("damaged",))


def _streams(path: str, number: int, detail: Detail | None) -> Iterator[Entry]:
    for name, size, attributes in detail.streams if detail else ():
        yield Entry(f"{path}:{name}", EntryType.FILE, size, detail.mtime if detail else None, number, attributes)
