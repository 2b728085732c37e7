"""Finishing a committed journal: only if every sector that it changes still shows something that it knows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from inpart.contracts import Stage
from inpart.errors import IntegrityError
from inpart.extents import Extents
from inpart.transaction.journal import Journal
from inpart.transaction.journal_format import JournalState
from inpart.transaction.payload import WINDOW, PayloadReader, Records, Words, sector_crcs
from inpart.volume import Volume

_NAMED = 3

Shown = NDArray[np.bool_]


def replay(volume: Volume, journal: Journal) -> int:
    """Bring every sector of ``journal`` to its last content, stage by stage, each flushed; returns sectors written.

    ``volume`` is the one that was searched. May be repeated; the journal stays as it is until ``retire``. Raises
    IntegrityError, before anything is written, if the journal is not committed or damaged, or if a sector shows neither
    what it held before nor what one of the stages made of it; the message names such sectors.
    """
    if journal.state is not JournalState.COMMITTED:
        raise IntegrityError(f"the journal is {journal.state.name.lower()}; there is nothing to finish")
    partition = journal.partition(volume)
    reader = _reader(volume, journal)
    records = reader.records(partition.size)
    targets = _targets(records, journal)
    after, shown = _compared(partition, reader, journal.header.sector_size, records)
    reached = _reached(partition, journal, records, targets, after, shown)
    return _apply(partition, _reader(volume, journal), journal.header.sector_size, records, reached)


def _reader(volume: Volume, journal: Journal) -> PayloadReader:
    header = journal.header
    return PayloadReader(
        journal.payload(volume),
        sector=header.sector_size,
        run_count=header.run_count,
        sector_count=header.sector_count,
    )


def _targets(records: Records, journal: Journal) -> Extents:
    """The sectors that the journal changes; never its own area."""
    targets = Extents.from_starts(records.offsets, journal.header.sector_size)
    if targets & journal.header.runs.extents():
        raise IntegrityError("the journal would overwrite itself")
    return targets


def _compared(partition: Volume, reader: PayloadReader, sector: int, records: Records) -> tuple[Words, Shown]:
    """For each record the CRC-32C of what its stage makes of the sector, and whether the disk shows that."""
    every = np.ones(len(records.offsets), dtype=np.bool_)
    after, shown = [np.empty(0, dtype=np.uint32)], [every[:0]]
    for first, content in reader.contents():
        count = len(content) // sector
        now = np.empty((count, sector), dtype=np.uint8)
        for low, high in _pieces(records, every, first, first + count, sector):
            partition.readinto(int(records.offsets[low]), now[low - first : high - first].data.cast("B"))
        after.append(sector_crcs(content, sector))
        shown.append((now == np.frombuffer(content, dtype=np.uint8).reshape(now.shape)).all(axis=1))
    return np.concatenate(after), np.concatenate(shown)


def _reached(
    partition: Volume, journal: Journal, records: Records, targets: Extents, after: Words, shown: Shown
) -> NDArray[np.int64]:
    """For each record the stage that its sector has reached on the disk, -1 for none.

    Only for what was there before a checksum has to do: file systems may change a sector and keep its checksum.
    """
    order = np.lexsort((records.stages, records.offsets))
    offsets, before, result = records.offsets[order], records.before[order], after[order]
    opens = np.concatenate([[True], offsets[1:] != offsets[:-1]])
    if not (opens[1:] | (before[1:] == result[:-1])).all():
        raise IntegrityError("the journal's stages contradict each other")
    group = np.cumsum(opens) - 1
    now = _current_crcs(partition, targets, journal.header.sector_size)
    level = np.full(len(now), -2, dtype=np.int64)
    level[now == before[opens]] = -1
    np.maximum.at(level, group, np.where(shown[order], records.stages[order], -2))
    strange = np.flatnonzero(level == -2)
    if len(strange):
        _refuse(offsets[opens][strange])
    reached = np.empty(len(order), dtype=np.int64)
    reached[order] = level[group]
    return reached


def _refuse(strange: NDArray[np.int64]) -> None:
    named = ", ".join(str(offset) for offset in strange[:_NAMED].tolist())
    more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
    raise IntegrityError(
        f"{len(strange)} of the sectors that the unfinished change touches hold something else by now: "
        f"those at bytes {named}{more} of the partition",
        hint="it was used since: check the file system with its own checker, then run inpart resume --discard",
    )


def _current_crcs(partition: Volume, targets: Extents, sector: int) -> Words:
    """CRC-32C of every sector of ``targets`` as it is now, in order."""
    parts = [
        sector_crcs(memoryview(partition.read(low, high - low)), sector)
        for low, high in targets.split(max(WINDOW, sector)).tolist()
    ]
    return np.concatenate(parts)


def _apply(partition: Volume, reader: PayloadReader, sector: int, records: Records, reached: NDArray[np.int64]) -> int:
    due = records.stages > reached
    reader.records(partition.size)
    stage = int(min(Stage))
    for first, content in reader.contents():
        for low, high in _pieces(records, due, first, first + len(content) // sector, sector):
            if records.stages[low] != stage:
                partition.flush()
                stage = int(records.stages[low])
            partition.write(int(records.offsets[low]), content[(low - first) * sector : (high - first) * sector])
    partition.flush()
    return int(due.sum())


def _pieces(records: Records, due: NDArray[np.bool_], first: int, end: int, sector: int) -> Iterator[tuple[int, int]]:
    """Index ranges of records that are due and lie next to each other on the disk, within one stage."""
    index = np.flatnonzero(due[first:end]) + first
    if not len(index):
        return
    joined = (np.diff(index) == 1) & (np.diff(records.stages[index]) == 0) & (np.diff(records.offsets[index]) == sector)
    cuts = np.flatnonzero(~joined) + 1
    for part in np.split(index, cuts):
        yield int(part[0]), int(part[-1]) + 1
