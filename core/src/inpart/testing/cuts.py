"""Power cuts: what a disk may hold when the power fails between, or in the middle of, recorded writes.

A flush makes everything written before it durable. Of the writes since the last flush any may have arrived, whole
or in part, in any order; only a sector is written whole or not at all.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from inpart.errors import UsageError
from inpart.units import SECTOR
from inpart.volume import Buffer, MemoryVolume

_CUT_ID = re.compile(r"w(\d+)-(kept|lost|torn)(?:-(\d+))?")


class PowerCutError(BaseException):
    """The power is gone. Not an Exception, so that nothing in the code under test can go on after it."""


class Fate(StrEnum):
    """What became of the writes since the last flush."""

    KEPT = "kept"
    LOST = "lost"
    TORN = "torn"


@dataclass(frozen=True, order=True)
class Cut:
    """A power cut after ``writes`` writes; ``seed`` picks what arrived of the torn ones."""

    writes: int
    fate: Fate
    seed: int = 0

    def __str__(self) -> str:
        return f"w{self.writes}-{self.fate}" + (f"-{self.seed}" if self.fate is Fate.TORN else "")

    @classmethod
    def parse(cls, text: str) -> Cut:
        """A cut from its id, such as ``w17-torn-5``. Raises UsageError."""
        match = _CUT_ID.fullmatch(text)
        if match is None:
            raise UsageError(f"{text!r} is not the id of a power cut", hint="such as w17-kept, w17-lost or w17-torn-5")
        return cls(int(match[1]), Fate(match[2]), int(match[3] or 0))


@dataclass
class _Epoch:
    """The writes between two flushes; ``first`` is the number of writes before them."""

    first: int
    writes: list[tuple[int, bytes]] = field(default_factory=list)


class Recording:
    """All writes and flushes since a disk held ``initial``; the disk after any cut can be made of them.

    With ``stop_after`` the power fails when that many writes are done: the next write, and all that is tried after
    it, raises PowerCutError.
    """

    def __init__(self, initial: Buffer, *, name: str, sector_size: int = SECTOR, stop_after: int | None = None) -> None:
        self.name = name
        self.sector_size = sector_size
        self.stop_after = stop_after
        self.writes = 0
        self._initial = initial
        self._epochs = [_Epoch(0)]
        self._dead = False

    def write(self, offset: int, data: Buffer) -> None:
        """Note a write that is about to be made. Raises PowerCutError."""
        self._dead = self._dead or self.writes == self.stop_after
        self._alive()
        self._epochs[-1].writes.append((offset, bytes(data)))
        self.writes += 1

    def flush(self) -> None:
        """Note a flush. Raises PowerCutError."""
        self._alive()
        if self._epochs[-1].writes:
            self._epochs.append(_Epoch(self.writes))

    def cuts(self, *, torn: int = 1) -> list[Cut]:
        """Every cut of the recording, ``torn`` different ones of that fate at each place.

        LOST is left out: it is what the last write before the flush leaves when it is KEPT.
        """
        found = [Cut(0, Fate.KEPT)]
        for epoch in self._epochs:
            for count in range(1, len(epoch.writes) + 1):
                writes = epoch.first + count
                found.append(Cut(writes, Fate.KEPT))
                found += [Cut(writes, Fate.TORN, seed) for seed in range(torn)]
        return found

    def disks(self, cuts: Iterable[Cut]) -> Iterator[tuple[Cut, MemoryVolume]]:
        """(cut, the disk as it stands after it), in the order of the writes; each disk is the caller's to change."""
        durable = MemoryVolume(self._initial, name=self.name, sector_size=self.sector_size)
        epochs = iter(self._epochs)
        epoch = next(epochs)
        for cut in sorted(cuts):
            if cut.writes > self.writes:
                raise UsageError(f"{cut}: only {self.writes} writes were recorded")
            while cut.writes > epoch.first + len(epoch.writes):
                _apply(durable, epoch.writes)
                epoch = next(epochs)
            disk = MemoryVolume(durable.data, name=f"{self.name} after {cut}", sector_size=self.sector_size)
            _apply(disk, self._arrived(epoch.writes[: cut.writes - epoch.first], cut))
            yield cut, disk

    def disk(self, cut: Cut | str) -> MemoryVolume:
        """The disk as it stands after one cut, given as such or by its id."""
        return next(self.disks([Cut.parse(cut) if isinstance(cut, str) else cut]))[1]

    def _arrived(self, writes: list[tuple[int, bytes]], cut: Cut) -> list[tuple[int, bytes]]:
        if cut.fate is Fate.KEPT:
            return writes
        if cut.fate is Fate.LOST:
            return []
        return _torn(writes, self.sector_size, random.Random(f"{cut.writes}/{cut.seed}"))

    def _alive(self) -> None:
        if self._dead:
            raise PowerCutError(f"the power failed after {self.writes} writes")


@dataclass(frozen=True)
class Sample:
    """A seeded choice of ``count`` cuts; the first and the last are always among them."""

    count: int
    seed: int = 0

    def choose(self, cuts: list[Cut]) -> list[Cut]:
        """At most ``count`` of ``cuts``."""
        if len(cuts) <= self.count:
            return cuts
        inner = random.Random(self.seed).sample(cuts[1:-1], max(0, self.count - 2))
        return [cuts[0], *sorted(inner), cuts[-1]]


def _torn(writes: list[tuple[int, bytes]], sector: int, chance: random.Random) -> list[tuple[int, bytes]]:
    """What arrived: some sectors in any order, some writes in any order, all but one of them, or the last alone."""
    shape = chance.choice(("sectors", "sectors", "writes", "all but one", "last"))
    if shape == "last":
        return writes[-1:]
    if shape == "all but one":
        gone = chance.randrange(len(writes))
        return writes[:gone] + writes[gone + 1 :]
    pieces = writes if shape == "writes" else [piece for write in writes for piece in _sectors(*write, sector)]
    share = chance.choice((0.1, 0.5, 0.9))
    arrived = [piece for piece in pieces if chance.random() < share]
    chance.shuffle(arrived)
    return arrived


def _sectors(offset: int, data: bytes, sector: int) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        step = sector - (offset + at) % sector
        yield offset + at, data[at : at + step]
        at += step


def _apply(disk: MemoryVolume, writes: Iterable[tuple[int, bytes]]) -> None:
    for offset, data in writes:
        disk.write(offset, data)
