"""GUID partition tables: header, entry array, their checksums (UEFI specification 2.10, section 5.3)."""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from inpart.errors import PartitionTableDamaged, VolumeError
from inpart.volume import Volume

GPT_SIGNATURE = b"EFI PART"
MIN_HEADER_SIZE = 92
ENTRY_SIZE = 128
MAX_ARRAY_SIZE = 4 << 20
"""Largest entry array that is read, in bytes: 32768 entries; usual are 16 KiB."""

_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_ENTRY = np.dtype(
    [
        ("partition_type_guid", "V16"),
        ("unique_partition_guid", "V16"),
        ("starting_lba", "<u8"),
        ("ending_lba", "<u8"),
        ("attributes", "<u8"),
        ("partition_name", "V72"),
    ]
)


class GptHeader(NamedTuple):
    """The header, fields in the order of the disk; LBA fields count sectors."""

    signature: bytes
    revision: int
    header_size: int
    header_crc32: int
    reserved: int
    my_lba: int
    alternate_lba: int
    first_usable_lba: int
    last_usable_lba: int
    disk_guid: bytes
    partition_entry_lba: int
    number_of_partition_entries: int
    size_of_partition_entry: int
    partition_entry_array_crc32: int

    @property
    def array_size(self) -> int:
        """Size of the entry array in bytes."""
        return self.number_of_partition_entries * self.size_of_partition_entry

    def backup_lba(self, last_lba: int) -> int:
        """Where the backup header is: what the header says if that can be, or else the disk's last sector."""
        place = max(self.my_lba, self.alternate_lba)
        return place if self.last_usable_lba < place <= last_lba else last_lba

    def sealed(self, array: bytes) -> GptHeader:
        """The header with both checksums right for ``array``."""
        plain = self._replace(header_crc32=0, partition_entry_array_crc32=zlib.crc32(array))
        return plain._replace(header_crc32=zlib.crc32(plain.pack()))

    def pack(self) -> bytes:
        """``header_size`` bytes of the disk."""
        return _HEADER.pack(*self).ljust(self.header_size, b"\0")


class GptEntry(NamedTuple):
    """One used entry. ``position`` counts from 0; LBAs are inclusive, in sectors; GUIDs as they lie on the disk."""

    position: int
    partition_type_guid: bytes
    unique_partition_guid: bytes
    starting_lba: int
    ending_lba: int
    attributes: int
    partition_name: str

    @property
    def legacy_bootable(self) -> bool:
        """Attribute bit 2: legacy BIOS bootable."""
        return bool(self.attributes & 4)


@dataclass(frozen=True)
class GptCopy:
    """What one copy of the table says. ``header`` is None if it is not valid; ``problem`` then says why.

    A valid header with an invalid ``array`` has ``array`` empty and a problem. ``signed``: it claims to be a header.
    """

    place: str
    header: GptHeader | None = None
    array: bytes = b""
    problem: str = ""
    signed: bool = False

    @property
    def valid(self) -> bool:
        """True if header and array can be trusted."""
        return self.header is not None and not self.problem

    def trusted_header(self) -> GptHeader:
        """The header of a valid copy. Raises PartitionTableDamaged if it is not valid."""
        if self.header is None or self.problem:
            raise PartitionTableDamaged(f"the {self.place} GPT is damaged: {self.problem}")
        return self.header


def guid_text(raw: bytes) -> str:
    """A GUID as people write it, in upper case: the first three fields are little-endian on the disk."""
    return str(uuid.UUID(bytes_le=bytes(raw))).upper()


def unpack_header(sector: bytes) -> GptHeader | None:
    """The fields of a header, unchecked; None without the signature EFI PART."""
    if len(sector) < MIN_HEADER_SIZE or sector[:8] != GPT_SIGNATURE:
        return None
    return GptHeader(*_HEADER.unpack_from(sector))


def read_copy(volume: Volume, lba: int, sector_size: int, place: str) -> GptCopy:
    """Read and check header and entry array of the copy whose header lies at ``lba``; never raises for damage."""
    if lba < 1:
        return GptCopy(place, problem=f"its place is said to be sector {lba}")
    try:
        sector = volume.read(lba * sector_size, sector_size)
        header = unpack_header(sector)
        if header is None:
            return GptCopy(place, problem="it has no signature EFI PART")
        problem = _header_problem(header, sector, lba, volume.size // sector_size)
        if problem:
            return GptCopy(place, problem=problem, signed=True)
        array = volume.read(header.partition_entry_lba * sector_size, header.array_size)
    except VolumeError as error:
        return GptCopy(place, problem=error.message)
    if zlib.crc32(array) != header.partition_entry_array_crc32:
        return GptCopy(place, header, problem="the checksum of its entries is wrong", signed=True)
    return GptCopy(place, header, array, signed=True)


def _header_problem(header: GptHeader, sector: bytes, lba: int, sectors: int) -> str:
    """Why a signed header cannot be trusted; empty if it can. Sizes are bounded before anything is allocated."""
    size, entry_size = header.header_size, header.size_of_partition_entry
    if not MIN_HEADER_SIZE <= size <= len(sector):
        return f"its header size is {size}"
    if zlib.crc32(sector[:16] + bytes(4) + sector[20:size]) != header.header_crc32:
        return "the checksum of its header is wrong"
    usable = range(header.first_usable_lba, header.last_usable_lba + 1)
    entries = range(header.partition_entry_lba, header.partition_entry_lba - (-header.array_size // len(sector)))
    checks = (
        (header.my_lba == lba, f"it says that it lies at sector {header.my_lba}"),
        (entry_size >= ENTRY_SIZE and entry_size % ENTRY_SIZE == 0, f"its entries are {entry_size} bytes long"),
        (0 < header.array_size <= MAX_ARRAY_SIZE, f"it has {header.number_of_partition_entries} entries"),
        (usable.start < usable.stop <= 1 << 52, f"its usable range is {usable.start} to {usable.stop - 1}"),
        (entries.start >= 2 and entries.stop <= sectors, f"its entries are said to lie at sector {entries.start}"),
    )
    return next((problem for good, problem in checks if not good), "")


def used_entries(array: bytes, entry_size: int) -> list[GptEntry]:
    """The entries with a type, in the order of the array."""
    rows = np.frombuffer(array, dtype=np.uint8)[: len(array) // entry_size * entry_size].reshape(-1, entry_size)
    used = np.flatnonzero(rows[:, :16].any(axis=1))
    table = np.ascontiguousarray(rows[used, :ENTRY_SIZE]).view(_ENTRY).ravel()
    return [
        GptEntry(
            index,
            row["partition_type_guid"].tobytes(),
            row["unique_partition_guid"].tobytes(),
            int(row["starting_lba"]),
            int(row["ending_lba"]),
            int(row["attributes"]),
            row["partition_name"].tobytes().decode("utf-16-le", "replace").partition("\0")[0],
        )
        for index, row in zip(used.tolist(), table, strict=True)
    ]


def pack_entry(type_guid: bytes, unique_guid: bytes, starting_lba: int, ending_lba: int, name: str) -> bytes:
    """The 128 bytes of an entry without attributes; GUIDs as they lie on the disk, LBAs inclusive."""
    text = name.encode("utf-16-le")[:72].ljust(72, b"\0")
    return struct.pack("<16s16sQQQ72s", type_guid, unique_guid, starting_lba, ending_lba, 0, text)
