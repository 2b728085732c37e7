"""$MFT: where it lies, its records one or many at a time, and files put together from several records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from inpart.errors import FilesystemDamaged, InpartError
from inpart.units import MIB
from inpart.volume import MemoryVolume, RunsVolume, Volume
from numpy.typing import NDArray

from inpart_ntfs.attributes import (
    HINT,
    Attribute,
    FileRecord,
    ListEntry,
    Stream,
    attribute_title,
    parse_attribute_list,
    parse_record,
)
from inpart_ntfs.boot import Boot
from inpart_ntfs.records import Records, apply_fixups
from inpart_ntfs.runs import byte_runs, contiguous
from inpart_ntfs.structs import MAX_ATTRIBUTE_LIST, REFERENCE_MASK, AttributeType

Numbers = NDArray[np.int64]

WINDOW = 4 * MIB
MIRRORED = 4
"""So many records at least has $MFTMirr."""


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
        self.mirrored: dict[int, bytes] = {}
        self.notes: tuple[str, ...] = ()
        first = self._first_record()
        self.rows, self.data_size = self._where(first)
        self.stream = self._stream(self.rows)
        covered = min(self.stream.size, self._written(first))
        self.count = covered // boot.record_size
        if self.stream.size < self.data_size:
            self._note("a part of $MFT cannot be found")
        self._check_first_records()

    def _note(self, text: str) -> None:
        self.notes = (*self.notes, text)

    # -- finding $MFT

    def _first_record(self) -> FileRecord:
        """Record 0, from $MFTMirr if that of $MFT is damaged."""
        faults = []
        for name, lcn in (("$MFT", self.boot.mft_lcn), ("$MFTMirr", self.boot.mftmirr_lcn)):
            try:
                raw = self._sound(self.volume.read(lcn * self.boot.cluster_size, self.boot.record_size), name)
                record = parse_record(0, raw, self.boot.clusters)
                _require_data(record)
            except InpartError as error:
                faults.append(error.message)
                continue
            if faults:
                self.mirrored[0] = raw
                self._note(f"record 0 is read from $MFTMirr: {faults[0]}")
            return record
        raise FilesystemDamaged(f"{self.volume.name}: $MFT cannot be found: {'; '.join(faults)}", hint=HINT)

    def _sound(self, raw: bytes, name: str) -> bytes:
        window = np.frombuffer(bytearray(raw), dtype=np.uint8).reshape(1, -1)
        records = Records(np.zeros(1, dtype=np.int64), window, apply_fixups(window))
        if not records.in_use.all():
            raise FilesystemDamaged(f"the first record of {name} is damaged")
        return window.tobytes()

    def _where(self, first: FileRecord) -> tuple[Numbers, int]:
        """All runs of $MFT that can be found, and its size in bytes."""
        piece = _require_data(first)
        rows = piece.rows
        try:
            for entry in self._pieces(first):
                number = entry.record
                part = parse_record(number, self._from(rows, number), self.boot.clusters)
                _require_base(part, first)
                more = next((one for one in part.attributes if one.instance == entry.instance), None)
                if more is None or more.type != AttributeType.DATA:
                    raise FilesystemDamaged(f"record {number} holds no piece of $MFT")
                joined = np.concatenate([rows, more.rows])
                if not contiguous(joined):
                    raise FilesystemDamaged("the pieces of $MFT do not follow each other")
                rows = joined
        except FilesystemDamaged as error:
            self._note(f"$MFT is not complete: {error.message}")
        return rows, piece.data_size

    def _pieces(self, first: FileRecord) -> Iterator[ListEntry]:
        """Where further pieces of the run list of $MFT stand."""
        where = first.find(AttributeType.ATTRIBUTE_LIST)
        if where is None:
            return
        for entry in parse_attribute_list(0, self._value(where)):
            if entry.type == AttributeType.DATA and not entry.name and entry.lowest_vcn > 0:
                yield entry

    def _from(self, rows: Numbers, number: int) -> bytes:
        """A record by those runs of $MFT that are known so far."""
        size = self.boot.record_size
        stream = self._stream(rows)
        if (number + 1) * size > stream.size:
            raise FilesystemDamaged(f"record {number} lies in a part of $MFT that is not known yet")
        return self._sound(stream.read(number * size, size), f"a further piece of $MFT, {number},")

    def _stream(self, rows: Numbers) -> RunsVolume:
        return RunsVolume(self.volume, byte_runs(rows, self.boot.cluster_size), name="$MFT")

    def _written(self, first: FileRecord) -> int:
        piece = _require_data(first)
        return max(0, min(piece.data_size, piece.initialized_size))

    def _check_first_records(self) -> None:
        """Take those of the first records that are damaged from $MFTMirr."""
        numbers = np.arange(min(MIRRORED, self.count), dtype=np.int64)
        records = self.read(numbers)
        for number in numbers[~records.in_use].tolist():
            place = self.boot.mftmirr_lcn * self.boot.cluster_size + number * self.boot.record_size
            try:
                raw = self._sound(self.volume.read(place, self.boot.record_size), "$MFTMirr")
            except InpartError:
                continue
            self.mirrored[number] = raw
            self._note(f"record {number} is read from $MFTMirr")

    # -- reading

    def read(self, numbers: Numbers) -> Records:
        """Records by number, in the given order, neighbours in one read. Raises FilesystemDamaged, VolumeError."""
        wrong = (numbers < 0) | (numbers >= self.count)
        if wrong.any():
            raise FilesystemDamaged(f"there is no record {int(numbers[wrong][0])}, $MFT has {self.count}", hint=HINT)
        size = self.boot.record_size
        raw = np.empty((len(numbers), size), dtype=np.uint8)
        starts = np.flatnonzero(np.diff(numbers, prepend=-2) != 1)
        for first, last in zip(starts.tolist(), [*starts[1:].tolist(), len(numbers)], strict=True):
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
        records = self.read(np.array([number], dtype=np.int64))
        if not records.sound.all():
            raise FilesystemDamaged(f"record {number} is damaged", hint=HINT)
        if not records.in_use.all():
            raise FilesystemDamaged(f"record {number} is not in use", hint=HINT)
        return parse_record(number, records.raw.tobytes(), self.boot.clusters)

    def assembled(self, number: int) -> File:
        """A file by the number of its base record. Raises FilesystemDamaged."""
        base = self.record(number)
        if base.base_reference:
            raise FilesystemDamaged(f"record {number} belongs to another file", hint=HINT)
        where = base.find(AttributeType.ATTRIBUTE_LIST)
        if where is None:
            return File(base, {}, (), _streams(list(base.attributes)))
        listed = parse_attribute_list(number, self._value(where))
        numbers = sorted({entry.record for entry in listed} - {number})
        extensions = {one: self.record(one) for one in numbers}
        for extension in extensions.values():
            _require_base(extension, base)
        return File(base, extensions, listed, _streams([where, *_found(base, extensions, listed)]))

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

    def _value(self, attribute: Attribute) -> bytes:
        """The content of an attribute list. Raises FilesystemDamaged."""
        if not attribute.non_resident:
            return attribute.value
        size = attribute.data_size
        stream = RunsVolume(self.volume, byte_runs(attribute.rows, self.boot.cluster_size), name="$ATTRIBUTE_LIST")
        if not 0 <= size <= min(MAX_ATTRIBUTE_LIST, stream.size):
            message = f"record {attribute.record}: its attribute list has {size} bytes"
            raise FilesystemDamaged(message, hint=HINT)
        return stream.read(0, size)


def _require_data(first: FileRecord) -> Attribute:
    """The first piece of the content of $MFT."""
    piece = first.find(AttributeType.DATA)
    if piece is None or not piece.non_resident or piece.lowest_vcn or not len(piece.rows):
        raise FilesystemDamaged("record 0 does not say where $MFT lies", hint=HINT)
    if (piece.rows[:, 1] < 0).any():
        raise FilesystemDamaged("$MFT has holes", hint=HINT)
    return piece


def _require_base(extension: FileRecord, base: FileRecord) -> None:
    if extension.base_reference & REFERENCE_MASK != base.number or not extension.base_reference:
        raise FilesystemDamaged(f"record {extension.number} does not belong to record {base.number}", hint=HINT)


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


def _streams(attributes: list[Attribute]) -> tuple[Stream, ...]:
    """Pieces of the same attribute together; what is resident stands for itself."""
    grouped: dict[tuple[int, str, int], list[Attribute]] = {}
    for position, one in enumerate(attributes):
        key = (one.type, one.name, -1 if one.non_resident else position)
        grouped.setdefault(key, []).append(one)
    return tuple(Stream(tuple(sorted(pieces, key=lambda one: one.lowest_vcn))) for pieces in grouped.values())
