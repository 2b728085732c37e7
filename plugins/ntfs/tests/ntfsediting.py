"""What the tests of vacating share: whole runs of batches, and all that must hold after them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from inpart.extents import Extents
from inpart.testing.powercut import Sample, run_power_cuts
from inpart.transaction import Transaction
from inpart.volume import MemoryVolume, Volume
from inpart_ntfs.editor.ownership import fixed_clusters
from inpart_ntfs.editor.vacate import Vacater
from inpart_ntfs.filesystem import NtfsFilesystem
from ntfsjudge import judge, snapshot, tolerable

BATCHES = 100


@dataclass
class Bench:
    """A partition on its way; ``path`` is a file that the tools may look at."""

    volume: MemoryVolume
    path: Path
    before: dict[str, tuple[object, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Path, path: Path, sector_size: int = 512) -> Bench:
        """A copy of a partition and all that ntfs-3g shows of it."""
        return cls(MemoryVolume(source.read_bytes(), sector_size=sector_size), path, snapshot(source))

    def fs(self) -> NtfsFilesystem:
        """The file system as it is now."""
        return NtfsFilesystem(self.volume)

    def part(self, low: float, high: float) -> Extents:
        """A part of the clusters, in bytes."""
        boot = self.fs().boot
        first, last = int(boot.clusters * low), int(boot.clusters * high)
        return Extents.span(first * boot.cluster_size, last * boot.cluster_size)

    def batch(self, region: Extents, avoid: Extents | None = None) -> tuple[int, int]:
        """Move one batch; bytes moved and bytes left."""
        tx = Transaction(self.volume)
        result = Vacater(tx, region, avoid or Extents()).run()
        tx.commit(None)
        return result.moved, result.remaining

    def vacate(self, region: Extents, avoid: Extents | None = None) -> int:
        """All batches; their number."""
        for number in range(1, BATCHES):
            moved, remaining = self.batch(region, avoid)
            if not remaining:
                return number
            assert moved, f"{remaining} bytes remain and nothing moves"
        raise AssertionError("there is no end of it")

    def vacate_under_cuts(self, region: Extents, count: int) -> None:
        """All batches, each cut at ``count`` places first: for the tools there are at worst unused clusters."""
        left = 1

        def change(volume: Volume) -> int:
            tx = Transaction(volume)
            remaining = Vacater(tx, region, Extents()).run().remaining
            tx.commit(None)
            return remaining

        def check(disk: MemoryVolume) -> None:
            self.path.write_bytes(disk.data)
            assert [text for text in judge(self.path) if not tolerable(text)] == []
            assert snapshot(self.path) == self.before

        while left:
            start = partial(MemoryVolume, bytes(self.volume.data))
            run_power_cuts(start, change, check, Sample(count, seed=left))
            left = change(self.volume)

    def expect_same(self, emptied: Extents | None = None) -> None:
        """The tools and check() find nothing, all files are as they were, and nothing movable lies in ``emptied``."""
        self.path.write_bytes(self.volume.data)
        assert judge(self.path) == []
        fs = self.fs()
        assert list(fs.check()) == []
        after = snapshot(self.path)
        assert set(after) == set(self.before)
        assert [path for path, facts in after.items() if facts != self.before[path]] == []
        if emptied is not None:
            assert not (fs.used & emptied) - fixed_clusters(fs)


def some_region(bench: Bench, seed: int) -> Extents:
    """A region at the front, at the end or anywhere, that can be emptied."""
    chance = random.Random(seed)
    share = chance.choice((0.05, 0.2, 0.35))
    low = chance.choice((0.0, 1 - share, chance.uniform(0, 1 - share)))
    return bench.part(low, low + share)
