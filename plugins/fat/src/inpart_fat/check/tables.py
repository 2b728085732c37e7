"""Checks of the allocation tables themselves: copies that differ, reserved entries, entries that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding

from inpart_fat.check.report import error, warning
from inpart_fat.geometry import FIRST_CLUSTER
from inpart_fat.table import read_windows

if TYPE_CHECKING:
    from inpart_fat.filesystem import FatFilesystem


def check_tables(filesystem: FatFilesystem) -> Iterator[Finding]:
    """Entry 0 of each copy that counts, and differences between the copies, window by window."""
    geometry, volume = filesystem.geometry, filesystem.volume
    copies = range(len(geometry.fat_starts)) if geometry.mirrored else [geometry.active_fat]
    for copy in copies:
        first = int(next(read_windows(volume, geometry, copy))[1][0]) & geometry.mask
        expected = geometry.mask & ~0xFF | geometry.media
        if first | 0x0F != expected | 0x0F:
            yield error("media", f"fat-{copy}", f"entry 0 is {first:#x} instead of {expected:#x}: it is no table")
        elif first != expected:
            yield warning("media", f"fat-{copy}", f"entry 0 is {first:#x}, the media byte asks for {expected:#x}")
    for copy in copies:
        if copy != geometry.active_fat:
            yield from _compare(filesystem, copy)


def _compare(filesystem: FatFilesystem, copy: int) -> Iterator[Finding]:
    geometry, volume = filesystem.geometry, filesystem.volume
    differing, example = 0, -1
    pairs = zip(read_windows(volume, geometry), read_windows(volume, geometry, copy), strict=True)
    for (first, ours), (_, theirs) in pairs:
        found = np.flatnonzero(ours != theirs)
        if len(found) and example < 0:
            example = first + int(found[0])
        differing += len(found)
    if differing:
        yield error(
            "tables-differ",
            f"fat-{copy}",
            f"{differing} entries differ from fat-{geometry.active_fat}, the first one for cluster {example}",
        )


def check_entries(filesystem: FatFilesystem) -> Iterator[Finding]:
    """Entries that are no cluster number, no mark, and not free."""
    geometry = filesystem.geometry
    count, example = 0, -1
    for first, raw in read_windows(filesystem.volume, geometry):
        entries = raw & np.uint32(geometry.mask)
        wrong = (entries == 1) | ((entries >= geometry.entry_count) & (entries < geometry.bad))
        if first == 0:
            wrong[:FIRST_CLUSTER] = False
        found = np.flatnonzero(wrong)
        if len(found) and example < 0:
            example = first + int(found[0])
        count += len(found)
    if count:
        where = f"cluster {example}"
        yield error("entry-range", where, f"{count} table entries lead to clusters that do not exist, this one first")
