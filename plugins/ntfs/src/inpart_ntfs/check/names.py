"""Names: those in records against those in directories, parents, link counts, loops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import CLAIMS_DIRECTORY, ENOUGH, Finding

from inpart_ntfs.arrays import gather, unit_rows
from inpart_ntfs.check.abandoned import is_abandoned
from inpart_ntfs.check.columns import Column
from inpart_ntfs.check.report import Numbers, error, for_records, warning
from inpart_ntfs.codes import FIRST_USER, REFERENCE_MASK, AttributeType, FileAttribute, Namespace, Number
from inpart_ntfs.hashing import hash_units, mixed, unmatched
from inpart_ntfs.index import Entries
from inpart_ntfs.records import AttributeTable
from inpart_ntfs.structs import FILE_NAME

if TYPE_CHECKING:
    from inpart_ntfs.check.census import Census

_MASK = np.uint64(REFERENCE_MASK)
_SLICE = 1 << 18
"""So many names are looked at together."""
_NAMES = 3
"""So many names for each record fit without moving what has been collected."""


class NamePass:
    """One element for each name in a record (``hashes``, ``owners``, ``parents``) and for each in a directory.

    ``parents`` and ``targets`` are file references, ``owners`` and ``folders`` record numbers; ``says_folder`` is set
    where an entry says that its target is a directory.
    """

    def __init__(self, records: int) -> None:
        room = _NAMES * records
        self.hashes, self.parents = Column(np.uint64, room), Column(np.uint64, room)
        self.owners, self.short = Column(np.uint32, room), Column(np.bool_, room)
        self.entry_hashes, self.targets = Column(np.uint64, room), Column(np.uint64, room)
        self.folders, self.says_folder = Column(np.uint32, room), Column(np.bool_, room)

    def take(self, table: AttributeTable) -> None:
        """Keep the FILE_NAME attributes of a window of records."""
        records = table.records
        table = table.pick((table.type == AttributeType.FILE_NAME) & ~table.non_resident)
        start = table.offset + table.value_offset
        header = gather(records.raw, table.row, start, FILE_NAME)
        length = header["file_name_length"].astype(np.int64)
        fits = FILE_NAME.itemsize + 2 * length <= table.value_length
        table, header, length, start = table.pick(fits), header[fits], length[fits], start[fits]
        units = unit_rows(records.raw, table.row, start + FILE_NAME.itemsize, length, "<u2")
        own = (records.numbers | records["sequence_number"] << 48).view(np.uint64)
        reference = np.where(records.is_extension, records.header["base_mft_record"], own)[table.row]
        parent, namespace = header["parent_directory"], header["file_name_type"]
        self.hashes.add(mixed(reference, parent, namespace, hash_units(units)))
        self.owners.add(reference & _MASK)
        self.parents.add(parent)
        self.short.add(namespace == Namespace.DOS)

    def take_entries(self, entries: Entries, folder: Numbers) -> None:
        """Keep the entries of directories, all of them sound names, in the directories with these record numbers."""
        names, target = entries.names, entries.fields["indexed_file"]
        parent, namespace = names["parent_directory"], names["file_name_type"]
        self.entry_hashes.add(mixed(target, parent, namespace, hash_units(entries.name_units)))
        self.targets.add(target)
        self.folders.add(folder)
        self.says_folder.add(names["file_attributes"] & np.uint32(FileAttribute.DUP_FILE_NAME_INDEX) > 0)

    def check(self, census: Census) -> Iterator[Finding]:
        """After the indexes have been read."""
        yield from self._check_entries(census)
        yield from self._check_counts(census)
        yield from self._check_tree(census)

    def _check_entries(self, census: Census) -> Iterator[Finding]:
        """Every name in a directory is one of its file, and the other way round."""
        targets, folders = self.targets.array, self.folders.array
        nameless, entryless = unmatched(self.entry_hashes.array, self.hashes.array)
        alive = census.is_file(targets[nameless])
        unlisted = np.isin(folders[nameless], self.owners.array[entryless])
        for index, lives, lost in zip(nameless[:ENOUGH].tolist(), alive.tolist(), unlisted.tolist(), strict=False):
            folder = int(folders[index])
            if lost and is_abandoned(census.filesystem.mft, folder):
                continue
            what = "has no such name in such a directory" if lives else "is not in use, or for another file by now"
            message = f"an entry leads to record {int(targets[index] & _MASK)}, which {what}"
            yield error("entry-record", f"record {folder}, $I30", message)
        for index in entryless[:ENOUGH].tolist():
            number, parent = int(self.owners.array[index]), int(self.parents.array[index] & _MASK)
            where = f"record {number}, $FILE_NAME"
            if is_abandoned(census.filesystem.mft, number):
                yield warning("claim-lost", where, f"it is a file of {CLAIMS_DIRECTORY} that is in no directory")
            else:
                yield error("name-lost", where, f"one of its names is not in its directory, record {parent}")
        for start in range(0, len(targets), _SLICE):
            target, says = targets[start : start + _SLICE], self.says_folder.array[start : start + _SLICE]
            wrong = census.is_file(target) & (census.is_folder(target) != says)
            for index in np.flatnonzero(wrong)[:ENOUGH].tolist():
                message = f"an entry says of record {int(target[index] & _MASK)} wrongly whether it is a directory"
                yield warning("entry-type", f"record {int(folders[start + index])}, $I30", message)

    def _check_counts(self, census: Census) -> Iterator[Finding]:
        """Files have as many names as they say, and at least one."""
        owner = self.owners.array
        counted = np.bincount(owner[owner < census.count], minlength=census.count)
        base = census.in_use & census.is_base
        numbers = np.arange(census.count)
        nameless = base & (counted == 0) & (numbers >= FIRST_USER)
        yield from for_records("nameless", numbers, nameless, "it is in use and has no name")
        wrong = base & (counted > 0) & (census.link_count != counted)
        for number in np.flatnonzero(wrong)[:ENOUGH].tolist():
            message = f"it counts {int(census.link_count[number])} names and has {int(counted[number])}"
            yield error("link-count", f"record {number}", message)

    def _check_tree(self, census: Census) -> Iterator[Finding]:
        """Parents are directories in use, directories have one name, and all of them hang below the root."""
        owners, parents = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for start in range(0, len(self.owners.array), _SLICE):
            part = slice(start, start + _SLICE)
            long = ~self.short.array[part]
            owner, above = self.owners.array[part][long], self.parents.array[part][long]
            good = census.is_folder(above)
            for index in np.flatnonzero(~good)[:ENOUGH].tolist():
                if not is_abandoned(census.filesystem.mft, int(owner[index])):
                    message = f"its directory, record {int(above[index] & _MASK)}, is not in use for it"
                    yield error("orphan", f"record {int(owner[index])}, $FILE_NAME", message)
            good &= owner < census.count
            good &= census.is_directory[np.where(good, owner, 0)]
            owners.append(owner[good].astype(np.int64))
            parents.append((above[good] & _MASK).astype(np.int64))
        yield from _check_folders(np.concatenate(owners), np.concatenate(parents))


def _check_folders(owner: Numbers, parent: Numbers) -> Iterator[Finding]:
    """Each directory has one name; from each one gets up to the root."""
    number, first, counts = np.unique(owner, return_index=True, return_counts=True)
    yield from for_records("directory-twice", number, counts > 1, "a directory has several names")
    above = np.searchsorted(number, parent[first])
    above = np.where(number[np.minimum(above, len(number) - 1)] == parent[first], above, np.arange(len(number)))
    top = above
    for _ in range(len(top).bit_length()):
        top = top[top]
    looping = (number[top] != Number.ROOT) & ((above[top] != top) | (parent[first] == number))
    yield from for_records("directory-loop", number, looping, "a directory lies inside itself")
