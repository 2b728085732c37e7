"""The provider of the aid ``reserved``: an anchor inside the partition, where its file system leaves room."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inpart.checksums import crc32c
from inpart.errors import IntegrityError, NoImageFound, NoSpace, UsageError, VolumeError
from inpart.extents import Extents
from inpart.units import SECTOR
from inpart.volume import Access, FileVolume, SliceVolume, Volume

from inpart_aid_reserved.placing import Room, room_for, sectors
from inpart_aid_reserved.slots import HEADER, RECORD_LIMIT, Slot, slots_on

if TYPE_CHECKING:
    from inpart.contracts import AidCheck, AidRecord

_ADDRESS = re.compile(r"^(?P<path>.+)@(?P<start>[0-9]{1,18})$", re.DOTALL)
_REDUCTIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("system_areas",),
    ("system_areas", "extents"),
    ("system_areas", "extents", "images"),
)


class ReservedAid:
    """``target`` is the partition: a device or file, or ``PATH@OFFSET`` for one inside it.

    Without room for everything the anchor leaves out system areas, then where images lie, then images: the ids of the
    stores and the places of their tables are always in it.
    """

    name = "reserved"
    api_version = 1
    summary = "an anchor inside the partition, in sectors that its file system leaves unused"

    def write(self, target: str, record: AidRecord) -> None:
        """Into the slot that is not the newest, its first sector before the others, with nobody else at the volume.

        Raises DeviceBusy, NoSpace if there is no room, UsageError if ``record`` describes another partition.
        """
        with _opened(target, Access.WRITE) as volume:
            _refuse_another(volume, record)
            slots = slots_on(volume)
            intact = next((slot for slot in slots if _record_in(volume, slot) is not None), None)
            reserved = Extents([(start, start + length) for start, length in record.reserved])
            room = room_for(volume, reserved, slots, intact)
            data = _filled(room, record)
            volume.write(room.own, data[:SECTOR])
            volume.flush()
            volume.write(room.own + SECTOR, data[SECTOR:])
            volume.flush()

    def read(self, target: str) -> AidRecord:
        """The newest intact slot. Raises NoImageFound, IntegrityError if all are damaged, VolumeError."""
        with _opened(target, Access.READ) as volume:
            slots = slots_on(volume)
            record = _newest(volume, slots)
        if record is None and slots:
            raise IntegrityError(f"{target}: the anchor in the partition is damaged")
        if record is None:
            raise NoImageFound(f"{target}: there is no anchor in the partition")
        return record

    def check(self, target: str, record: AidRecord) -> AidCheck:
        """What the anchor leaves out is not compared."""
        from inpart.contracts import check_record  # noqa: PLC0415 - pydantic takes longer to load than a probe runs

        return check_record(lambda: self.read(target), record)

    def find(self, volume: Volume) -> list[AidRecord]:
        """The record of the anchor in the first 64 KiB of ``volume``, whatever is left of its file system."""
        try:
            record = _newest(volume, slots_on(volume))
        except VolumeError:
            return []
        return [] if record is None else [record]


@contextmanager
def _opened(target: str, access: Access) -> Iterator[Volume]:
    """The partition. Raises UsageError, DeviceBusy, VolumeError."""
    match = None if not target or Path(target).exists() else _ADDRESS.match(target)
    path, start = (match["path"], int(match["start"])) if match else (target, 0)
    if not path or "\0" in path:
        raise UsageError("the aid 'reserved' needs a partition", hint="such as reserved:/dev/sda1, or reserved alone")
    with FileVolume(path, access) as volume:
        if start >= volume.size:
            raise NoImageFound(f"{target} is beyond the {volume.size} bytes of {path}")
        yield SliceVolume(volume, start, volume.size - start, name=target)


def _refuse_another(volume: Volume, record: AidRecord) -> None:
    """What the record says of the partition's own sectors must be what is there."""
    areas = {name: area for name, area in record.system_areas.items() if not name.startswith("disk:")}
    fits = bool(areas)
    for start, data in areas.values():
        inside = 0 <= start <= volume.size - len(data)
        fits = fits and inside and volume.read(start, len(data)) == data
    if not fits:
        raise UsageError(
            f"{volume.name} is not the partition that the record describes",
            hint="write the aid 'reserved' without a target: it lives in the partition itself",
        )


def _filled(room: Room, record: AidRecord) -> bytes:
    """The sectors of a slot with as much of the record as it holds. Raises NoSpace."""
    for omitted in _REDUCTIONS:
        content = record.without(*omitted).model_dump_json(exclude_defaults=True).encode()
        stored = zlib.compress(content, 9)
        if len(stored) <= room.size - HEADER.size and len(content) <= RECORD_LIMIT:
            slot = Slot(room.own, room.other, room.size, room.sequence, len(stored), len(content), crc32c(stored))
            data = slot.pack() + stored
            return data.ljust(sectors(len(data)), b"\0")
    raise NoSpace(f"the record does not fit into the {room.size} bytes that the file system leaves for an anchor")


def _record_in(volume: Volume, slot: Slot) -> AidRecord | None:
    from inpart.contracts import parse_record  # noqa: PLC0415 - pydantic takes longer to load than a probe runs

    try:
        return parse_record(slot.content(volume))
    except IntegrityError:
        return None


def _newest(volume: Volume, slots: list[Slot]) -> AidRecord | None:
    return next((record for slot in slots if (record := _record_in(volume, slot)) is not None), None)
