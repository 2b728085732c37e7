"""Security ids against $Secure: the index of ids, the descriptors and their second copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from inpart.errors import FilesystemDamaged
from inpart.units import KIB
from inpart.volume import Volume

from inpart_ntfs.arrays import gather
from inpart_ntfs.check.attributes import SECURITY_DESCRIPTOR
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
_SDH: Struct = np.dtype([("hash", "<u4"), ("id", "<u4"), ("data", SECURITY_HEADER)])
_LARGEST_SID = 15
"""Parts of a security identifier at most."""


@dataclass
class SecurityPass:
    """``ids`` are the security ids in use with a record that has each, ``known`` the entries of $SII.

    ``hashed`` are those of $SDH, the same descriptors by their hash.
    """

    ids: dict[int, int] = field(default_factory=dict)
    known: list[np.ndarray] = field(default_factory=lambda: [np.empty(0, dtype=_SII)])
    hashed: list[np.ndarray] = field(default_factory=lambda: [np.empty(0, dtype=_SDH)])

    @property
    def takers(self) -> dict[str, Callable[[Entries], None]]:
        """What keeps the entries of which index of $Secure."""
        return {"$SII": self._take_ids, "$SDH": self._take_hashes}

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

    def _take_ids(self, entries: Entries) -> None:
        self.known.append(gather(entries.data, entries.row, entries.offset + KEY, _SII))

    def _take_hashes(self, entries: Entries) -> None:
        self.hashed.append(gather(entries.data, entries.row, entries.offset + KEY, _SDH))

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
        yield from _check_hashes(known, np.concatenate(self.hashed))


def _check_hashes(known: np.ndarray, hashed: np.ndarray) -> Iterator[Finding]:
    """$SDH leads to the same descriptors as $SII, by their hash and id."""
    by_hash = {entry["data"].tobytes(): entry for entry in hashed}
    for entry in hashed:
        header = entry["data"]
        if (int(entry["hash"]), int(entry["id"])) != (int(header["hash"]), int(header["id"])):
            message = f"the key of the descriptor of id {int(header['id'])} is not what its entry says"
            yield error("security", "$Secure:$SDH", message)
    for entry in known:
        if by_hash.pop(entry["data"].tobytes(), None) is None:
            yield error("security", "$Secure:$SDH", f"it lacks the descriptor of id {int(entry['key'])}")
    for entry in by_hash.values():
        yield error("security", "$Secure:$SDH", f"it has a descriptor of id {int(entry['id'])} that $SII has not")


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
    elif not _has_sids(raw[size:]):
        yield error("security", where, f"the descriptor of id {number} names an impossible owner or group")
    elif offset + COPY_DISTANCE + length > stream.size or stream.read(offset + COPY_DISTANCE, length) != raw:
        yield warning("security-copy", where, f"the second copy of the descriptor of id {number} is not the same")


def _has_sids(raw: bytes) -> bool:
    """True if owner and group of a descriptor, as far as it has any, are security identifiers."""
    header = np.frombuffer(raw.ljust(SECURITY_DESCRIPTOR.itemsize, b"\0"), dtype=SECURITY_DESCRIPTOR, count=1)[0]
    return all(_is_sid(raw[int(header[part]) :]) for part in ("owner", "group") if header[part])


def _is_sid(raw: bytes) -> bool:
    return len(raw) >= 8 and raw[0] == 1 and raw[1] <= _LARGEST_SID and len(raw) >= 8 + 4 * raw[1]


def descriptor_hash(raw: bytes) -> int:
    """The sum over 32-bit words, rotated left by 3 before each."""
    total = 0
    for word in np.frombuffer(raw[: len(raw) // 4 * 4], dtype="<u4").tolist():
        total = (word + ((total << 3 | total >> 29) & 0xFFFFFFFF)) & 0xFFFFFFFF
    return total
