"""Unfinished work in a partition: a journal that was not replayed, a restore that was cut short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inpart.contracts import Store, journal_size
from inpart.errors import InpartError, UnfinishedJournal
from inpart.extents import Runs
from inpart.operations.session import Session
from inpart.operations.stores import claims_of
from inpart.transaction import Journal, RestoreRecord, find_journal, read_restore_record, scan_for_journals
from inpart.units import MIB, SECTOR, align_down
from inpart.volume import Volume

JOURNAL = "journal"
"""The file in ``/.inpart`` that holds journals while there is no store to hold them."""

_TAIL = 4 * MIB


@dataclass(frozen=True)
class Unfinished:
    """What was found: journals whose edits may be half done, and a restore in progress with its place."""

    journals: tuple[Journal, ...] = ()
    restore: RestoreRecord | None = None
    place: Runs = field(default_factory=Runs)

    def __bool__(self) -> bool:
        return bool(self.journals) or self.restore is not None

    def describe(self) -> str:
        """What was cut short, in a few words."""
        if self.restore is not None:
            return f"a restore of image {self.restore.image_id.hex()[:12]} was cut short"
        return "a change of the partition was cut short"


def find_unfinished(session: Session, volume: Volume, stores: Sequence[Store], *, thorough: bool = False) -> Unfinished:
    """Look in the places of the stores, in ``/.inpart/journal`` and near the end; ``thorough`` scans everything."""
    places = [store.journal() for store in stores if store.base == 0 and store.journal()]
    restore, where = _restore_in(volume, places)
    claims = claims_of(session, volume) or ()
    places += [claim.runs for claim in claims if claim.name == JOURNAL]
    found = {journal.header.journal_id: journal for journal in find_journal(volume, places)}
    if thorough:
        with session.progress.phase("looking for journals", volume.size) as advance:
            found |= {one.header.journal_id: one for one in scan_for_journals(volume, progress=advance)}
    else:
        found |= {one.header.journal_id: one for one in _near_the_end(volume)}
    live = [journal for journal in found.values() if journal.unfinished_work]
    return Unfinished(tuple(sorted(live, key=lambda one: one.header.generation)), restore, where)


def _restore_in(volume: Volume, places: Sequence[Runs]) -> tuple[RestoreRecord | None, Runs]:
    for place in places:
        try:
            record = read_restore_record(volume, place)
        except InpartError:
            continue
        if record is not None:
            return record, place
    return None, Runs()


def _near_the_end(volume: Volume) -> list[Journal]:
    """Journals in the last bytes, where the table of contents of a container that is just being made has its own."""
    start = max(0, volume.size - 2 * journal_size(volume.size) - _TAIL)
    return list(scan_for_journals(volume, start=align_down(start, SECTOR)))


def unfinished(session: Session, volume: Volume, stores: Sequence[Store]) -> str | None:
    """A sentence about unfinished work, None if there is none; for commands that only read."""
    found = find_unfinished(session, volume, stores)
    return f"{volume.name}: {found.describe()}; run `inpart resume`" if found else None


def refuse_unfinished(session: Session, volume: Volume, stores: Sequence[Store]) -> None:
    """Raise UnfinishedJournal if something has to be resumed before anything else is written."""
    found = find_unfinished(session, volume, stores)
    if found:
        raise UnfinishedJournal(f"{volume.name}: {found.describe()}", hint=f"run: inpart resume {volume.name}")
