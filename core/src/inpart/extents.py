"""Byte runs of a volume: ``Extents`` as a set of bytes, ``Runs`` as an ordered path through a volume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.int64]

_NOTHING: Pairs = np.empty((0, 2), dtype=np.int64)


class Extents:
    """A set of bytes of a volume as sorted, disjoint, non-touching half-open runs ``[start, end)``.

    Immutable. ``array`` has shape (n, 2), dtype int64, columns start and end, in bytes.
    """

    __slots__ = ("array",)

    def __init__(self, pairs: Iterable[tuple[int, int]] | Pairs = ()) -> None:
        """``pairs`` are (start, end) in any order; overlapping and touching ones are merged, empty ones dropped."""
        array = np.array(pairs if isinstance(pairs, np.ndarray) else list(pairs), dtype=np.int64).reshape(-1, 2)
        self.array: Pairs = _normalised(array)
        self.array.setflags(write=False)

    @classmethod
    def _of(cls, array: Pairs) -> Extents:
        made = cls.__new__(cls)
        made.array = array
        array.setflags(write=False)
        return made

    @classmethod
    def span(cls, start: int, end: int) -> Extents:
        """The one run ``[start, end)``, or nothing if it is empty."""
        return cls(((start, end),))

    @classmethod
    def union(cls, parts: Iterable[Extents]) -> Extents:
        """All bytes of several sets."""
        return cls(np.concatenate([_NOTHING, *(part.array for part in parts)]))

    @classmethod
    def from_rows(cls, rows: Pairs) -> Extents:
        """``rows`` are start and length, shape (n, 2)."""
        return cls.from_starts(rows[:, 0], rows[:, 1])

    @classmethod
    def from_starts(cls, starts: NDArray[Any], length: int | NDArray[Any]) -> Extents:
        """Runs of ``length`` bytes at each of ``starts``; or each of a length of its own."""
        first = np.asarray(starts, dtype=np.int64)
        return cls(np.stack([first, first + length], axis=1))

    @classmethod
    def from_mask(cls, mask: NDArray[np.bool_], unit: int, base: int = 0) -> Extents:
        """Runs where ``mask`` is true; element i stands for the bytes ``[base + i * unit, base + (i + 1) * unit)``."""
        edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
        return cls._of(edges.reshape(-1, 2).astype(np.int64) * unit + base)

    @property
    def rows(self) -> Pairs:
        """Start and length of each run, shape (n, 2)."""
        return np.stack([self.array[:, 0], self.array[:, 1] - self.array[:, 0]], axis=1)

    def to_mask(self, unit: int, count: int, base: int = 0) -> NDArray[np.bool_]:
        """A mask of ``count`` units from ``base`` on, true where a unit has at least one byte of the set."""
        step = np.zeros(count + 1, dtype=np.int32)
        part = self.clip(base, base + count * unit).array - base
        np.add.at(step, part[:, 0] // unit, 1)
        np.add.at(step, -(-part[:, 1] // unit), -1)
        return np.cumsum(step[:-1]) > 0

    @property
    def total(self) -> int:
        """Number of bytes in the set."""
        return int((self.array[:, 1] - self.array[:, 0]).sum())

    @property
    def start(self) -> int:
        """The first byte; 0 for the empty set."""
        return int(self.array[0, 0]) if len(self.array) else 0

    @property
    def end(self) -> int:
        """One past the last byte; 0 for the empty set."""
        return int(self.array[-1, 1]) if len(self.array) else 0

    def __len__(self) -> int:
        return len(self.array)

    def __bool__(self) -> bool:
        return len(self.array) > 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(start, end) pairs of plain integers, in order."""
        return ((start, end) for start, end in self.array.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extents) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash(self.array.tobytes())

    def __repr__(self) -> str:
        shown = ", ".join(f"[{start}, {end})" for start, end in self.array[:4].tolist())
        return f"Extents({shown}{', ...' if len(self) > 4 else ''})"

    def __or__(self, other: Extents) -> Extents:
        few, many = sorted((self.array, other.array), key=len)
        first = np.searchsorted(many[:, 1], few[:, 0], side="left")
        touched = _indices(first, np.searchsorted(many[:, 0], few[:, 1], side="right") - first)
        merged = _normalised(np.concatenate([few, many[touched]]))
        others = np.delete(many, touched, axis=0)
        return Extents._of(np.insert(others, np.searchsorted(others[:, 0], merged[:, 0]), merged, axis=0))

    def __and__(self, other: Extents) -> Extents:
        few, many = sorted((self.array, other.array), key=len)
        first = np.searchsorted(many[:, 1], few[:, 0], side="right")
        count = np.searchsorted(many[:, 0], few[:, 1], side="left") - first
        found = many[_indices(first, count)]
        np.maximum(found[:, 0], np.repeat(few[:, 0], count), out=found[:, 0])
        np.minimum(found[:, 1], np.repeat(few[:, 1], count), out=found[:, 1])
        return Extents._of(found)

    def __sub__(self, other: Extents) -> Extents:
        if not self or not other:
            return self
        return self & other.complement(self.start, self.end)

    def complement(self, start: int, end: int) -> Extents:
        """The bytes of ``[start, end)`` that are not in the set."""
        if start >= end:
            return Extents()
        part = self.clip(start, end).array.ravel()
        gaps = np.concatenate([[start], part, [end]]).astype(np.int64).reshape(-1, 2)
        return Extents._of(gaps[gaps[:, 0] < gaps[:, 1]])

    def clip(self, start: int, end: int) -> Extents:
        """The part of the set that lies in ``[start, end)``."""
        if start >= end:
            return Extents()
        first = int(np.searchsorted(self.array[:, 1], start, side="right"))
        last = int(np.searchsorted(self.array[:, 0], end, side="left"))
        if first >= last:
            return Extents()
        return Extents._of(np.clip(self.array[first:last], start, end))

    def shift(self, distance: int) -> Extents:
        """The set moved by ``distance`` bytes."""
        return Extents._of(self.array + distance)

    def align_out(self, unit: int) -> Extents:
        """The smallest set of whole units that covers the set."""
        grown = self.array.copy()
        grown[:, 0] -= grown[:, 0] % unit
        grown[:, 1] += -grown[:, 1] % unit
        return Extents(grown)

    def align_in(self, unit: int) -> Extents:
        """The largest set of whole units inside the set."""
        shrunk = self.array.copy()
        shrunk[:, 0] += -shrunk[:, 0] % unit
        shrunk[:, 1] -= shrunk[:, 1] % unit
        return Extents._of(shrunk[shrunk[:, 0] < shrunk[:, 1]])

    def in_units(self, unit: int) -> Extents:
        """The numbers of the units that have at least one byte of the set."""
        return Extents(self.align_out(unit).array // unit)

    def split(self, step: int) -> Pairs:
        """All runs cut at multiples of ``step``: shape (m, 2), start and end, in order."""
        if not self:
            return self.array
        first = self.array[:, 0] // step
        pieces = (self.array[:, 1] - 1) // step - first + 1
        owner = np.repeat(np.arange(len(pieces)), pieces)
        nth = np.arange(int(pieces.sum())) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        low = (first[owner] + nth) * step
        return np.stack([np.maximum(low, self.array[owner, 0]), np.minimum(low + step, self.array[owner, 1])], axis=1)

    def covers(self, other: Extents) -> bool:
        """True if every byte of ``other`` is in the set."""
        return not other - self

    def touches(self, starts: Pairs, lengths: Pairs) -> NDArray[np.bool_]:
        """Which runs have a byte in the set; ``starts`` and ``lengths`` have shape (n,)."""
        if not self:
            return np.zeros(len(starts), dtype=np.bool_)
        index = np.searchsorted(self.array[:, 1], starts, side="right")
        first = self.array[np.minimum(index, len(self) - 1), 0]
        return np.asarray((index < len(self)) & (first < starts + lengths))

    def contains(self, offset: int) -> bool:
        """True if the byte at ``offset`` is in the set."""
        index = int(np.searchsorted(self.array[:, 0], offset, side="right")) - 1
        return index >= 0 and offset < int(self.array[index, 1])


class Runs:
    """An ordered path through a volume: logical byte i of a file or stream lies at the i-th byte of the runs.

    Immutable. ``array`` has shape (n, 2), dtype int64, columns start and length, in bytes. ``HOLE`` as start stands
    for bytes that are stored nowhere and read as zeros.
    """

    HOLE = -1

    __slots__ = ("array",)

    def __init__(self, pairs: Iterable[tuple[int, int]] | Pairs = ()) -> None:
        """``pairs`` are (start, length) in logical order; physically touching neighbours are merged."""
        array = np.array(pairs if isinstance(pairs, np.ndarray) else list(pairs), dtype=np.int64).reshape(-1, 2)
        self.array: Pairs = _joined(array[array[:, 1] > 0])
        self.array.setflags(write=False)

    @property
    def total(self) -> int:
        """Logical length in bytes, holes included."""
        return int(self.array[:, 1].sum())

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(start, length) pairs of plain integers, in logical order."""
        return ((start, length) for start, length in self.array.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Runs) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash(self.array.tobytes())

    def __repr__(self) -> str:
        shown = ", ".join(f"{start}+{length}" for start, length in self.array[:4].tolist())
        return f"Runs({shown}{', ...' if len(self) > 4 else ''})"

    def __add__(self, other: Runs) -> Runs:
        return Runs(np.concatenate([self.array, other.array]))

    def extents(self) -> Extents:
        """The bytes that the path touches, holes left out."""
        real = self.array[self.array[:, 0] != self.HOLE]
        return Extents.from_rows(real)

    def slice(self, offset: int, length: int) -> Runs:
        """The part of the path from logical byte ``offset`` on, at most ``length`` bytes long."""
        ends = np.cumsum(self.array[:, 1])
        first = int(np.searchsorted(ends, offset, side="right"))
        last = int(np.searchsorted(ends, offset + length, side="left")) + 1
        part = self.array[first:last].copy()
        if not len(part) or length <= 0:
            return Runs()
        skip = offset - int(ends[first] - self.array[first, 1])
        if part[0, 0] != self.HOLE:
            part[0, 0] += skip
        part[0, 1] -= skip
        excess = int(part[:, 1].sum()) - length
        if excess > 0:
            part[-1, 1] -= excess
        return Runs(part)

    def shift(self, distance: int) -> Runs:
        """The path moved by ``distance`` bytes; holes stay holes."""
        moved = self.array.copy()
        moved[moved[:, 0] != self.HOLE, 0] += distance
        return Runs(moved)


def bit_edges(rows: NDArray[np.uint8]) -> tuple[Pairs, int]:
    """Where runs of ones start and end in bitmaps, lowest bit first: positions in pairs, and how many a row takes.

    Works on words of 64 bits, of which only those with an edge are looked at bit by bit. A run ends with its row.
    """
    count, width = rows.shape
    padded = np.zeros((count, -(-width // 8) * 8 + 8), dtype=np.uint8)
    padded[:, :width] = rows
    words = padded.view("<u8").reshape(-1)
    before = np.empty_like(words)
    before[:1] = 0
    np.right_shift(words[:-1], np.uint64(63), out=before[1:])
    before |= words << np.uint64(1)
    before ^= words
    found = np.flatnonzero(before)
    bits = np.unpackbits(before[found].view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    word, bit = np.nonzero(bits)
    return found[word].astype(np.int64) * 64 + bit, padded.shape[1] * 8


def _indices(first: NDArray[np.intp], count: NDArray[np.intp]) -> NDArray[np.intp]:
    """``count`` indices from ``first`` on, for each element of both."""
    return np.repeat(first - (np.cumsum(count) - count), count) + np.arange(int(count.sum()))


def _normalised(array: Pairs) -> Pairs:
    """Sorted, merged, without empty runs."""
    if (array[1:, 0] > array[:-1, 1]).all() and (array[:, 0] < array[:, 1]).all():
        return array
    array = array[array[:, 0] < array[:, 1]]
    if len(array) < 2:
        return array
    array = array[np.argsort(array[:, 0], kind="stable")]
    reach = np.maximum.accumulate(array[:, 1])
    opens = np.flatnonzero(array[1:, 0] > reach[:-1]) + 1
    starts = np.concatenate([[0], opens])
    ends = np.concatenate([opens - 1, [len(array) - 1]])
    return np.stack([array[starts, 0], reach[ends]], axis=1)


def _joined(array: Pairs) -> Pairs:
    """Neighbours that follow each other on the volume, and neighbouring holes, made one."""
    if len(array) < 2:
        return array
    hole = array[:, 0] == Runs.HOLE
    touching = ~hole[1:] & ~hole[:-1] & (array[1:, 0] == array[:-1, 0] + array[:-1, 1])
    opens = np.concatenate([[True], ~(touching | (hole[1:] & hole[:-1]))])
    starts = np.flatnonzero(opens)
    return np.stack([array[starts, 0], np.add.reduceat(array[:, 1], starts)], axis=1)
