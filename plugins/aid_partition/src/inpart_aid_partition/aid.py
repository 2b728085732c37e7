"""The provider of the aid ``partition``: a small partition with a record for each imaged partition of the disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from inpart.errors import IntegrityError, NoImageFound, UsageError
from inpart.volume import Access, FileVolume, SliceVolume, Volume

from inpart_aid_partition.contents import Contents, contents_of, is_about, packed
from inpart_aid_partition.slots import HEAD, next_slot, slots_at, slots_on

if TYPE_CHECKING:
    from inpart.contracts import AidCheck, AidRecord

_ADDRESS = re.compile(r"^(?P<path>.+)@(?P<start>[0-9]{1,18})\+(?P<size>[0-9]{1,18})$", re.DOTALL)


class RecoveryPartition:
    """``target`` is the recovery partition: a device or file, or ``PATH@START+SIZE`` in bytes for one inside it."""

    name = "partition"
    api_version = 1
    summary = "a small recovery partition, for the images of all partitions of its disk"
    partition_types = ("0xe9", "8519CBD3-67CA-439D-80B8-B282BFD329CB")

    def write(self, target: str, record: AidRecord) -> None:
        """Into the slot that is not the newest: the records, then the head, with nobody else at the partition.

        What is known of other partitions stays. Raises DeviceBusy, NoSpace if the partition is too small.
        """
        with _opened(target, Access.WRITE) as volume:
            slots = slots_on(volume)
            slot = next_slot(volume, slots)
            others = [one for one in contents_of(volume, slots).known if not is_about(one.record, record)]
            entries, body = packed(record, others, slot.size)
            volume.write(slot.own + HEAD, body)
            volume.flush()
            volume.write(slot.own, replace(slot, entries=entries).pack())
            volume.flush()

    def read(self, target: str) -> AidRecord:
        """The record that was written last. Raises NoImageFound, IntegrityError if all are damaged, VolumeError."""
        return self.records(target)[0]

    def records(self, target: str) -> list[AidRecord]:
        """All records, the one that was written last first. Raises as ``read``."""
        return _contents(target).records

    def check(self, target: str, record: AidRecord) -> AidCheck:
        """Of the partition that ``record`` describes; a damaged copy is stale even if there is an older one."""
        from inpart.contracts import check_record  # noqa: PLC0415 - pydantic takes longer to load than a probe runs

        return check_record(lambda: _about(target, record), record)

    def find(self, volume: Volume) -> list[AidRecord]:
        """All records if ``volume`` is a recovery partition, or begins with one or with the second slot of one."""
        slots = sorted(slots_at(volume), key=lambda slot: slot.generation, reverse=True)
        return contents_of(volume, slots).records


@contextmanager
def _opened(target: str, access: Access) -> Iterator[Volume]:
    """The recovery partition. Raises UsageError, DeviceBusy, VolumeError."""
    match = None if not target or Path(target).exists() else _ADDRESS.match(target)
    path, start = (match["path"], int(match["start"])) if match else (target, 0)
    if not path or "\0" in path:
        raise UsageError("the aid 'partition' needs a partition", hint="such as partition:/dev/sda4")
    with FileVolume(path, access) as volume:
        size = int(match["size"]) if match else volume.size
        if start + size > volume.size:
            raise NoImageFound(f"{target} is beyond the {volume.size} bytes of {path}")
        yield SliceVolume(volume, start, size, name=target)


def _contents(target: str) -> Contents:
    """At least one record. Raises NoImageFound, IntegrityError."""
    with _opened(target, Access.READ) as volume:
        contents = contents_of(volume, slots_on(volume))
    if not contents.known and contents.damaged:
        raise IntegrityError(f"{target}: the records in the recovery partition are damaged")
    if not contents.known:
        raise NoImageFound(f"{target}: there is no record in the partition")
    return contents


def _about(target: str, record: AidRecord) -> AidRecord:
    """What is said of one partition. Raises NoImageFound if nothing is, IntegrityError if that is damaged."""
    known = _contents(target).about(record)
    if known is None:
        raise NoImageFound(f"{target}: there is no record of the partition at byte {record.partition_start}")
    if known.reserve:
        raise IntegrityError(f"{target}: the record of the partition at byte {record.partition_start} is damaged")
    return known.record
