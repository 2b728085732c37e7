"""Security ids against $Secure: the index of ids, the descriptors and their second copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from inpart.errors import FilesystemDamaged
from inpart.units import KIB
from inpart.volume import Volume

from inpart_ntfs.arrays import gather
from inpart_ntfs.check.report import error, warning
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.index import KEY, Entries
from inpart_ntfs.records import AttributeTable
from inpart_ntfs.structs import STANDARD_INFORMATION, Struct

if TYPE_CHECKING:
    from inpart_ntfs.filesystem import NtfsFilesystem

COPY_DISTANCE = 256 * KIB
"""So far behind each descriptor stands its second copy."""
MAX_DESCRIPTOR = 128 * KIB
SECURITY_HEADER: Struct = np.dtype([("hash", "<u4"), ("id", "<u4"), ("offset", "<u8"), ("length", "<u4")])
"""What stands before each descriptor in $SDS, and as the data of each entry of $SII; 20 bytes."""
_SII: Struct = np.dtype([("key", "<u4"), ("data", SECURITY_HEADER)])


@dataclass
class SecurityPass:
    """``ids`` are the security ids in use with a record that has each, ``known`` the entries of $SII."""

    ids: dict[int, int] = field(default_factory=dict)
    known: list[np.ndarray] = field(default_factory=lambda: [np.empty(0, dtype=_SII)])

    def take(self, table: AttributeTable) -> None:
        """Keep the ids of a window of records."""
        table = table.pick((table.type == AttributeType.STANDARD_INFORMATION) & ~table.non_resident)
        table = table.pick(table.value_length >= STANDARD_INFORMATION.itemsize)
        start = table.offset + table.value_offset
        found = gather(table.records.raw, table.row, start, STANDARD_INFORMATION)["security_id"]
        ids, first = np.unique(found, return_index=True)
        for number, record in zip(ids.tolist(), table.number[first].tolist(), strict=True):
            if number:
                self.ids.setdefault(number, record)

    def take_entries(self, entries: Entries) -> None:
        """Keep entries of $SII."""
        self.known.append(gather(entries.data, entries.row, entries.offset + KEY, _SII))

    def check(self, filesystem: NtfsFilesystem) -> Iterator[Finding]:
        """After the indexes have been read."""
        known = np.concatenate(self.known)
        if not len(known) and filesystem.state.version < (3, 0):
            return
        used = np.array(sorted(self.ids), dtype=np.int64)
        for number in used[~np.isin(used, known["key"])][:ENOUGH].tolist():
            message = f"its security id {number} is not in $Secure"
            yield error("security-id", f"record {self.ids[number]}, $STANDARD_INFORMATION", message)
        try:
            stream = filesystem.mft.content(filesystem.mft.metadata(Number.SECURE, AttributeType.DATA, "$SDS"))
        except FilesystemDamaged as damage:
            yield error("security", "$Secure:$SDS", damage.message)
            return
        for entry in known:
            yield from _check_descriptor(stream, entry)


def _check_descriptor(stream: Volume, entry: np.void) -> Iterator[Finding]:
    """A descriptor is where $SII says, has the hash that it says, and is there twice."""
    number, header = int(entry["key"]), entry["data"]
    offset, length = int(header["offset"]), int(header["length"])
    where = f"$Secure:$SDS, byte {offset}"
    size = SECURITY_HEADER.itemsize
    if not size <= length <= MAX_DESCRIPTOR or offset + length > stream.size or offset % 16:
        yield error("security", "$Secure:$SII", f"the descriptor of id {number} lies outside of $SDS")
        return
    raw = stream.read(offset, length)
    if raw[:size] != header.tobytes():
        yield error("security", where, f"it is not the descriptor of id {number} as $SII has it")
    elif descriptor_hash(raw[size:]) != int(header["hash"]):
        yield error("security", where, f"the descriptor of id {number} is damaged")
    elif offset + COPY_DISTANCE + length > stream.size or stream.read(offset + COPY_DISTANCE, length) != raw:
        yield warning("security-copy", where, f"the second copy of the descriptor of id {number} is not the same")


def descriptor_hash(raw: bytes) -> int:
    """The sum over 32-bit words, rotated left by 3 before each."""
    total = 0
    for word in np.frombuffer(raw[: len(raw) // 4 * 4], dtype="<u4").tolist():
        total = (word + ((total << 3 | total >> 29) & 0xFFFFFFFF)) & 0xFFFFFFFF
    return total
