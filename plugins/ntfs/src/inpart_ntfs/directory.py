"""Directories: the names in their index as arrays, found by name, the last few kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.units import MIB
from inpart.volume import RunsVolume
from numpy.typing import NDArray

from inpart_ntfs.attributes import HINT
from inpart_ntfs.bitmap import edges
from inpart_ntfs.codes import REFERENCE_MASK, AttributeType, FileAttribute, Namespace
from inpart_ntfs.content import read_stream
from inpart_ntfs.hashing import hash_units
from inpart_ntfs.index import ROOT_HEADER, Entries, bounds, open_blocks, parse
from inpart_ntfs.mft import File, Mft
from inpart_ntfs.names import Upcase, shown
from inpart_ntfs.runs import byte_runs
from inpart_ntfs.structs import INDEX_ROOT

I30 = "$I30"
WINDOW = MIB
SMALLEST_BLOCK, MAX_BLOCK = 512, 2 * MIB
_KEPT = 100_000
"""So many names of the last directories are kept."""
_KEPT_FOLDERS = 64

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Folder:
    """The names of one directory: element i of all arrays belongs to name i, in no order.

    ``units`` are those of all names, name i from ``start[i]`` on; ``hashes`` stand for the names in upper case.
    """

    number: int
    reference: NDArray[np.uint64]
    namespace: Numbers
    file_attributes: Numbers
    data_size: Numbers
    start: Numbers
    length: Numbers
    units: NDArray[np.uint16]
    hashes: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.reference)

    @cached_property
    def record(self) -> Numbers:
        """The record that each name belongs to."""
        return (self.reference & np.uint64(REFERENCE_MASK)).astype(np.int64)

    def name(self, index: int) -> str:
        """One name as text."""
        start = int(self.start[index])
        return shown(self.units[start : start + int(self.length[index])].tobytes())

    def is_directory(self, index: int) -> bool:
        """What the index says of the file with that name."""
        return bool(int(self.file_attributes[index]) & FileAttribute.DUP_FILE_NAME_INDEX)

    def listed(self) -> Numbers:
        """Indices of the names that are shown: all but short ones beside long ones and the directory's own."""
        own = (self.length == 1) & (self.record == self.number)
        return np.flatnonzero((self.namespace != Namespace.DOS) & ~own)


class DirectoryReader:
    """Gives directories by record number."""

    def __init__(self, mft: Mft, upcase: Upcase) -> None:
        """Nothing is read yet."""
        self.mft = mft
        self.upcase = upcase
        self._kept: OrderedDict[int, Folder] = OrderedDict()

    def folder(self, number: int) -> Folder:
        """The names in a directory. Blocks that are damaged are left out. Raises FilesystemDamaged."""
        if number not in self._kept:
            self._kept[number] = self._read(number)
        self._kept.move_to_end(number)
        while (len(self._kept) > 1 and sum(map(len, self._kept.values())) > _KEPT) or len(self._kept) > _KEPT_FOLDERS:
            self._kept.popitem(last=False)
        return self._kept[number]

    def find(self, number: int, name: str) -> tuple[Folder, int] | None:
        """The name in a directory that is ``name``: to the letter, else in upper case, else the long one of a short."""
        folder = self.folder(number)
        folded = self.upcase.fold(name)
        units = np.frombuffer(folded, dtype="<u2").astype(np.int64)
        wanted = hash_units(units[np.newaxis, :])[0]
        same = [one for one in np.flatnonzero(folder.hashes == wanted).tolist() if self._is(folder, one, folded)]
        if not same:
            return None
        best = min(same, key=lambda one: (folder.name(one) != name, int(folder.namespace[one]) == Namespace.DOS))
        if int(folder.namespace[best]) == Namespace.DOS:
            others = np.flatnonzero((folder.reference == folder.reference[best]) & (folder.namespace != Namespace.DOS))
            best = int(others[0]) if len(others) else best
        return folder, best

    def _is(self, folder: Folder, index: int, folded: bytes) -> bool:
        return self.upcase.fold(folder.name(index)) == folded

    def _read(self, number: int) -> Folder:
        parts = [self._names(entries) for entries in self.entries(self.mft.assembled(number))]
        columns = [np.concatenate(column) for column in zip(*(part[:-1] for part in parts), strict=True)]
        reference, namespace, attributes, size, length, hashes = columns
        units = np.concatenate([part[-1] for part in parts])
        wide = length.astype(np.int64)
        start = np.cumsum(wide) - wide
        return Folder(number, reference, namespace, attributes, size, start, wide, units, hashes)

    def _names(self, entries: Entries) -> tuple[NDArray[np.generic], ...]:
        names, units = entries.names, entries.name_units
        return (
            entries.fields["indexed_file"],
            names["file_name_type"],
            names["file_attributes"].astype(np.int64),
            names["data_size"],
            names["file_name_length"],
            hash_units(self.upcase.units(units)),
            units[units >= 0].astype(np.uint16),
        )

    def entries(self, file: File) -> Iterator[Entries]:
        """The sound entries of a directory, the root's and then by windows of blocks. Raises FilesystemDamaged."""
        root = file.stream(AttributeType.INDEX_ROOT, I30)
        if root is None or root.non_resident or len(root.value) < INDEX_ROOT.itemsize:
            raise FilesystemDamaged(f"record {file.number} has no index of names", hint=HINT)
        yield _root_entries(root.value)
        size = int.from_bytes(root.value[8:12], "little")
        allocation = file.stream(AttributeType.INDEX_ALLOCATION, I30)
        if allocation is None or not valid_block_size(size):
            return
        rows = allocation.rows
        if (rows[:, 1] < 0).any():
            raise FilesystemDamaged(f"record {file.number}: its index of names has holes", hint=HINT)
        blocks = RunsVolume(self.mft.volume, byte_runs(rows, self.mft.boot.cluster_size), name=I30)
        step = max(1, WINDOW // size)
        for first, last in self._live(file, min(blocks.size, self.mft.volume.size) // size):
            for at in range(first, last, step):
                data = np.empty((min(step, last - at), size), dtype=np.uint8)
                blocks.readinto(at * size, data.data.cast("B"))
                entries = open_blocks(data).parse().entries
                yield entries.pick(entries.is_name)

    def _live(self, file: File, count: int) -> Iterator[tuple[int, int]]:
        """Runs of blocks that the index bitmap says are in use; all of them if there is none."""
        bitmap = file.stream(AttributeType.BITMAP, I30)
        if bitmap is None:
            yield 0, count
            return
        size = -(-min(count, 8 * bitmap.data_size) // 8)
        content = b"".join(read_stream(self.mft.volume, self.mft.boot, bitmap, 0, size))
        yield from edges(np.frombuffer(content, dtype=np.uint8)).clip(0, count).tolist()


def valid_block_size(size: int) -> bool:
    """True for sizes that index blocks can have."""
    return SMALLEST_BLOCK <= size <= MAX_BLOCK and size & (size - 1) == 0


def _root_entries(value: bytes) -> Entries:
    raw = np.frombuffer(value.ljust(-(-len(value) // 8) * 8, b"\0"), dtype=np.uint8).reshape(1, -1)
    row, at = np.zeros(1, dtype=np.int64), np.full(1, ROOT_HEADER, dtype=np.int64)
    start, end, good = bounds(raw, row, at, len(value) - at)
    entries = parse(raw, row[good], start[good], end[good]).entries
    return entries.pick(entries.is_name)
