"""Pass 2, checksums: those at the end of directory leaf blocks and of htree nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from numpy.typing import NDArray

from inpart_ext.check.report import error
from inpart_ext.structs import (
    DIR_ENTRY_TAIL,
    DIR_TAIL_SIZE,
    DX_NODE_ENTRIES,
    DX_ROOT_ENTRIES,
    FT_DIR_CSUM,
    INDEX_FL,
)
from inpart_ext.sums import crc_rows

if TYPE_CHECKING:
    from inpart_ext.check.census import Census

_LARGEST_BLOCK = 1 << 16

Numbers = NDArray[np.int64]
Rows = NDArray[np.uint8]


def check_checksums(census: Census, folder: Numbers, logical: Numbers, block: Numbers, rows: Rows) -> Iterator[Finding]:
    """Checksums of directory blocks; nothing without metadata_csum."""
    if not census.superblock.metadata_csum:
        return
    indexed = census.flags[census.index(folder)] & INDEX_FL > 0
    node = indexed & ((logical == 0) | is_node(rows))
    seeds = census.seeds(folder)
    good = np.ones(len(rows), dtype=bool)
    good[~node] = _leaves_ok(seeds[~node], rows[~node])
    for index in np.flatnonzero(node).tolist():
        start = DX_NODE_ENTRIES if logical[index] else DX_ROOT_ENTRIES
        good[index] = node_checksum_ok(int(seeds[index]), rows[index : index + 1], start)
    for index in np.flatnonzero(~good)[:ENOUGH].tolist():
        where = f"inode {int(folder[index])}, block {int(block[index])}"
        yield error("dir-checksum", where, "a block of the directory has a wrong checksum or none")


def is_node(rows: Rows) -> NDArray[np.bool_]:
    """Which blocks start with an unused record that fills them, as interior nodes of htrees do."""
    size = rows.shape[1]
    head = np.ascontiguousarray(rows[:, :8]).view("<u2")
    fills = head[:, 2] == size if size < _LARGEST_BLOCK else np.isin(head[:, 2], [0, 0xFFFF])
    return np.asarray((head[:, 0] == 0) & (head[:, 1] == 0) & fills & (rows[:, 6] == 0))


def _leaves_ok(seeds: NDArray[np.uint32], rows: Rows) -> NDArray[np.bool_]:
    tail = np.ascontiguousarray(rows[:, -DIR_TAIL_SIZE:]).view(DIR_ENTRY_TAIL).reshape(-1)
    good = (tail["det_reserved_zero1"] == 0) & (tail["det_rec_len"] == DIR_TAIL_SIZE)
    good &= (tail["det_reserved_zero2"] == 0) & (tail["det_reserved_ft"] == FT_DIR_CSUM)
    return np.asarray(good & (crc_rows(seeds, rows[:, :-DIR_TAIL_SIZE]) == tail["det_checksum"]))


def node_checksum_ok(seed: int, row: Rows, start: int) -> bool:
    """True if an htree node whose entries start at byte ``start`` has the right checksum behind them."""
    limit, count = (int(number) for number in np.ascontiguousarray(row[:, start : start + 4]).view("<u2")[0])
    tail = start + limit * 8
    if count > limit or tail + 8 > row.shape[1]:
        return False
    covered = np.hstack([row[:, : start + count * 8], row[:, tail : tail + 4], np.zeros((1, 4), dtype=np.uint8)])
    stored = int(np.ascontiguousarray(row[:, tail + 4 : tail + 8]).view("<u4")[0, 0])
    return int(crc_rows(seed, covered)[0]) == stored
