"""The records in the slots: read with the older slot as reserve, and packed into the room of the next one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inpart.checksums import blake3_digest
from inpart.errors import IntegrityError, NoSpace, VolumeError
from inpart.inflate import inflate
from inpart.volume import Volume

from inpart_aid_partition.slots import CONTENT_LIMIT, HEAD, MAX_ENTRIES, Entry, Slot

if TYPE_CHECKING:
    from inpart.contracts import AidRecord

_LEFT_OUT: tuple[tuple[str, ...], ...] = (
    (),
    ("system_areas",),
    ("system_areas", "extents"),
    ("system_areas", "extents", "images"),
)
_STEPS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2))
"""What is left out of the new record and of the others, indices of ``_LEFT_OUT``, as room becomes scarcer."""


@dataclass(frozen=True)
class Known:
    """A record, and the bytes that it is stored as. ``reserve``: the newest slot's copy of it is damaged."""

    record: AidRecord
    stored: bytes
    content_length: int
    reserve: bool = False

    @classmethod
    def of(cls, record: AidRecord) -> Known:
        """A record that is not stored yet."""
        content = record.model_dump_json(exclude_defaults=True).encode()
        return cls(record, zlib.compress(content, 9), len(content))

    def without(self, fields: tuple[str, ...]) -> Known:
        """The same with ``fields`` left out; unchanged bytes if none are."""
        return Known.of(self.record.without(*fields)) if fields else self


@dataclass(frozen=True)
class Contents:
    """What a recovery partition holds: records, the one written last first, and how many are lost to damage."""

    known: tuple[Known, ...]
    damaged: int

    @property
    def records(self) -> list[AidRecord]:
        """The records alone."""
        return [one.record for one in self.known]

    def about(self, record: AidRecord) -> Known | None:
        """What is known of the same partition."""
        same = [one for one in self.known if is_about(one.record, record)]
        return min(same, key=lambda one: one.record.partition_start != record.partition_start, default=None)


def is_about(old: AidRecord, new: AidRecord) -> bool:
    """True if ``old`` speaks of the partition of ``new``: the same place on the disk, or its images a bit elsewhere.

    A copy of a partition holds the same stores, but does not overlap it.
    """
    same_disk = old.disk_signature == new.disk_signature or not (old.disk_signature and new.disk_signature)
    shared = not {*old.store_ids}.isdisjoint(new.store_ids)
    overlap = (
        old.partition_start < new.partition_start + new.partition_size
        and new.partition_start < old.partition_start + old.partition_size
    )
    return (same_disk and old.partition_start == new.partition_start) or (shared and overlap)


def contents_of(volume: Volume, slots: Sequence[Slot]) -> Contents:
    """All of the newest slot; in place of what is damaged there, what the older one says of the same place."""
    known: list[Known] = []
    lost: list[int] = []
    for entry, one in _all_of(volume, slots[:1]):
        known += [one] if one else []
        lost += [] if one else [entry.partition_start]
    for entry, one in _all_of(volume, slots[1:]):
        if one and entry.partition_start in lost:
            known.append(Known(one.record, one.stored, one.content_length, reserve=True))
            lost.remove(entry.partition_start)
    return Contents(tuple(known), len(lost))


def _all_of(volume: Volume, slots: Sequence[Slot]) -> Iterator[tuple[Entry, Known | None]]:
    """Every entry of ``slots`` and its record, None if that is damaged."""
    for slot in slots:
        for entry in slot.entries:
            try:
                yield entry, _unpacked(slot.stored(volume, entry), entry)
            except (IntegrityError, VolumeError):
                yield entry, None


def _unpacked(stored: bytes, entry: Entry) -> Known:
    """Raises IntegrityError."""
    from inpart.contracts import parse_record  # noqa: PLC0415 - pydantic takes longer to load than a probe runs

    what = f"the record of the partition at byte {entry.partition_start}"
    if blake3_digest(stored) != entry.digest:
        raise IntegrityError(f"{what} is damaged")
    content = inflate(stored, entry.content_length, what)
    return Known(parse_record(content), stored, len(content))


def packed(new: AidRecord, others: Sequence[Known], size: int) -> tuple[tuple[Entry, ...], bytes]:
    """Directory and bytes behind the head for a slot of ``size`` bytes; ``others`` are newest first.

    As room becomes scarce system areas and run lists are left out, of the others first; then the oldest records.
    Raises NoSpace if the new one does not fit alone.
    """
    fresh, kept = Known.of(new), list(others[: MAX_ENTRIES - 1])
    for mine, theirs in _STEPS:
        chosen = [fresh.without(_LEFT_OUT[mine]), *(one.without(_LEFT_OUT[theirs]) for one in kept)]
        if _fits(chosen, size):
            return _laid_out(chosen)
    while len(chosen) > 1 and not _fits(chosen, size):
        chosen.pop()
    if not _fits(chosen, size):
        chosen = [fresh.without(_LEFT_OUT[-1])]
    if not _fits(chosen, size):
        raise NoSpace(
            f"the record does not fit into the {size - HEAD} bytes of a slot", hint="make the recovery partition larger"
        )
    return _laid_out(chosen)


def _fits(chosen: Sequence[Known], size: int) -> bool:
    stored = sum(len(one.stored) for one in chosen) <= size - HEAD
    return stored and sum(one.content_length for one in chosen) <= CONTENT_LIMIT


def _laid_out(chosen: Sequence[Known]) -> tuple[tuple[Entry, ...], bytes]:
    entries: list[Entry] = []
    at = HEAD
    for one in chosen:
        digest = blake3_digest(one.stored)
        entries.append(Entry(one.record.partition_start, at, len(one.stored), one.content_length, digest))
        at += len(one.stored)
    return tuple(entries), b"".join(one.stored for one in chosen)
