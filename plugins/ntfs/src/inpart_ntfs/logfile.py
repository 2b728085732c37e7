"""$LogFile: whether everything in it has reached its place."""

from __future__ import annotations

from enum import Enum

import numpy as np
from inpart.units import KIB, is_power_of_two
from inpart.volume import Volume

from inpart_ntfs.fixups import apply_fixups
from inpart_ntfs.structs import (
    BLOCK,
    MAGIC_CHKD,
    MAGIC_RSTR,
    NO_CLIENT,
    RESTART_AREA,
    RESTART_PAGE,
    RESTART_VOLUME_IS_CLEAN,
)

PAGE_SIZES = (512, 64 * KIB)
"""The smallest and the largest page."""
MAJOR_FAST = 2
"""Since Windows 8 the log has version 2.0 while a volume is in use, and 1.1 only after it was unmounted for good."""


class Log(Enum):
    """What $LogFile says."""

    CLEAN = "clean"
    CACHED = "cached"
    UNCLEAN = "unclean"
    DAMAGED = "damaged"


def log_state(log: Volume) -> Log:
    """Read both restart pages and believe the newer one. A log that is filled with ones is empty, and so clean."""
    if log.size < 2 * PAGE_SIZES[0]:
        return Log.DAMAGED
    head = log.read(0, min(log.size, 2 * 4 * KIB))
    if head == b"\xff" * len(head):
        return Log.CLEAN
    first = _restart_page(log, 0)
    size = int(first[0]["system_page_size"]) if first else 4 * KIB
    pages = [page for page in (first, _restart_page(log, size)) if page]
    if not pages:
        return Log.DAMAGED
    page, area = max(pages, key=lambda pair: int(pair[1]["current_lsn"]) if pair[1] is not None else 0)
    if area is None:
        return Log.CLEAN  # written by chkdsk, which leaves nothing to be done
    clean = int(area["flags"]) & RESTART_VOLUME_IS_CLEAN or int(area["client_in_use_list"]) == NO_CLIENT
    if not clean:
        return Log.UNCLEAN
    return Log.CACHED if int(page["major_ver"]) >= MAJOR_FAST else Log.CLEAN


def _restart_page(log: Volume, offset: int) -> tuple[np.void, np.void | None] | None:
    """A restart page and the restart area in it; None if there is none that is whole."""
    if offset + PAGE_SIZES[0] > log.size:
        return None
    page = np.frombuffer(log.read(offset, PAGE_SIZES[0]), dtype=RESTART_PAGE, count=1)[0]
    size = int(page["system_page_size"])
    possible = PAGE_SIZES[0] <= size <= PAGE_SIZES[1] and is_power_of_two(size) and offset + size <= log.size
    if int(page["magic"]) not in (MAGIC_RSTR, MAGIC_CHKD) or not possible:
        return None
    raw = np.frombuffer(bytearray(log.read(offset, size)), dtype=np.uint8).reshape(1, -1)
    if not apply_fixups(raw).all():
        return None
    if int(page["magic"]) == MAGIC_CHKD:
        return page, None
    start = int(page["restart_area_offset"])
    if start % 8 or not RESTART_PAGE.itemsize <= start <= BLOCK - RESTART_AREA.itemsize:
        return None
    return page, np.frombuffer(raw.tobytes(), dtype=RESTART_AREA, count=1, offset=start)[0]
