"""The chain of extended boot records: one sector per logical partition, linked inside the extended partition."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.errors import VolumeError
from inpart.partitions.mbr import MBR_SIZE, MasterBootRecord, MbrEntry, parse_boot_record
from inpart.volume import Volume

MAX_LOGICALS = 256
"""Longest chain that is followed; Linux stops at 256 partitions as well."""


@dataclass(frozen=True)
class ExtendedBootRecord:
    """One EBR. ``lba`` is its sector; ``container_lba`` the extended partition's first sector, where links count from.

    ``logicals`` are its data entries, whose starts count from ``lba``; ``link`` is the entry of the next EBR.
    """

    lba: int
    container_lba: int
    record: MasterBootRecord
    logicals: tuple[MbrEntry, ...]
    link: MbrEntry | None


@dataclass(frozen=True)
class Chain:
    """The EBRs in the order of the chain, and why it ended early: (code, lba, reason) or None."""

    records: tuple[ExtendedBootRecord, ...]
    broken: tuple[str, int, str] | None = None


def read_chain(volume: Volume, container: MbrEntry, sector_size: int) -> Chain:
    """Follow the EBRs from the container's first sector on: never twice to one place, never out of the container."""
    first, last = container.start_lba, container.start_lba + container.sector_count
    records: list[ExtendedBootRecord] = []
    seen: set[int] = set()
    lba = first
    while True:
        broken = _bad_place(volume, lba, range(first, last), seen, sector_size)
        if broken:
            return Chain(tuple(records), broken)
        seen.add(lba)
        record = _read_record(volume, lba * sector_size)
        if record is None:
            return Chain(tuple(records), ("mbr.ebr-damaged", lba, "is unreadable or no extended boot record"))
        link = next((entry for entry in record.entries if entry.extended), None)
        records.append(ExtendedBootRecord(lba, first, record, _logicals(record, lba, range(first, last)), link))
        if link is None:
            return Chain(tuple(records))
        lba = first + link.start_lba


def _bad_place(volume: Volume, lba: int, inside: range, seen: set[int], unit: int) -> tuple[str, int, str] | None:
    if lba not in inside:
        return ("mbr.ebr-outside", lba, "lies outside the extended partition")
    if lba in seen:
        return ("mbr.ebr-loop", lba, "is linked to twice: the chain is a loop")
    if (lba + 1) * unit > volume.size:
        return ("mbr.ebr-beyond-disk", lba, "lies beyond the end of the disk")
    if len(seen) >= MAX_LOGICALS:
        return ("mbr.ebr-too-many", lba, f"would be number {MAX_LOGICALS + 1}; the rest of the chain is not read")
    return None


def _read_record(volume: Volume, offset: int) -> MasterBootRecord | None:
    try:
        return parse_boot_record(volume.read(offset, MBR_SIZE))
    except VolumeError:
        return None


def _logicals(record: MasterBootRecord, lba: int, inside: range) -> tuple[MbrEntry, ...]:
    """The data entries. The third and fourth entry often hold garbage: they count only inside the container."""
    found = []
    for index, entry in enumerate(record.entries):
        if entry.empty or entry.extended:
            continue
        start, end = lba + entry.start_lba, lba + entry.start_lba + entry.sector_count
        if index < 2 or (entry.plausible_flag and start in inside and end <= inside.stop):
            found.append(entry)
    return tuple(found)
