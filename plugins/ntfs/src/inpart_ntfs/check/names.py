"""Names: those in records against those in directories, parents, link counts, loops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding
from numpy.typing import NDArray

from inpart_ntfs.arrays import gather, unit_rows
from inpart_ntfs.check.report import ENOUGH, Mask, Numbers, error, for_records, warning
from inpart_ntfs.hashing import Hashes, hash_units, mixed, unmatched
from inpart_ntfs.index import Entries
from inpart_ntfs.records import AttributeTable
from inpart_ntfs.structs import (
    FILE_NAME,
    FIRST_USER,
    REFERENCE_MASK,
    AttributeType,
    FileAttribute,
    Namespace,
    Number,
)

if TYPE_CHECKING:
    from inpart_ntfs.check.census import Census

Columns = list[NDArray[np.uint64]]
_MASK = np.uint64(REFERENCE_MASK)
_TOP = np.uint64(1 << 63)


def _columns() -> Columns:
    return [np.empty(0, dtype=np.uint64)]


@dataclass
class NamePass:
    """One element for each name in a record (``hashes``, ``owners``, ``parents``) and for each in a directory.

    ``owners``, ``parents`` and ``targets`` are file references; ``folders`` are record numbers, with the top bit set
    where the entry says that its target is a directory.
    """

    hashes: list[Hashes] = field(default_factory=_columns)
    owners: Columns = field(default_factory=_columns)
    parents: Columns = field(default_factory=_columns)
    short: list[Mask] = field(default_factory=lambda: [np.empty(0, dtype=bool)])
    entry_hashes: list[Hashes] = field(default_factory=_columns)
    targets: Columns = field(default_factory=_columns)
    folders: Columns = field(default_factory=_columns)

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
        self.hashes.append(mixed(reference, parent, namespace, hash_units(units)))
        self.owners.append(reference)
        self.parents.append(parent)
        self.short.append(namespace == Namespace.DOS)

    def take_entries(self, entries: Entries, folder: Numbers) -> None:
        """Keep the entries of directories, all of them sound names, in the directories with these record numbers."""
        names, target = entries.names, entries.fields["indexed_file"]
        parent, namespace = names["parent_directory"], names["file_name_type"]
        self.entry_hashes.append(mixed(target, parent, namespace, hash_units(entries.name_units)))
        self.targets.append(target)
        says = names["file_attributes"] & np.uint32(FileAttribute.DUP_FILE_NAME_INDEX) > 0
        self.folders.append(folder.astype(np.uint64) | np.where(says, _TOP, np.uint64(0)))

    def check(self, census: Census) -> Iterator[Finding]:
        """After the indexes have been read."""
        yield from self._check_entries(census)
        yield from self._check_counts(census)
        yield from self._check_tree(census)

    def _check_entries(self, census: Census) -> Iterator[Finding]:
        """Every name in a directory is one of its file, and the other way round."""
        targets, folders = np.concatenate(self.targets), np.concatenate(self.folders)
        parents, owners = np.concatenate(self.parents), np.concatenate(self.owners)
        nameless, entryless = unmatched(np.concatenate(self.entry_hashes), np.concatenate(self.hashes))
        folder = (folders & ~_TOP).astype(np.int64)
        number = (targets & _MASK).astype(np.int64)
        alive = census.is_file(number[nameless], targets[nameless].view(np.int64))
        for index, lives in zip(nameless[:ENOUGH].tolist(), alive.tolist(), strict=False):
            what = "has no such name in such a directory" if lives else "is not in use, or for another file by now"
            message = f"an entry leads to record {int(number[index])}, which {what}"
            yield error("entry-record", f"record {int(folder[index])}, $I30", message)
        for index in entryless[:ENOUGH].tolist():
            parent = int(parents[index] & _MASK)
            message = f"one of its names is not in its directory, record {parent}"
            yield error("name-lost", f"record {int(owners[index] & _MASK)}, $FILE_NAME", message)
        inside = census.is_file(number, targets.view(np.int64))
        kind = inside & (census.is_directory[np.where(inside, number, 0)] != (folders & _TOP > 0))
        for index in np.flatnonzero(kind)[:ENOUGH].tolist():
            message = f"an entry says of record {int(number[index])} wrongly whether it is a directory"
            yield warning("entry-type", f"record {int(folder[index])}, $I30", message)

    def _check_counts(self, census: Census) -> Iterator[Finding]:
        """Files have as many names as they say, and at least one."""
        owner = (np.concatenate(self.owners) & _MASK).astype(np.int64)
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
        short = np.concatenate(self.short)
        owners, parents = np.concatenate(self.owners)[~short], np.concatenate(self.parents)[~short]
        owner, parent = (owners & _MASK).astype(np.int64), (parents & _MASK).astype(np.int64)
        good = census.is_file(parent, parents.view(np.int64))
        good &= census.is_directory[np.where(good, parent, 0)]
        for index in np.flatnonzero(~good)[:ENOUGH].tolist():
            message = f"its directory, record {int(parent[index])}, is not in use for it"
            yield error("orphan", f"record {int(owner[index])}, $FILE_NAME", message)
        folder = census.is_file(owner, owners.view(np.int64))
        folder &= census.is_directory[np.where(folder, owner, 0)] & good
        owner, parent = owner[folder], parent[folder]
        number, first, counts = np.unique(owner, return_index=True, return_counts=True)
        yield from for_records("directory-twice", number, counts > 1, "a directory has several names")
        above = np.searchsorted(number, parent[first])
        above = np.where(number[np.minimum(above, len(number) - 1)] == parent[first], above, np.arange(len(number)))
        top = above
        for _ in range(len(top).bit_length()):
            top = top[top]
        looping = (number[top] != Number.ROOT) & ((above[top] != top) | (parent[first] == number))
        yield from for_records("directory-loop", number, looping, "a directory lies inside itself")
