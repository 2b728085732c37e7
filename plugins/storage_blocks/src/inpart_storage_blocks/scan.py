"""Collecting block headers from a volume at the speed of reading, many at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.extents import Extents, Pairs
from inpart.scan import scan_windows
from inpart.units import SECTOR
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_storage_blocks.pieces import ALIKE, PIECE, Pieces, merged
from inpart_storage_blocks.structs import HEADER, HEADER_SIZE, MAGIC_WORD, Headers, Kind, is_proven

MOST_PIECES = 1 << 19
MOST_CONTROLS = 1 << 16
_COMPACT_AT = 1 << 16
_GROUP = 1 << 13


@dataclass(frozen=True)
class Marks:
    """What a scan found. ``controls`` are headers of seals and descriptions, at ``control_places`` of the volume.

    ``flooded`` is true if there were more than anybody's images would have, and the rest was left out.
    """

    pieces: Pieces
    controls: Headers
    control_places: Pairs
    flooded: bool


class Collector:
    """Takes windows of a volume in any order."""

    def __init__(self) -> None:
        self._headers: list[NDArray[np.uint8]] = []
        self._places: list[Pairs] = []
        self._waiting = 0
        self._pieces: list[Pieces] = []
        self._pending = 0
        self._controls: list[tuple[Headers, Pairs]] = []
        self._control_count = 0
        self._flooded = False

    def add(self, low: int, view: memoryview) -> None:
        """Take what the window of the volume that starts at byte ``low`` holds; whole sectors count."""
        sectors = len(view) // SECTOR
        words = np.frombuffer(view, dtype="<u8", count=sectors * SECTOR // 8)[:: SECTOR // 8]
        found = np.flatnonzero(words == MAGIC_WORD)
        if not len(found):
            return
        rows = np.frombuffer(view, dtype=np.uint8, count=sectors * SECTOR).reshape(-1, SECTOR)
        self._headers.append(rows[found, :HEADER_SIZE])
        self._places.append(low + found * SECTOR)
        self._waiting += len(found)
        if self._waiting >= _GROUP:
            self._sort_out()

    def finish(self) -> Marks:
        """All that was found, in order."""
        self._sort_out()
        self._compact()
        pieces = self._pieces[0] if self._pieces else np.zeros(0, dtype=PIECE)
        if not self._controls:
            return Marks(pieces, np.zeros(0, dtype=HEADER), np.zeros(0, dtype=np.int64), self._flooded)
        headers, places = zip(*self._controls, strict=True)
        return Marks(pieces, np.concatenate(headers), np.concatenate(places), self._flooded)

    def _sort_out(self) -> None:
        """Headers are looked at when some thousands of them have come together: so many cost little more than one."""
        if not self._waiting:
            return
        headers = np.concatenate(self._headers).reshape(-1).view(HEADER)
        places = np.concatenate(self._places)
        self._headers, self._places, self._waiting = [], [], 0
        data = headers["kind"] == Kind.DATA
        if not data.all():
            self._add_controls(headers[~data], places[~data])
            headers, places = headers[data], places[data]
        if len(headers):
            self._add_data(headers, places)

    def _add_controls(self, headers: Headers, places: Pairs) -> None:
        good = is_proven(headers)
        if self._control_count + int(good.sum()) > MOST_CONTROLS:
            self._flooded = True
            return
        self._controls.append((headers[good], places[good]))
        self._control_count += int(good.sum())

    def _add_data(self, headers: Headers, places: Pairs) -> None:
        starts, ends = _runs_of(headers, places)
        edges = np.union1d(starts, ends)
        if not is_proven(headers[edges]).all():
            good = is_proven(headers)
            headers, places = headers[good], places[good]
            if not len(headers):
                return
            starts, ends = _runs_of(headers, places)
        made = np.zeros(len(starts), dtype=PIECE)
        first = headers[starts]
        for name in (*ALIKE, "sequence"):
            made[name] = first[name]
        made["place"] = places[starts]
        made["base"] = made["place"] - first["offset"].astype(np.int64)
        made["count"] = ends - starts + 1
        self._pieces.append(made)
        self._pending += len(made)
        if self._pending >= _COMPACT_AT:
            self._compact()

    def _compact(self) -> None:
        if not self._pieces:
            return
        pieces = merged(np.concatenate(self._pieces))
        if len(pieces) > MOST_PIECES:
            self._flooded = True
            pieces = pieces[:MOST_PIECES]
        self._pieces = [pieces]
        self._pending = 0


def scan(volume: Volume, extents: Extents | None = None) -> Marks:
    """The blocks on all of ``volume``, or in ``extents`` of it."""
    collector = Collector()
    for start, end in extents or Extents.span(0, volume.size):
        for low, view in scan_windows(volume, start=start, end=end):
            collector.add(low, view)
    return collector.finish()


def _runs_of(headers: Headers, places: Pairs) -> tuple[Pairs, Pairs]:
    """Indices of the first and the last header of each run of blocks that continue each other."""
    words = headers.view("<u8").reshape(-1, HEADER_SIZE // 8)
    block = headers["block"].astype(np.int64)
    same = (np.diff(words[:, 6]) == 1) & (np.diff(places) == block[1:]) & (np.diff(block) == 0)
    same &= np.diff(words[:, 7]) == headers["block"][1:]
    for column in (2, 3, 4, 5, 8):
        same &= words[1:, column] == words[:-1, column]
    for name in ("cluster", "serial"):
        same &= headers[name][1:] == headers[name][:-1]
    cuts = np.flatnonzero(~same)
    return np.concatenate([[0], cuts + 1]), np.concatenate([cuts, [len(headers) - 1]])
