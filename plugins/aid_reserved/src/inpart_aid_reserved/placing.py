"""Where the next slot of an anchor goes: only where the file system leaves room, and nobody else has put anything."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.errors import NoSpace
from inpart.extents import Extents
from inpart.units import KIB, SECTOR, align_down, align_up
from inpart.volume import Volume

from inpart_aid_reserved.slots import AREA, Slot, is_blank

SLOT_LIMIT = 16 * KIB
_UNITS = (4 * KIB, SECTOR)
"""Slots that share no physical sector of 4 KiB are best: a torn write then cannot hit both."""


@dataclass(frozen=True)
class Room:
    """The slot to be written, and the one that is kept."""

    own: int
    other: int
    size: int
    sequence: int


def room_for(volume: Volume, reserved: Extents, slots: list[Slot], intact: Slot | None) -> Room:
    """``slots`` are those on the volume, newest first; ``intact`` is the one whose record must survive.

    Raises NoSpace if the file system leaves no room, or something else is in it.
    """
    reserved = reserved.clip(SECTOR, min(AREA, volume.size))
    sequence = slots[0].sequence + 1 if slots else 1
    if intact is not None:
        room = Room(intact.other, intact.own, intact.size, sequence)
        if _is_free(volume, reserved, slots, room.own, room.size):
            return room
    kept = intact.span if intact is not None else Extents()
    for unit in _UNITS:
        for start, end in sorted((reserved - kept).align_in(unit), key=lambda run: run[0] - run[1]):
            size = min(align_down((end - start) // 2, unit), SLOT_LIMIT)
            if size and all(_is_free(volume, reserved, slots, at, size) for at in (start, start + size)):
                return Room(start, start + size, size, sequence)
    raise NoSpace(
        f"{volume.name}: the file system leaves no room for an anchor",
        hint="FAT32 does in its reserved sectors, unless a boot loader took them; use another kind of aid",
    )


def _is_free(volume: Volume, reserved: Extents, slots: list[Slot], start: int, size: int) -> bool:
    """True if every sector is left unused by the file system, and blank or part of an earlier slot of ours."""
    wanted = Extents.span(start, start + size)
    if not reserved.covers(wanted):
        return False
    for slot in slots:
        wanted -= slot.span
    return all(is_blank(volume, first, last - first) for first, last in wanted.align_out(SECTOR))


def sectors(length: int) -> int:
    """``length`` rounded up to whole sectors of 512 bytes."""
    return align_up(length, SECTOR)
