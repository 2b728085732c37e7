"""Unfinished work in a partition: a journal that was not replayed, a restore that was cut short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inpart.contracts import FilesystemEditor, Store, journal_size
from inpart.errors import FilesystemError, InpartError, IntegrityError, UnfinishedJournal, UsageError
from inpart.extents import Extents, Runs
from inpart.operations.filesystems import find_filesystem
from inpart.operations.session import Session
from inpart.operations.stores import claims_of
from inpart.transaction import Journal, RestoreRecord, find_journal, read_restore_record, scan_for_journals
from inpart.units import MIB, SECTOR, align_down, align_up
from inpart.volume import Volume

JOURNAL = "journal"
"""The file in ``/.inpart`` that holds journals while there is no store to hold them."""

_TAIL = 4 * MIB
_BORDERS = 256
_DIRECTORY_CLUSTERS = 2


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
    """Look in the places of the stores, in ``/.inpart/journal`` and near the end; ``thorough`` scans everything.

    Where there is none of the first two, the borders of free space are looked at too.
    """
    places = [store.journal() for store in stores if store.base == 0 and store.journal()]
    restore, where = _restore_in(volume, places)
    claims = claims_of(session, volume) or ()
    places += [claim.runs for claim in claims if claim.name == JOURNAL and claim.runs]
    found = {journal.header.journal_id: journal for journal in find_journal(volume, places)}
    if thorough:
        with session.progress.phase("looking for journals", volume.size) as advance:
            found |= {one.header.journal_id: one for one in scan_for_journals(volume, progress=advance)}
    else:
        more = [*_near_the_end(volume), *(() if places else _beside_free_space(session, volume))]
        found |= {one.header.journal_id: one for one in more}
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
    return list(scan_for_journals(volume, start=_tail_of(volume)))


def _tail_of(volume: Volume) -> int:
    """Where the last bytes begin that are searched for journals whatever the file system says."""
    return align_down(max(0, volume.size - 2 * journal_size(volume.size) - _TAIL), SECTOR)


def free_place(volume: Volume, free: Extents, unit: int) -> Runs:
    """Clusters of ``unit`` bytes for a journal, in ``free`` and where it is always found; empty if there are none."""
    size = align_up(journal_size(volume.size), unit)
    tail = free.clip(_tail_of(volume), volume.size).array
    fitting = tail[tail[:, 1] - tail[:, 0] >= size]
    return Runs(((int(fitting[-1, 1]) - size, size),)) if len(fitting) else Runs()


def _beside_free_space(session: Session, volume: Volume) -> list[Journal]:
    """Journals at the borders of free space, where one is that was cut short before its own place was claimed.

    Some clusters behind it may have been meant for directories.
    """
    try:
        filesystem = find_filesystem(session, volume).open(volume)
        free = filesystem.free() if isinstance(filesystem, FilesystemEditor) else Extents()
    except (FilesystemError, IntegrityError, UsageError):
        return []
    unit = filesystem.info.cluster_size
    size = align_up(journal_size(volume.size), unit)
    distances = (0, *(size + number * unit for number in range(_DIRECTORY_CLUSTERS + 1)))
    starts = [start - distance for start, _ in free.array[-_BORDERS:].tolist() for distance in distances]
    return find_journal(volume, [Runs(((start, size),)) for start in starts if start >= 0])


def unfinished(session: Session, volume: Volume, stores: Sequence[Store]) -> str | None:
    """A sentence about unfinished work, None if there is none; for commands that only read."""
    found = find_unfinished(session, volume, stores)
    return f"{volume.name}: {found.describe()}; run `inpart resume`" if found else None


def refuse_unfinished(session: Session, volume: Volume, stores: Sequence[Store]) -> None:
    """Raise UnfinishedJournal if something has to be resumed before anything else is written."""
    found = find_unfinished(session, volume, stores)
    if found:
        raise UnfinishedJournal(f"{volume.name}: {found.describe()}", hint=f"run: inpart resume {volume.name}")
