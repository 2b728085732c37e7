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
    usable = _usable(volume, reserved, slots)
    sequence = slots[0].sequence + 1 if slots else 1
    if intact is not None:
        room = Room(intact.other, intact.own, intact.size, sequence)
        if usable.covers(Extents.span(room.own, room.own + room.size)):
            return room
        usable -= intact.span
    for unit in _UNITS:
        for start, end in sorted(usable.align_in(unit), key=lambda run: run[0] - run[1]):
            size = min(align_down((end - start) // 2, unit), SLOT_LIMIT)
            if size:
                return Room(start, start + size, size, sequence)
    raise NoSpace(
        f"{volume.name}: the file system leaves no room for an anchor",
        hint="FAT32 does in its reserved sectors, ext in block 0, unless a boot loader lives there; use another aid",
    )


def _usable(volume: Volume, reserved: Extents, slots: list[Slot]) -> Extents:
    """Sectors that the file system leaves unused, and that are blank or part of an earlier slot of ours."""
    own = Extents()
    for slot in slots:
        own |= slot.span
    offered = reserved.clip(0, min(AREA, volume.size)).align_in(SECTOR)
    return Extents(
        [
            (start, end)
            for start, end in offered.split(SECTOR).tolist()
            if own.covers(Extents.span(start, end)) or is_blank(volume, start, end - start)
        ]
    )


def sectors(length: int) -> int:
    """``length`` rounded up to whole sectors of 512 bytes."""
    return align_up(length, SECTOR)
