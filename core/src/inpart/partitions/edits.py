"""What is to be written to put a partition table right: computed and shown first, applied by the caller's order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from inpart.errors import IntegrityError, VolumeError
from inpart.partitions.model import PartitionEntry, PartitionTable
from inpart.volume import OverlayVolume, Volume


@dataclass(frozen=True)
class TableEdit:
    """``after`` is to be written at byte ``offset`` of the disk, where ``before`` is now; ``what`` names the place."""

    offset: int
    before: bytes
    after: bytes
    what: str


@dataclass(frozen=True)
class Repair:
    """A change of a partition table. ``edits`` are in the order in which a cut between two of them is harmless.

    ``description`` are lines for people: ``-`` what goes, ``+`` what comes, ``!`` what to think of, ``~`` what is
    written. ``entry`` is the partition as it will be, None if the whole table is put back.
    """

    description: tuple[str, ...]
    edits: tuple[TableEdit, ...]
    table: PartitionTable
    entry: PartitionEntry | None = None


@dataclass
class Draft:
    """Edits being collected; ``view`` is the disk with them applied."""

    volume: Volume
    unit: int
    edits: list[TableEdit] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.view = OverlayVolume(self.volume)

    def put(self, offset: int, data: bytes, what: str) -> None:
        """Add edits for those sectors of ``data`` that differ from what is there."""
        for at, before, after in _differing(self.view, offset, data, self.unit):
            self.edits.append(TableEdit(at, before, after, what))
            self.view.write(at, after)

    def lines(self) -> list[str]:
        """One line per edit."""
        return [
            f"~ {edit.what} at {edit.offset}: "
            f"{sum(a != b for a, b in zip(edit.before, edit.after, strict=True))} of {len(edit.after)} bytes change"
            for edit in self.edits
        ]


def _differing(view: Volume, offset: int, data: bytes, unit: int) -> Iterator[tuple[int, bytes, bytes]]:
    """(offset, before, after) of each run of differing sectors; a sector that cannot be read counts as zeros."""
    start = None
    old = b"".join(_read(view, offset + at, min(unit, len(data) - at)) for at in range(0, len(data), unit))
    for at in range(0, len(data) + unit, unit):
        differs = old[at : at + unit] != data[at : at + unit]
        if differs and start is None:
            start = at
        if not differs and start is not None:
            yield offset + start, old[start:at], data[start:at]
            start = None


def _read(view: Volume, offset: int, length: int) -> bytes:
    view.check_bounds(offset, length)
    try:
        return view.read(offset, length)
    except VolumeError:
        return bytes(length)


def apply_repair(volume: Volume, repair: Repair) -> None:
    """Write the edits of ``repair`` one by one, each flushed before the next.

    Raises IntegrityError, before anything is written, if the disk no longer shows what the repair was computed from.
    """
    for edit in repair.edits:
        first = all(other is edit or other.offset != edit.offset for other in repair.edits)
        if first and _read(volume, edit.offset, len(edit.before)) != edit.before:
            raise IntegrityError(f"{volume.name}: {edit.what} has changed meanwhile", hint="look again, then repeat")
    for edit in repair.edits:
        volume.write(edit.offset, edit.after)
        volume.flush()


def described(
    draft: Draft,
    remarks: list[str],
    current: PartitionTable | None,
    after: PartitionTable,
    entry: PartitionEntry | None,
) -> Repair:
    """The change that ``draft`` holds, from the table ``current`` to ``after``, in lines for people."""
    old = [entry.describe() for entry in current.entries] if current else []
    new = [entry.describe() for entry in after.entries]
    lines = [*remarks, *draft.remarks]
    lines += [f"- {line}" for line in old if line not in new]
    lines += [f"+ {line}" for line in new if line not in old]
    return Repair(tuple(lines + draft.lines()), tuple(draft.edits), after, entry)
