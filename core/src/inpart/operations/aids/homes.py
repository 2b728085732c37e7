"""Where aids live that have a partition of their own: found by its type in the table, and kept from strangers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from inpart.checksums import all_zero
from inpart.contracts import PartitionAid, RecoveryAid
from inpart.errors import IntegrityError, NoImageFound, UsageError
from inpart.operations.session import Session
from inpart.partitions import PartitionEntry, Target, filesystem_at, node_of, open_target
from inpart.plugins import ask
from inpart.units import GIB, KIB, MIB, align_up
from inpart.volume import FileVolume, SliceVolume, Volume

if TYPE_CHECKING:
    from inpart.contracts import AidRecord

_REACH = 4 * GIB
_LOOK = 64 * KIB
_AHEAD = 16


@dataclass(frozen=True)
class Home:
    """A partition for an aid: a device or file, or ``size`` bytes of it.

    ``typed``: the table says what it is for. A GUID does; the one byte of an MBR may be somebody else's as well.
    """

    path: Path
    start: int
    size: int | None
    typed: bool

    def __str__(self) -> str:
        return f"{self.path}" if self.size is None else f"{self.path}@{self.start}+{self.size}"


def home_on_disk(aid: PartitionAid, target: Target) -> Home | None:
    """The recovery partition on the disk of ``target``, the first if there are several."""
    for entry in _homes(aid, target):
        typed, node = _says_so(aid, entry), node_of(disk_path(target), entry.start, entry.size)
        return Home(node, 0, None, typed) if node else Home(disk_path(target), entry.start, entry.size, typed)
    return None


def home_at(aid: PartitionAid, address: str) -> Home:
    """The partition that a user names. Raises UsageError, DeviceBusy, VolumeError."""
    with open_target(address) as home:
        typed = home.entry is not None and _says_so(aid, home.entry)
        if isinstance(home.volume, FileVolume):
            return Home(home.volume.path, 0, None, typed)
        return Home(disk_path(home), home.start, home.volume.size, typed)


def disk_path(target: Target) -> Path:
    """The file or device of the whole disk."""
    return target.whole.path if isinstance(target.whole, FileVolume) else target.path


def _homes(aid: PartitionAid, target: Target) -> list[PartitionEntry]:
    entries = target.table.partitions if target.table else ()
    return [entry for entry in entries if entry.type in aid.partition_types]


def _says_so(aid: PartitionAid, entry: PartitionEntry) -> bool:
    return entry.type == aid.partition_types[1]


def refuse_stranger(aid: PartitionAid, home: Home) -> None:
    """Raise UsageError if what lies in ``home`` is, or may be, somebody else's."""
    with FileVolume(home.path) as file:
        volume = SliceVolume(file, home.start, file.size if home.size is None else home.size)
        kind = filesystem_at(volume, 0)
        blank = all_zero(volume.read(0, min(volume.size, _LOOK)))
    if kind:
        hint = "name another partition, or remove its traces with wipefs"
        raise UsageError(f"{home} holds a {kind} file system, it is no recovery partition", hint=hint)
    try:
        aid.records(str(home))
    except NoImageFound:
        if not (home.typed or blank):
            hint = f"give it the type {aid.partition_types[1]} in a GPT, or fill it with zeros"
            raise UsageError(f"{home} belongs to something else, or did", hint=hint) from None
    except IntegrityError:
        return


def records_on_disk(session: Session, aid: RecoveryAid, volume: Volume, target: Target | None) -> list[AidRecord]:
    """What ``aid`` shows by itself: on ``volume``, in a partition of its own, and where a table no longer names it."""
    if not isinstance(aid, PartitionAid):
        records = _found(session, aid, volume)
    elif target is not None:
        records = [
            record for entry in _homes(aid, target) for record in _found(session, aid, _part(target.whole, entry))
        ]
    else:
        return []
    if records or target is None or target.entry is not None or filesystem_at(target.whole, 0):
        return records
    disk = target.whole
    views = (SliceVolume(disk, start, disk.size - start) for start in _announced(disk, _likely_starts(disk)))
    return _newest(record for view in views for record in _found(session, aid, view))


def _found(session: Session, aid: RecoveryAid, volume: Volume) -> list[AidRecord]:
    return ask(aid, partial(aid.find, volume), [], session.warn)


def _part(disk: Volume, entry: PartitionEntry) -> Volume:
    start = min(entry.start, disk.size)
    return SliceVolume(disk, start, min(entry.size, disk.size - start))


def _likely_starts(disk: Volume) -> Iterator[int]:
    """Multiples of 1 MiB with anything at them, from both ends of the disk: that is where partitions begin."""
    tail = max(0, disk.size - _REACH)
    for low, high in ((tail, disk.size), (0, min(tail, _REACH))):
        places = [
            place
            for start, end in disk.data_extents(low, high)
            for place in range(align_up(max(low, start - _LOOK + 1), MIB), end, MIB)
        ]
        yield from sorted({*places}, reverse=True)


def _announced(disk: Volume, starts: Iterable[int]) -> Iterator[int]:
    """The same places, each announced some before its turn: a disk that is asked for one at a time is waited for."""
    waiting: deque[int] = deque()
    for start in starts:
        disk.announce(start, _LOOK)
        waiting.append(start)
        if len(waiting) > _AHEAD:
            yield waiting.popleft()
    yield from waiting


def _newest(records: Iterable[AidRecord]) -> list[AidRecord]:
    """Of each partition what was written last: both slots of an aid may be found apart."""
    kept: dict[tuple[str, int], AidRecord] = {}
    for record in records:
        key = record.disk_signature, record.partition_start
        if key not in kept or kept[key].generation < record.generation:
            kept[key] = record
    return list(kept.values())
