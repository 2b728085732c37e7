"""The journal on the disk: written before metadata is edited, found again after a cut, retired when all is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from inpart.checksums import crc32c
from inpart.errors import InpartError, IntegrityError, NoSpace, UnfinishedJournal
from inpart.extents import Runs
from inpart.scan import scan_magics
from inpart.transaction.area import COMMIT, HEADER, PAYLOAD, SLOT_A, UNIT, open_area, place_of
from inpart.transaction.journal_format import HEADER_MAGIC, JournalHeader, JournalState, pack_commit, read_commit
from inpart.transaction.payload import Payload
from inpart.units import MIB
from inpart.volume import RunsVolume, SliceVolume, Volume

ID_SIZE = 16


@dataclass(frozen=True)
class Journal:
    """A journal that was found: ``base`` is where its partition begins on the volume that was searched."""

    base: int
    header: JournalHeader
    header_unit: bytes
    state: JournalState

    @property
    def unfinished_work(self) -> bool:
        """True if edits may be half done, so that ``replay`` is called for."""
        return self.state is JournalState.COMMITTED

    def partition(self, volume: Volume) -> Volume:
        """The journal's partition on the volume that was searched."""
        if self.base == 0 and volume.size == self.header.partition_size:
            return volume
        return SliceVolume(volume, self.base, self.header.partition_size)

    def payload(self, volume: Volume) -> RunsVolume:
        """The compressed payload. Raises IntegrityError if it does not have its checksum."""
        runs = self.header.runs.slice(PAYLOAD, self.header.payload_length)
        stored = RunsVolume(self.partition(volume), runs, name="journal payload")
        crc = 0
        for at in range(0, stored.size, MIB):
            crc = crc32c(stored.read(at, min(MIB, stored.size - at)), crc)
        if crc != self.header.payload_crc:
            raise IntegrityError(
                "the journal's payload does not have its checksum", hint="inpart resume --discard forgets it"
            )
        return stored


def area_header(area: Volume) -> tuple[JournalHeader, bytes] | None:
    """The header in a journal area, with its unit; None if there is none that is sound."""
    unit = area.read(HEADER, UNIT)
    try:
        return JournalHeader.unpack(unit), unit
    except IntegrityError:
        return None


def check_idle(volume: Volume, runs: Runs) -> int:
    """The generation of the next journal in the area ``runs``. Raises UnfinishedJournal if the last one is live."""
    area = open_area(volume, runs)
    found = area_header(area)
    if found is None or found[0].runs != runs:
        return 1
    if read_commit(area.read(COMMIT, UNIT), found[1]) is JournalState.COMMITTED:
        raise UnfinishedJournal(
            f"{volume.name}: a change was cut short and is not finished yet", hint="run inpart resume first"
        )
    return found[0].generation % ((1 << 64) - 1) + 1


def prepare_journal(volume: Volume, runs: Runs, payload: Payload) -> JournalHeader:
    """The header of a journal to be written to ``runs``. Raises NoSpace, UnfinishedJournal; writes nothing."""
    generation = check_idle(volume, runs)
    if PAYLOAD + len(payload.data) > runs.total:
        raise NoSpace(
            f"the journal needs {PAYLOAD + len(payload.data)} bytes, its area has {runs.total}",
            hint="fewer changes at a time, or a larger journal area",
        )
    return JournalHeader(
        journal_id=os.urandom(ID_SIZE),
        generation=generation,
        own_offset=place_of(runs, HEADER),
        partition_size=volume.size,
        sector_size=volume.sector_size,
        payload_length=len(payload.data),
        payload_crc=crc32c(payload.data),
        run_count=payload.run_count,
        sector_count=payload.sector_count,
        runs=runs,
    )


def write_journal(volume: Volume, header: JournalHeader, payload: Payload) -> Journal:
    """Write payload and header, flush, write the commit record, flush: from then on the edits will happen."""
    area = open_area(volume, header.runs)
    unit = header.pack()
    area.write(PAYLOAD, payload.data)
    area.write(HEADER, unit)
    area.flush()
    area.write(COMMIT, pack_commit(JournalState.COMMITTED, unit))
    area.flush()
    return Journal(0, header, unit, JournalState.COMMITTED)


def retire(volume: Volume, journal: Journal) -> None:
    """Say that the edits of ``journal`` are all done; harmless when repeated."""
    area = open_area(journal.partition(volume), journal.header.runs)
    if area.read(HEADER, UNIT) == journal.header_unit:
        area.write(COMMIT, pack_commit(JournalState.RETIRED, journal.header_unit))
        area.flush()


def clear_area(volume: Volume, runs: Runs) -> None:
    """Make a journal area empty, whatever it held before, and flush."""
    area = open_area(volume, runs)
    area.write(SLOT_A, bytes(PAYLOAD))
    area.flush()


def find_journal(volume: Volume, places: Iterable[Runs | int]) -> list[Journal]:
    """Journals at ``places``: journal areas of the partition ``volume``, or offsets of journal headers on any volume.

    Places that hold none are passed over. Newest first; each once.
    """
    found: dict[bytes, Journal] = {}
    for place in places:
        try:
            journal = _journal_at(volume, place if isinstance(place, int) else place_of(place, HEADER))
        except InpartError:
            continue
        if isinstance(place, int) or (journal.base == 0 and journal.header.runs == place):
            found.setdefault(journal.header.journal_id, journal)
    return sorted(found.values(), key=lambda journal: journal.header.generation, reverse=True)


def scan_for_journals(
    volume: Volume, *, start: int = 0, progress: Callable[[int], None] | None = None
) -> Iterator[Journal]:
    """Journals on ``volume``, a partition or a whole disk, from its end backward to the sector at ``start``."""
    for offset, _ in scan_magics(volume, (HEADER_MAGIC,), start=start, progress=progress):
        yield from find_journal(volume, (offset,))


def _journal_at(volume: Volume, offset: int) -> Journal:
    """Raises IntegrityError, OutOfBounds."""
    unit = volume.read(offset, UNIT)
    header = JournalHeader.unpack(unit)
    journal = Journal(offset - header.own_offset, header, unit, JournalState.UNFINISHED)
    area = open_area(journal.partition(volume), header.runs)
    if area.read(HEADER, UNIT) != unit:
        raise IntegrityError("the journal's header does not lie where it says")
    return Journal(journal.base, header, unit, read_commit(area.read(COMMIT, UNIT), unit))
