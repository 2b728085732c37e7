"""The journal's header and commit record, byte for byte as docs/FORMAT.md has them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from inpart.checksums import crc32c
from inpart.errors import IntegrityError
from inpart.extents import Runs
from inpart.transaction.area import HEADER, MAX_RUNS, PAYLOAD, UNIT, place_of
from inpart.units import is_power_of_two

HEADER_MAGIC = b"INPART\x00J"
COMMIT_MAGIC = b"INPART\x00K"
VERSION = (1, 0)
MAX_SECTOR_RUNS = 1 << 20
MAX_SECTORS = 1 << 21

_HEADER = struct.Struct("<8sHHI16sQQQIIQIIQ")
_COMMIT = struct.Struct("<8sIII16sQ")
_RUNS_AT = 96


class JournalState(IntEnum):
    """What the commit record says; UNFINISHED is the absence of one that belongs to the header."""

    UNFINISHED = 0
    COMMITTED = 1
    RETIRED = 2


@dataclass(frozen=True)
class JournalHeader:
    """The journal's first unit. Places and sizes are bytes of the partition; ``runs`` is the whole journal area.

    ``payload_length`` is compressed. ``run_count`` runs of sectors, over all stages, hold ``sector_count`` sectors.
    """

    journal_id: bytes
    generation: int
    own_offset: int
    partition_size: int
    sector_size: int
    payload_length: int
    payload_crc: int
    run_count: int
    sector_count: int
    runs: Runs

    def pack(self) -> bytes:
        """The header as one unit."""
        unit = bytearray(UNIT)
        fields = (self.journal_id, self.generation, self.own_offset, self.partition_size, self.sector_size)
        more = (len(self.runs), self.payload_length, self.payload_crc, self.run_count, self.sector_count)
        _HEADER.pack_into(unit, 0, HEADER_MAGIC, *VERSION, 0, *fields, *more)
        table = self.runs.array.astype("<u8").tobytes()
        unit[_RUNS_AT : _RUNS_AT + len(table)] = table
        return _sealed(unit)

    @classmethod
    def unpack(cls, unit: bytes) -> JournalHeader:
        """Raises IntegrityError unless every field is sound by itself."""
        if unit[:8] != HEADER_MAGIC or not _intact(unit):
            raise IntegrityError("the journal's header is damaged")
        _, major, _, _, journal_id, *rest = _HEADER.unpack_from(unit)
        generation, own_offset, partition_size, sector_size, area_runs, length, crc, run_count, sectors = rest
        if major != VERSION[0]:
            raise IntegrityError(
                f"the journal has format version {major}, this program knows {VERSION[0]}",
                hint="use the version of inpart that began the work",
            )
        if not 0 < area_runs <= MAX_RUNS:
            raise IntegrityError(f"the journal's header names {area_runs} pieces of its area")
        pairs = np.frombuffer(unit, dtype="<u8", count=2 * area_runs, offset=_RUNS_AT).reshape(-1, 2)
        if partition_size >= 1 << 62 or (pairs > partition_size).any() or (pairs.sum(axis=1) > partition_size).any():
            raise IntegrityError("the journal's header names places outside its partition")
        runs = Runs(pairs.astype(np.int64))
        header = cls(
            journal_id, generation, own_offset, partition_size, sector_size, length, crc, run_count, sectors, runs
        )
        header._check()
        return header

    def _check(self) -> None:
        sound = (
            is_power_of_two(self.sector_size)
            and 512 <= self.sector_size <= UNIT
            and 0 < self.run_count <= min(self.sector_count, MAX_SECTOR_RUNS)
            and self.sector_count <= MAX_SECTORS
            and PAYLOAD + self.payload_length <= self.runs.total == self.runs.extents().total
            and self.own_offset == place_of(self.runs, HEADER)
        )
        if not sound:
            raise IntegrityError("the fields of the journal's header contradict each other")


def pack_commit(state: JournalState, header_unit: bytes) -> bytes:
    """The commit record, as one unit, that gives the journal with this header the ``state``."""
    unit = bytearray(UNIT)
    header = JournalHeader.unpack(header_unit)
    seal = int.from_bytes(header_unit[12:16], "little")
    _COMMIT.pack_into(unit, 0, COMMIT_MAGIC, state, 0, seal, header.journal_id, header.generation)
    return _sealed(unit)


def read_commit(unit: bytes, header_unit: bytes) -> JournalState:
    """What a commit record says of the journal with this header; UNFINISHED if it is not its own."""
    for state in (JournalState.COMMITTED, JournalState.RETIRED):
        if unit == pack_commit(state, header_unit):
            return state
    return JournalState.UNFINISHED


def _sealed(unit: bytearray) -> bytes:
    unit[12:16] = bytes(4)
    unit[12:16] = crc32c(unit).to_bytes(4, "little")
    return bytes(unit)


def _intact(unit: bytes) -> bool:
    return crc32c(unit[:12] + bytes(4) + unit[16:]) == int.from_bytes(unit[12:16], "little")
