"""What is wrong with a set of partitions whatever the scheme: overlaps, ends beyond the disk, empty ones."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.partitions.model import Note, PartitionEntry

_MAX_NOTES = 64


def entry_notes(entries: Sequence[PartitionEntry], disk_size: int) -> tuple[Note, ...]:
    """Findings about places and sizes, at most 64 of them; extended partitions may hold logical ones."""
    notes = [note for entry in entries if (note := _place_note(entry, disk_size))]
    data = sorted((entry for entry in entries if not entry.is_extended), key=lambda entry: entry.start)
    reach: PartitionEntry | None = None
    for entry in data:
        if reach is not None and entry.start < reach.end and entry.size:
            said = f"partitions {reach.describe()} and {entry.describe()} overlap"
            notes.append(Note("table.overlap", f"#{reach.number} and #{entry.number}", said))
        if reach is None or entry.end > reach.end:
            reach = entry
    return tuple(notes[:_MAX_NOTES])


def _place_note(entry: PartitionEntry, disk_size: int) -> Note | None:
    where = f"#{entry.number}"
    if entry.size == 0:
        return Note("table.empty-entry", where, f"partition {entry.describe()} ends before it begins")
    if entry.end > disk_size:
        said = f"partition {entry.describe()} ends at {entry.end}, beyond the disk's {disk_size} bytes"
        return Note("table.beyond-disk", where, said)
    return None
