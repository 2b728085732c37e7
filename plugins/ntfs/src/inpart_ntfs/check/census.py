"""Pass 1: every record is read and judged, and what later passes need of it is kept as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import proxy

import numpy as np
from inpart.contracts import Finding
from inpart.errors import FilesystemDamaged
from numpy.typing import NDArray

from inpart_ntfs.check.attributes import check_attributes
from inpart_ntfs.check.indexes import IndexPass
from inpart_ntfs.check.lists import ListPass
from inpart_ntfs.check.names import NamePass
from inpart_ntfs.check.records import check_ends, check_leftovers, check_records
from inpart_ntfs.check.report import Mask, Numbers, error
from inpart_ntfs.check.runs import RunPass
from inpart_ntfs.check.security import SecurityPass
from inpart_ntfs.codes import REFERENCE_MASK, AttributeType, Number, RecordFlag
from inpart_ntfs.leftovers import Leftovers
from inpart_ntfs.records import Records

if TYPE_CHECKING:
    from inpart_ntfs.filesystem import NtfsFilesystem

_MASK = np.uint64(REFERENCE_MASK)
SYSTEM_FILES = (*range(Number.SECURE), Number.UPCASE)
"""Records that every version of NTFS has in use."""


class Census:
    """What pass 1 found. Arrays have an element for each record; records that are not in use have sequence 0."""

    def __init__(self, filesystem: NtfsFilesystem) -> None:
        self.filesystem = filesystem
        self.count = count = filesystem.mft.count
        self.in_use, self.is_base, self.is_directory = (np.zeros(count, dtype=bool) for _ in range(3))
        self.sequence, self.link_count = (np.zeros(count, dtype=np.uint16) for _ in range(2))
        self.runs = RunPass(filesystem.boot.cluster_size, filesystem.boot.clusters)
        self.lists = ListPass(filesystem.mft)
        self.indexes = IndexPass(proxy(self))
        self.names = NamePass(count)
        self.security = SecurityPass()

    def is_file(self, references: NDArray[np.uint64]) -> Mask:
        """Which file references lead to base records that are in use for them."""
        place = self._places(references)
        same = self.sequence[place] == references >> np.uint64(48)
        return np.asarray(same & self.in_use[place] & self.is_base[place] & (references & _MASK == place))

    def is_folder(self, references: NDArray[np.uint64]) -> Mask:
        """Which of them lead to directories."""
        return self.is_file(references) & self.is_directory[self._places(references)]

    def _places(self, references: NDArray[np.uint64]) -> Numbers:
        number = (references & _MASK).astype(np.int64)
        return np.where(number < self.count, number, 0)

    def take(self) -> Iterator[Finding]:
        """Read all records."""
        marked, finding = self._marked()
        if finding:
            yield finding
        for window, left in Leftovers(self.filesystem.mft).apart():
            yield from check_leftovers(left)
            yield from check_records(window, marked[window.numbers])
            self._keep(window)
            table = window.attributes()
            yield from check_ends(table)
            yield from check_attributes(table)
            yield from self.runs.take(table)
            yield from self.lists.take(table)
            yield from self.indexes.take(table)
            self.names.take(table)
            self.security.take(table)
        for number in SYSTEM_FILES:
            if number >= self.count or not self.in_use[number]:
                yield error("system-file", f"record {number}", f"{Number(number).name} is not there")

    def _marked(self) -> tuple[NDArray[np.bool_], Finding | None]:
        """The record bitmap; as if all records were marked if it cannot be read."""
        mft = self.filesystem.mft
        try:
            stream = mft.content(mft.metadata(Number.MFT, AttributeType.BITMAP))
        except FilesystemDamaged as damage:
            return np.ones(self.count, dtype=bool), error("record-bitmap", "$MFT, $BITMAP", damage.message)
        size = min(stream.size, -(-self.count // 8))
        bits = np.unpackbits(np.frombuffer(stream.read(0, size), dtype=np.uint8), bitorder="little")[: self.count]
        marked = np.zeros(self.count, dtype=bool)
        marked[: len(bits)] = bits
        short = len(bits) < self.count
        message = f"it has {len(bits)} bits for {self.count} records"
        return marked, error("record-bitmap", "$MFT, $BITMAP", message) if short else None

    def _keep(self, window: Records) -> None:
        numbers = window.numbers
        used = window.in_use
        self.in_use[numbers] = used
        self.is_base[numbers] = used & ~window.is_extension
        self.is_directory[numbers] = used & (window["flags"] & RecordFlag.IS_DIRECTORY > 0)
        self.sequence[numbers] = np.where(used, window["sequence_number"], 0)
        self.link_count[numbers] = np.where(used, window["link_count"], 0)
