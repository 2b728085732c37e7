"""The journal area: clusters of a store in which a journal and the restore record have fixed, separate places."""

from __future__ import annotations

from inpart.errors import NoSpace
from inpart.extents import Runs
from inpart.volume import RunsVolume, Volume

UNIT = 4096
"""Bytes of each record; no two records share a physical sector."""

SLOT_A, SLOT_B, HEADER, COMMIT, PAYLOAD = (number * UNIT for number in range(5))
"""Where in the area the two restore records, the journal's header, its commit record and its payload begin."""

MAX_RUNS = 240
"""Runs of an area that a header has room for."""

SMALLEST_AREA = PAYLOAD + UNIT
"""The least size in bytes of a journal area."""


def open_area(volume: Volume, runs: Runs) -> RunsVolume:
    """The area as a volume of its own. Raises NoSpace if it is too small or in too many pieces."""
    if runs.total < SMALLEST_AREA:
        raise NoSpace(f"a journal area needs {SMALLEST_AREA} bytes, this one has {runs.total}")
    if len(runs) > MAX_RUNS:
        raise NoSpace(f"a journal area may have {MAX_RUNS} pieces, this one has {len(runs)}")
    return RunsVolume(volume, runs, name="journal area")


def place_of(runs: Runs, offset: int) -> int:
    """Where in the partition the byte ``offset`` of the area lies. Raises NoSpace if the area is too small."""
    part = runs.slice(offset, 1)
    if not part:
        raise NoSpace(f"a journal area needs {SMALLEST_AREA} bytes, this one has {runs.total}")
    return int(part.array[0, 0])
