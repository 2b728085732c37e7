"""Who owns the clusters of a region: one pass over all records, window by window, remembered from batch to batch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_ntfs.attributes import HINT
from inpart_ntfs.bitmap import windows
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.leftovers import Leftovers
from inpart_ntfs.mft import Mft
from inpart_ntfs.records import Records
from inpart_ntfs.runs import COUNT, HOLE, LCN, OWNER, Problem, byte_extents

Numbers = NDArray[np.int64]

FIXED = (Number.BOOT, Number.BAD_CLUS)
"""Files whose clusters stay where they are."""


@dataclass(frozen=True)
class Owners:
    """Base records of the files with clusters in a region, ascending, and how many each of them has there.

    ``lost`` are clusters of the region that are in use and belong to nobody. ``leftovers`` are the numbers of records
    in use that belong to nobody, ``marked`` tells which of those the bitmap of records has in use, too.
    """

    numbers: Numbers
    counts: Numbers
    lost: Extents = field(default_factory=Extents)
    leftovers: Numbers = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    marked: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool))

    def without(self, moved: dict[int, int]) -> Owners:
        """What is left when so many clusters of each of some files have moved, and nothing is lost any more."""
        counts = self.counts - np.array([moved.get(number, 0) for number in self.numbers.tolist()], dtype=np.int64)
        return Owners(self.numbers[counts > 0], counts[counts > 0])


@dataclass
class Memory:
    """What is left to be moved out of a region after a batch; it is believed if it explains all clusters in use."""

    volume: int = 0
    region: Extents = field(default_factory=Extents)
    owners: Owners | None = None

    def recall(self, volume: int, region: Extents, expected: int) -> Owners | None:
        """The owners of the ``expected`` clusters in use in ``region``, if they are known."""
        known = self.owners if (self.volume, self.region) == (volume, region) else None
        return known if known is not None and int(known.counts.sum()) == expected else None

    def keep(self, volume: int, region: Extents, owners: Owners | None) -> None:
        """Remember ``owners``; None forgets all."""
        self.volume, self.region, self.owners = volume, region, owners


def find_owners(mft: Mft, busy: Extents) -> Owners:
    """The owners of the clusters ``busy``, which are in use. Raises FilesystemDamaged.

    Clusters of nobody, and records of nobody, are what an interrupted change leaves, as long as all records can be
    read; clusters that belong to several files are damage.
    """
    bitmap = mft.content(mft.metadata(Number.MFT, AttributeType.BITMAP))
    bits = np.concatenate([np.empty(0, dtype=np.uint8), *(data for _, data in windows(bitmap, mft.count))])
    unreadable = 0
    found, left = [np.empty((0, 3), dtype=np.int64)], [np.empty((0, 2), dtype=np.int64)]
    for window, lost in Leftovers(mft).apart():
        unreadable += int((_marked(bits, window) & ~window.sound).sum())
        left.append(np.stack([lost.numbers, _marked(bits, lost)], axis=1))
        found.append(_in_window(window, mft.boot.clusters, busy))
    rows = np.concatenate(found)
    numbers, place = np.unique(rows[:, 0], return_inverse=True)
    counts = np.zeros(len(numbers), dtype=np.int64)
    np.add.at(counts, place, _inside(busy, rows[:, 1], rows[:, 1] + rows[:, 2]))
    owned = Extents.from_rows(rows[:, 1:]) & busy
    _check(busy.total, owned.total, int(counts.sum()), unreadable)
    spare = np.concatenate(left)
    return Owners(numbers, counts, busy - owned, spare[:, 0], spare[:, 1] > 0)


def _marked(bits: NDArray[np.uint8], records: Records) -> NDArray[np.bool_]:
    """Which records a bitmap has in use."""
    return np.asarray(bits[records.numbers >> 3] >> (records.numbers & 7) & 1 > 0)


def _in_window(window: Records, clusters: int, busy: Extents) -> Numbers:
    """Rows of owner, first cluster, count for runs that have clusters in ``busy``."""
    table = window.attributes()
    if table.broken.any():
        raise FilesystemDamaged(f"record {int(window.numbers[table.broken][0])} is damaged", hint=HINT)
    table = table.pick(table.non_resident)
    decoded = table.decode(clusters)
    wrong = decoded.problems != Problem.NONE
    if wrong.any():
        message = f"record {int(table.number[wrong][0])}: a run list is damaged"
        raise FilesystemDamaged(message, hint=HINT)
    rows = decoded.rows[decoded.rows[:, LCN] != HOLE]
    rows = rows[busy.touches(rows[:, LCN], rows[:, COUNT])]
    owner = table.owner[rows[:, OWNER]]
    movable = ~np.isin(owner, FIXED)
    return np.stack([owner, rows[:, LCN], rows[:, COUNT]], axis=1)[movable]


def _check(busy: int, owned: int, counted: int, unreadable: int) -> None:
    if counted > owned:
        message = f"{counted - owned} used clusters belong to several files"
    elif owned < busy and unreadable:
        message = f"{busy - owned} used clusters belong to no file, and {unreadable} records cannot be read"
    else:
        return
    raise FilesystemDamaged(message, hint="run chkdsk on it first")


def _inside(region: Extents, starts: Numbers, ends: Numbers) -> Numbers:
    """How many clusters of each run lie in ``region``."""
    low, high = region.array[:, 0], region.array[:, 1]
    before = np.concatenate([[0], np.cumsum(high - low)])

    def below(place: Numbers) -> Numbers:
        index = np.searchsorted(low, place, side="left")
        last = np.maximum(index - 1, 0)
        return np.asarray(before[index] - np.where(index > 0, np.maximum(high[last] - place, 0), 0))

    return below(ends) - below(starts) if len(low) else np.zeros_like(starts)


def fixed_clusters(fs: NtfsFilesystem) -> Extents:
    """Bytes of clusters that stay where they are: those of $Boot, and bad ones."""
    rows = fs.mft.metadata(Number.BOOT).rows
    return fs.bad | byte_extents(rows[:, 1], rows[:, 2], fs.boot.cluster_size)
