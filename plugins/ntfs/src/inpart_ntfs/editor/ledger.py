"""The books of a file system: which clusters and records are in use, as $Bitmap and the bitmap of $MFT say.

All that is taken appears in stage ALLOCATE, all that is given back in stage RELEASE.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING
from weakref import proxy

import numpy as np
from inpart.contracts import Stage
from inpart.errors import FilesystemDamaged, NoSpace
from inpart.extents import Extents
from inpart.volume import RunsVolume

from inpart_ntfs.bitmap import windows
from inpart_ntfs.codes import FIRST_USER, AttributeType, Number
from inpart_ntfs.editor.clusters import Numbers
from inpart_ntfs.editor.growth import grow
from inpart_ntfs.leftovers import Leftovers
from inpart_ntfs.mft import Mft
from inpart_ntfs.runs import byte_runs
from inpart_ntfs.streams import Stream

if TYPE_CHECKING:
    from inpart_ntfs.editor.ground import Ground

_HINT = "run chkdsk on it first"
_SPAN = 4096
"""Bits that are changed together: those of 512 bytes."""
_TOGETHER = 256
"""So many of those at most are read and written at once."""
_RESERVED = 16
"""Records from here up to FIRST_USER are for more of the run list of $MFT."""


class Ledger:
    """Clusters and records taken and given back by one call of an editor, whose ground outlives it."""

    def __init__(self, ground: Ground) -> None:
        """No cycle of references may keep the ground: it knows all that is free."""
        self._ground: Ground = proxy(ground)
        self._desk = ground.desk
        self._taken: list[Numbers] = []
        self._given: list[Numbers] = []
        self._spans: set[int] = set()
        self._taken_records: dict[int, None] = {}
        self._given_records: dict[Stage, list[int]] = {}
        mirrored = ground.mirrored
        self._free = self._free_records(max(FIRST_USER, mirrored if mirrored <= ground.mft.count else 0))

    def take(self, rows: Numbers) -> None:
        """Mark clusters as used, rows of first cluster and count."""
        self._taken.append(rows)

    def give(self, rows: Numbers) -> None:
        """Mark clusters as free, last of all."""
        self._given.append(rows)
        self._spans.update((rows[:, 0] // _SPAN).tolist())

    @property
    def pending(self) -> int:
        """About how many sectors ``settle`` will still edit."""
        return len(self._spans) + sum(map(len, self._given_records.values()))

    def new_record(self) -> tuple[int, int]:
        """A record that was free, and the sequence number to use; $MFT grows if none is. Raises NoSpace."""
        number = next(self._free, 0)
        if not number:
            self.add_records()
            number = next(self._free)
        return self._use(number)

    def add_records(self) -> None:
        """Make $MFT longer. Raises NoSpace, FilesystemUnsupported."""
        first = self._ground.mft.count
        grow(self._ground)
        self._free = chain(self._free, self._free_records(first))

    def has_free_records(self, count: int = 1) -> bool:
        """True if ``new_record`` can give so many without making $MFT longer."""
        found = list(islice(self._free, count))
        self._free = chain(found, self._free)
        return len(found) == count

    def new_reserved_record(self) -> tuple[int, int]:
        """One of the records that are kept for where $MFT itself lies. Raises NoSpace."""
        number = next(self._free_records(_RESERVED, FIRST_USER), 0)
        if not number:
            raise NoSpace("$MFT is full, and where it lies does not fit in its records", hint="delete some files")
        return self._use(number)

    def _use(self, number: int) -> tuple[int, int]:
        """Take a record; it and its sequence number."""
        self._taken_records[number] = None
        records = self._ground.mft.read(np.array([number], dtype=np.int64))
        if (records.in_use & ~Leftovers(self._ground.mft).among(records)).any():
            message = f"record {number} is in use, but the bitmap of $MFT says that it is free"
            raise FilesystemDamaged(message, hint=_HINT)
        sequence = int(records["sequence_number"][0]) if records.sound.all() else 0
        return number, sequence or 1

    def give_record(self, number: int, stage: Stage = Stage.RELEASE) -> None:
        """Mark a record as free, last of all."""
        self._given_records.setdefault(stage, []).append(number)

    def settle_taken(self) -> None:
        """Enter what was taken so far into the bitmaps."""
        taken, self._taken = _joined(self._taken), []
        records = _bits(list(self._taken_records))
        self._taken_records.clear()
        self._enter(Number.BITMAP, AttributeType.DATA, taken, 1, Stage.ALLOCATE)
        self._enter(Number.MFT, AttributeType.BITMAP, records, 1, Stage.ALLOCATE)

    def settle(self) -> None:
        """Enter everything into the bitmaps."""
        self.settle_taken()
        given, self._given, self._spans = _joined(self._given), [], set()
        self._enter(Number.BITMAP, AttributeType.DATA, given, 0, Stage.RELEASE)
        for stage, records in self._given_records.items():
            self._enter(Number.MFT, AttributeType.BITMAP, _bits(records), 0, stage)
        self._given_records = {}
        self._desk.freed |= given

    def _free_records(self, first: int, end: int | None = None) -> Iterator[int]:
        """Free records from ``first`` on that were neither taken nor given back in this transaction."""
        return _unmarked(self._ground.mft, first, end, (self._desk.spent, self._taken_records))

    def _enter(self, number: int, kind: int, bits: Extents, value: int, stage: Stage) -> None:
        """Set or clear bits of a bitmap. Raises FilesystemDamaged where one has that value already."""
        if not bits:
            return
        bitmap = self._ground.mft.metadata(number, kind)
        self._check(bitmap, bits)
        runs = byte_runs(bitmap.rows, self._ground.cluster_size)
        stream = RunsVolume(self._ground.tx.view, runs, name=str(bitmap.first))
        for first, last, at in self._parts((number, kind), bits, stage):
            offset = first * _SPAN // 8
            length = min((last - first) * _SPAN // 8, stream.size - offset)
            changed = np.unpackbits(np.frombuffer(stream.read(offset, length), dtype=np.uint8), bitorder="little")
            mask = bits.to_mask(1, len(changed), first * _SPAN)
            wrong = np.flatnonzero(mask & (changed == value))
            if len(wrong):
                what = "is to be used, but it is in use" if value else "is to be freed, but it is free"
                unit = "cluster" if number == Number.BITMAP else "record"
                raise FilesystemDamaged(f"{unit} {first * _SPAN + int(wrong[0])} {what}", hint=_HINT)
            if value:
                self._ground.set_bits(runs, offset, np.packbits(mask, bitorder="little").tobytes(), stage)
                continue
            changed[mask] = 0
            self._ground.edit_runs(runs, offset, np.packbits(changed, bitorder="little").tobytes(), at)

    def _parts(self, key: tuple[int, int], bits: Extents, stage: Stage) -> Iterator[tuple[int, int, Stage]]:
        """Spans that follow each other and change in the same stage: first, end and stage."""
        spans = np.unique(bits.split(_SPAN)[:, 0] // _SPAN)
        stages = np.array([self._desk.stage((*key, span), stage) for span in spans.tolist()])
        starts = np.flatnonzero((np.diff(spans, prepend=-2) != 1) | (np.diff(stages, prepend=-1) != 0))
        for first, last in zip(starts.tolist(), [*starts[1:].tolist(), len(spans)], strict=True):
            for low in range(first, last, _TOGETHER):
                high = min(low + _TOGETHER, last)
                yield int(spans[low]), int(spans[high - 1]) + 1, Stage(int(stages[low]))

    def _check(self, bitmap: Stream, bits: Extents) -> None:
        if not bitmap.non_resident or (bitmap.rows[:, 1] < 0).any():
            raise FilesystemDamaged(
                f"{bitmap.first} of record {bitmap.first.record} does not lie in clusters", hint=_HINT
            )
        if bits.end > bitmap.data_size * 8:
            raise FilesystemDamaged(f"{bitmap.first} of record {bitmap.first.record} is too short", hint=_HINT)


def _unmarked(mft: Mft, first: int, end: int | None, without: Sequence[Container[int]]) -> Iterator[int]:
    """Records from ``first`` on that the bitmap of records has as free, and that are not in ``without`` by then."""
    count = min(mft.count, end or mft.count)
    bitmap = mft.metadata(Number.MFT, AttributeType.BITMAP)
    for start, data in windows(mft.content(bitmap), count):
        bits = np.unpackbits(data, bitorder="little")[: count - start]
        for number in (np.flatnonzero(bits == 0) + start).tolist():
            if number >= first and not any(number in ones for ones in without):
                yield number


def _bits(numbers: list[int]) -> Extents:
    return Extents.from_starts(np.array(numbers, dtype=np.int64), 1)


def _joined(rows: list[Numbers]) -> Extents:
    """All rows as one set. Raises FilesystemDamaged if a cluster is in it twice."""
    if not rows:
        return Extents()
    every = np.concatenate(rows)
    found = Extents.from_rows(every)
    if found.total != int(every[:, 1].sum()):
        raise FilesystemDamaged("a cluster is used twice", hint=_HINT)
    return found
