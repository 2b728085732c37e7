"""Mapping pairs: the run lists of non-resident attributes, decoded many at a time, and encoded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from inpart.extents import Extents, Runs
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

HOLE = -1
"""The lcn of a run that is stored nowhere."""
OWNER, VCN, LCN, COUNT = range(4)
"""Columns of decoded rows. Rows of a single attribute have the last three only."""
LARGEST = 1 << 44
"""No number of clusters and no distance between clusters is as large as this."""

_ROUNDS = 24
"""So many pairs of all attributes are found together; what is longer is walked through alone."""
_FEW = 8
"""So few attributes are not worth it."""


class Problem(IntEnum):
    """What can be wrong with mapping pairs."""

    NONE = 0
    NO_END = 1
    BAD_HEADER = 2
    BAD_COUNT = 3
    OUTSIDE = 4
    WRONG_LENGTH = 5


PROBLEMS = {
    Problem.NO_END: "its run list does not end inside the attribute",
    Problem.BAD_HEADER: "its run list has a number of impossible size",
    Problem.BAD_COUNT: "its run list has a run of impossible length",
    Problem.OUTSIDE: "its run list leads outside the file system",
    Problem.WRONG_LENGTH: "its run list does not cover the clusters that the attribute claims to map",
}


@dataclass(frozen=True)
class Decoded:
    """Run lists of n attributes. ``rows`` has shape (m, 4): owner (index of the attribute), vcn, lcn, count.

    Rows are in order of owner and vcn, lcn is ``HOLE`` for holes. An attribute whose code in ``problems``, shape (n,),
    is not 0 has no rows.
    """

    rows: Numbers
    problems: NDArray[np.uint8]

    def of(self, owner: int) -> Numbers:
        """vcn, lcn, count of one attribute, shape (k, 3)."""
        first, last = np.searchsorted(self.rows[:, OWNER], [owner, owner + 1]).tolist()
        return self.rows[first:last, VCN:]


def decode(data: Bytes, starts: Numbers, ends: Numbers, lowest_vcn: Numbers, clusters: int) -> Decoded:
    """Decode the mapping pairs that stand in ``data`` from ``starts`` up to their zero byte before ``ends``.

    ``lowest_vcn`` is the first vcn of each. What leads beyond the ``clusters`` of the file system is a problem.
    """
    padded = np.zeros(len(data) + 16, dtype=np.uint8)
    padded[: len(data)] = data
    problems = np.zeros(len(starts), dtype=np.uint8)
    owner, place = _headers(padded, starts, np.minimum(ends, len(data)), problems)
    header = padded[place].astype(np.int64)
    count_size, lcn_size = header & 15, header >> 4
    count = _signed(padded, place + 1, count_size)
    delta = _signed(padded, place + 1 + count_size, lcn_size)
    hole = lcn_size == 0
    _blame(problems, owner[(count_size == 0) | (count_size > 8) | (lcn_size > 8)], Problem.BAD_HEADER)
    _blame(problems, owner[(count <= 0) | (count >= LARGEST)], Problem.BAD_COUNT)
    _blame(problems, owner[np.abs(delta) >= LARGEST], Problem.OUTSIDE)
    lcn = _running(owner, delta)
    vcn = _running(owner, count) - count + lowest_vcn[owner]
    hole |= lcn == HOLE  # NTFS 1.2 counts on from a hole at -1
    _blame(problems, owner[~hole & ((lcn < 0) | (lcn + count > clusters))], Problem.OUTSIDE)
    _blame(problems, owner[(vcn < 0) | (vcn + count >= LARGEST)], Problem.BAD_COUNT)
    rows = np.stack([owner, vcn, np.where(hole, HOLE, lcn), count], axis=1)
    return Decoded(rows[problems[owner] == Problem.NONE], problems)


def decode_short(pairs: bytes, lowest_vcn: int, clusters: int) -> Numbers | None:
    """vcn, lcn, count of one short run list, sooner than ``decode`` does it; None if anything is wrong with it."""
    rows: list[tuple[int, int, int]] = []
    place, vcn, lcn = 0, lowest_vcn, 0
    while place < len(pairs):
        header = pairs[place]
        if not header:
            return np.array(rows, dtype=np.int64).reshape(-1, 3)
        middle = place + 1 + (header & 15)
        end = middle + (header >> 4)
        if not header & 15 or header & 15 > 8 or header >> 4 > 8 or end > len(pairs):
            return None
        count = int.from_bytes(pairs[place + 1 : middle], "little", signed=True)
        lcn += int.from_bytes(pairs[middle:end], "little", signed=True)
        hole = end == middle or lcn == HOLE
        if not 0 < count < LARGEST or not 0 <= vcn < LARGEST - count or not (hole or 0 <= lcn <= clusters - count):
            return None
        rows.append((vcn, HOLE if hole else lcn, count))
        place, vcn = end, vcn + count
    return None


def _headers(data: Bytes, starts: Numbers, ends: Numbers, problems: NDArray[np.uint8]) -> tuple[Numbers, Numbers]:
    """Where each pair starts: owner and place in ``data``, in order of owner."""
    owners, places = [], []
    owner, place = np.arange(len(starts), dtype=np.int64), starts
    for _ in range(_ROUNDS if len(starts) > _FEW else 0):
        inside = place < ends[owner]
        _blame(problems, owner[~inside], Problem.NO_END)
        owner, place = owner[inside], place[inside]
        header = data[place]
        more = header != 0
        owner, place, header = owner[more], place[more], header[more]
        if not len(owner):
            break
        owners.append(owner)
        places.append(place)
        place = place + 1 + (header & 15) + (header >> 4)
    else:
        for one, at in zip(owner.tolist(), place.tolist(), strict=True):
            found = _walk(data, at, int(ends[one]))
            if found is None:
                problems[one] = Problem.NO_END
            else:
                owners.append(np.full(len(found), one, dtype=np.int64))
                places.append(found)
    if not owners:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    joined, found_at = np.concatenate(owners), np.concatenate(places)
    order = np.lexsort((found_at, joined))
    return joined[order], found_at[order]


def _walk(data: Bytes, place: int, end: int) -> Numbers | None:
    """The places of the pairs of one attribute from ``place`` on; None if they do not end before ``end``."""
    raw, base = data[place:end].tobytes(), place
    place = 0
    found: list[int] = []
    while place < len(raw):
        header = raw[place]
        if not header:
            return np.array(found, dtype=np.int64) + base
        found.append(place)
        place += 1 + (header & 15) + (header >> 4)
    return None


def _signed(data: Bytes, places: Numbers, sizes: Numbers) -> Numbers:
    """Little-endian numbers with sign of up to eight bytes; 0 where there are none."""
    window = data[np.minimum(places, len(data) - 8)[:, np.newaxis] + np.arange(8)]
    value = window.view("<i8").reshape(-1)
    shift = 8 * (8 - np.clip(sizes, 0, 8))
    narrow = shift < 64
    return np.where(narrow, value << np.where(narrow, shift, 0) >> np.where(narrow, shift, 0), 0)


def _running(owner: Numbers, values: Numbers) -> Numbers:
    """The running sums of ``values``, started anew for each owner. What overflows wraps and is found out elsewhere."""
    if not len(values):
        return values
    sums = np.cumsum(values)
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    before = sums[first] - values[first]
    return np.asarray(sums - np.repeat(before, np.diff(first, append=len(values))), dtype=np.int64)


def _blame(problems: NDArray[np.uint8], owners: Numbers, problem: Problem) -> None:
    """Record a problem of attributes that have none yet."""
    problems[owners] = np.where(problems[owners] == Problem.NONE, problem, problems[owners])


def encode(rows: Numbers, *, hole_as_lcn: bool = False) -> bytes:
    """Mapping pairs with their zero byte for rows of vcn, lcn, count, shape (k, 3), that follow each other.

    ``hole_as_lcn`` writes holes as NTFS 1.2 wants them, as the cluster -1.
    """
    parts, before = [], 0
    for _, lcn, count in rows.tolist():
        length = _packed(count)
        if lcn == HOLE and not hole_as_lcn:
            parts.append(bytes([len(length)]) + length)
            continue
        distance = _packed(lcn - before)
        parts.append(bytes([len(length) | len(distance) << 4]) + length + distance)
        before = lcn
    return b"".join(parts) + b"\0"


def _packed(value: int) -> bytes:
    """A number in as few bytes as keep its sign."""
    return value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "little", signed=True)


def joined(rows: Numbers) -> Numbers:
    """Rows of vcn, lcn, count in which neighbours that follow each other on the volume are one."""
    if len(rows) < 2:
        return rows
    vcn, lcn, count = rows.T
    follows = np.where(lcn[:-1] == HOLE, lcn[1:] == HOLE, lcn[1:] == lcn[:-1] + count[:-1])
    starts = np.flatnonzero(np.concatenate([[True], ~follows]))
    return np.stack([vcn[starts], lcn[starts], np.add.reduceat(count, starts)], axis=1)


def contiguous(rows: Numbers, lowest_vcn: int = 0) -> bool:
    """True if rows of vcn, lcn, count follow each other without gap or overlap from ``lowest_vcn`` on."""
    if not len(rows):
        return True
    ends = rows[:, 0] + rows[:, 2]
    return int(rows[0, 0]) == lowest_vcn and bool((rows[1:, 0] == ends[:-1]).all())


def byte_runs(rows: Numbers, cluster_size: int) -> Runs:
    """The path that rows of vcn, lcn, count take through the volume, in bytes."""
    start = np.where(rows[:, 1] == HOLE, Runs.HOLE, rows[:, 1] * cluster_size)
    return Runs(np.stack([start, rows[:, 2] * cluster_size], axis=1))


def byte_extents(lcn: Numbers, count: Numbers, cluster_size: int) -> Extents:
    """The bytes of runs of clusters, holes left out."""
    stored = lcn != HOLE
    start = lcn[stored] * cluster_size
    return Extents(np.stack([start, start + count[stored] * cluster_size], axis=1))
