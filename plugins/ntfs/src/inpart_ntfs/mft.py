"""$MFT: where it lies, its records one or many at a time, and files put together from several records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from inpart.errors import FilesystemDamaged, VolumeError
from inpart.units import MIB
from inpart.volume import MemoryVolume, RunsVolume, Volume
from numpy.typing import NDArray

from inpart_ntfs.attributes import HINT, Attribute, FileRecord, attribute_title, parse_record
from inpart_ntfs.boot import Boot
from inpart_ntfs.codes import AttributeType
from inpart_ntfs.fixups import apply_fixups, open_block
from inpart_ntfs.listing import ListEntry
from inpart_ntfs.locating import attribute_list, find_mft, require_base, sound_record
from inpart_ntfs.records import Records
from inpart_ntfs.runs import byte_runs
from inpart_ntfs.streams import Stream

Numbers = NDArray[np.int64]

WINDOW = 4 * MIB
MIRRORED = 4
"""So many records at least has $MFTMirr; one cluster full where clusters are larger."""
KEPT_EQUAL = 16
"""So many of them at most are kept equal to those of $MFT."""


@dataclass(frozen=True)
class File:
    """A file: its base record, extension records by number, and its attributes put together from their pieces."""

    base: FileRecord
    extensions: dict[int, FileRecord]
    listed: tuple[ListEntry, ...]
    streams: tuple[Stream, ...]

    @property
    def number(self) -> int:
        """Number of the base record."""
        return self.base.number

    def stream(self, kind: int, name: str = "") -> Stream | None:
        """The attribute of a type and name; the first of several."""
        return next((one for one in self.streams if one.type == kind and one.name == name), None)

    def all(self, kind: int) -> tuple[Stream, ...]:
        """All attributes of a type."""
        return tuple(one for one in self.streams if one.type == kind)


class Mft:
    """Access to the FILE records of a file system by number.

    ``rows`` are vcn, lcn, count of $MFT, ``stream`` its bytes, ``count`` how many records there are; ``notes`` say what
    was damaged, ``mirrored`` holds the records that are read from $MFTMirr instead.
    """

    def __init__(self, volume: Volume, boot: Boot) -> None:
        """Raises FilesystemDamaged if neither $MFT nor $MFTMirr say where $MFT lies."""
        self.volume = volume
        self.boot = boot
        place = find_mft(volume, boot)
        self.rows, self.data_size, self.notes = place.rows, place.data_size, place.notes
        self.mirrored = {0: place.record} if place.mirrored else {}
        self.stream = RunsVolume(volume, byte_runs(self.rows, boot.cluster_size), name="$MFT")
        self.count = min(self.stream.size, place.written) // boot.record_size
        if self.stream.size < self.data_size and not self.notes:
            self.notes = ("a part of $MFT cannot be found",)
        self._mend_first_records()

    # -- damaged first records

    def _mend_first_records(self) -> None:
        """Take those of the first records that are damaged from $MFTMirr."""
        held = max(MIRRORED, self.boot.cluster_size // self.boot.record_size)
        numbers = np.arange(min(held, KEPT_EQUAL, self.count), dtype=np.int64)
        for number in numbers[~self.read(numbers).in_use].tolist():
            place = self.boot.mftmirr_lcn * self.boot.cluster_size + number * self.boot.record_size
            with suppress(FilesystemDamaged, VolumeError):
                self.mirrored[number] = sound_record(self.volume, self.boot, place, number, "$MFTMirr").raw
                self.notes = (*self.notes, f"record {number} is read from $MFTMirr")

    # -- reading

    def read(self, numbers: Numbers) -> Records:
        """Records by number, in the given order, neighbours in one read. Raises FilesystemDamaged, VolumeError."""
        wrong = (numbers < 0) | (numbers >= self.count)
        if wrong.any():
            raise FilesystemDamaged(f"there is no record {int(numbers[wrong][0])}, $MFT has {self.count}", hint=HINT)
        size = self.boot.record_size
        raw = np.empty((len(numbers), size), dtype=np.uint8)
        starts = np.flatnonzero(np.diff(numbers, prepend=-2) != 1).tolist()
        for first, last in pairwise([*starts, len(numbers)]):
            self.stream.readinto(int(numbers[first]) * size, raw[first:last].data.cast("B"))
        whole = apply_fixups(raw)
        for number, mirrored in self.mirrored.items():
            chosen = numbers == number
            raw[chosen] = np.frombuffer(mirrored, dtype=np.uint8)
            whole[chosen] = True
        return Records(numbers, raw, whole)

    def windows(self, first: int = 0) -> Iterator[Records]:
        """All records from ``first`` on, used or not, about ``WINDOW`` bytes at a time."""
        step = WINDOW // self.boot.record_size
        for start in range(first, self.count, step):
            yield self.read(np.arange(start, min(start + step, self.count), dtype=np.int64))

    def record(self, number: int) -> FileRecord:
        """A record that is in use. Raises FilesystemDamaged."""
        size = self.boot.record_size
        if not 0 <= number < self.count:
            raise FilesystemDamaged(f"there is no record {number}, $MFT has {self.count}", hint=HINT)
        raw = self.mirrored.get(number) or open_block(self.stream.read(number * size, size))
        if raw is None:
            raise FilesystemDamaged(f"record {number} is damaged", hint=HINT)
        record = parse_record(number, raw, self.boot.clusters)
        if not record.in_use:
            raise FilesystemDamaged(f"record {number} is not in use", hint=HINT)
        return record

    def assembled(self, number: int) -> File:
        """A file by the number of its base record. Raises FilesystemDamaged."""
        base = self.record(number)
        if base.base_reference:
            raise FilesystemDamaged(f"record {number} belongs to another file", hint=HINT)
        where = base.find(AttributeType.ATTRIBUTE_LIST)
        if where is None:
            return File(base, {}, (), _streams(base.attributes))
        listed = attribute_list(self.volume, self.boot, where)
        numbers = sorted({entry.record for entry in listed} - {number})
        extensions = {one: self.record(one) for one in numbers}
        for extension in extensions.values():
            require_base(extension, base)
        return File(base, extensions, listed, _streams((where, *_found(base, extensions, listed))))

    def metadata(self, number: int, kind: int = AttributeType.DATA, name: str = "") -> Stream:
        """An attribute of a file that every volume has. Raises FilesystemDamaged."""
        found = self.assembled(number).stream(kind, name)
        if found is None:
            raise FilesystemDamaged(f"record {number} has no {attribute_title(kind, name)}", hint=HINT)
        return found

    def content(self, stream: Stream) -> Volume:
        """The stored bytes of an attribute up to its data_size, not decompressed. Raises FilesystemDamaged."""
        if not stream.non_resident:
            return MemoryVolume(stream.value, name=str(stream.first))
        runs = byte_runs(stream.rows, self.boot.cluster_size)
        return RunsVolume(self.volume, runs, size=max(0, stream.data_size), name=str(stream.first))


def _found(base: FileRecord, extensions: dict[int, FileRecord], listed: tuple[ListEntry, ...]) -> Iterator[Attribute]:
    """The attributes that the list names, in its order."""
    records = {base.number: base, **extensions}
    places = {(number, one.instance, one.type): one for number, record in records.items() for one in record.attributes}
    for entry in listed:
        found = places.get((entry.record, entry.instance, entry.type))
        if found is None:
            message = f"record {base.number}: its attribute list names what is not in record {entry.record}"
            raise FilesystemDamaged(message, hint=HINT)
        yield found


def _streams(attributes: tuple[Attribute, ...]) -> tuple[Stream, ...]:
    """Pieces of the same attribute together; what is resident stands for itself."""
    grouped: dict[tuple[int, str, int], list[Attribute]] = {}
    for position, one in enumerate(attributes):
        key = (one.type, one.name, -1 if one.non_resident else position)
        grouped.setdefault(key, []).append(one)
    return tuple(Stream(tuple(sorted(pieces, key=lambda one: one.lowest_vcn))) for pieces in grouped.values())
