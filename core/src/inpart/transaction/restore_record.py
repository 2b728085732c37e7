"""The record of a restore in progress: which image comes back, with which options, and how far it has come."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from inpart.checksums import crc32c
from inpart.errors import NoSpace
from inpart.extents import Runs
from inpart.transaction.area import SLOT_A, SLOT_B, UNIT, open_area, place_of
from inpart.volume import Volume

RECORD_MAGIC = b"INPART\x00R"
VERSION = (1, 0)
_ACTIVE, _CLEARED = 1, 2
_SLOTS = (SLOT_A, SLOT_B)
_FIELDS = struct.Struct("<8sHHI16s16sQQQII")

MAX_OPTIONS = UNIT - _FIELDS.size
"""Bytes of options that a record has room for."""


@dataclass(frozen=True)
class RestoreRecord:
    """``image_id`` and ``store_id`` have 16 bytes; ``options`` is the restore's own JSON.

    ``progress`` is the byte of the partition up to which everything is written. ``generation`` is set by writing.
    """

    image_id: bytes
    store_id: bytes
    options: bytes = b"{}"
    progress: int = 0
    generation: int = 0


def write_restore_record(volume: Volume, runs: Runs, record: RestoreRecord) -> RestoreRecord:
    """Write ``record`` over the older of the two slots of the journal area ``runs`` and flush; returns it as written.

    A cut leaves the record that was valid before or this one. Raises NoSpace if the options are too long.
    """
    if len(record.options) > MAX_OPTIONS:
        raise NoSpace(f"the options of a restore take {len(record.options)} bytes, {MAX_OPTIONS} is the most")
    return _put(volume, runs, record, _ACTIVE)


def read_restore_record(volume: Volume, runs: Runs) -> RestoreRecord | None:
    """The valid record in the journal area ``runs`` of the partition ``volume``; None if no restore is in progress."""
    slots = sorted(_read(volume, runs), key=lambda slot: slot[1].generation)
    if not slots or slots[-1][2] != _ACTIVE:
        return None
    return slots[-1][1]


def clear_restore_record(volume: Volume, runs: Runs) -> None:
    """Say that no restore is in progress, in both slots, one flushed after the other; harmless when repeated."""
    for _ in _SLOTS:
        found = [record for _, record, state in _read(volume, runs) if state == _ACTIVE]
        if not found:
            return
        _put(volume, runs, replace(found[0], options=b"{}"), _CLEARED)


def _read(volume: Volume, runs: Runs) -> Iterator[tuple[int, RestoreRecord, int]]:
    """(slot, record, state) of the slots that are sound and lie where they were written."""
    area = open_area(volume, runs)
    for slot in _SLOTS:
        unit = area.read(slot, UNIT)
        magic, major, _, crc, image_id, store_id, generation, progress, own, state, length = _FIELDS.unpack_from(unit)
        sound = magic == RECORD_MAGIC and crc == crc32c(unit[:12] + bytes(4) + unit[16:]) and major == VERSION[0]
        if sound and own == place_of(runs, slot) and length <= MAX_OPTIONS:
            options = unit[_FIELDS.size : _FIELDS.size + length]
            yield slot, RestoreRecord(image_id, store_id, options, progress, generation), state


def _put(volume: Volume, runs: Runs, record: RestoreRecord, state: int) -> RestoreRecord:
    found = {slot: old.generation for slot, old, _ in _read(volume, runs)}
    slot = min(_SLOTS, key=lambda slot: found.get(slot, 0))
    written = replace(record, generation=max(found.values(), default=0) + 1)
    unit = bytearray(UNIT)
    fields = (written.image_id, written.store_id, written.generation, written.progress, place_of(runs, slot))
    _FIELDS.pack_into(unit, 0, RECORD_MAGIC, *VERSION, 0, *fields, state, len(written.options))
    unit[_FIELDS.size : _FIELDS.size + len(written.options)] = written.options
    unit[12:16] = crc32c(unit).to_bytes(4, "little")
    area = open_area(volume, runs)
    area.write(slot, unit)
    area.flush()
    return written
