"""Update sequences: what lets a block of several sectors be seen as torn, undone and put in place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inpart_ntfs.structs import BLOCK

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def apply_fixups(raw: Bytes) -> Mask:
    """Put the bytes that the update sequences replaced back into blocks, in place; shape (n, block size).

    Returns which blocks are whole: false for torn ones and those without update sequence, which are left as they are.
    """
    count, size = raw.shape
    strides = size // BLOCK
    words = raw.view("<u2")
    usa, stated = words[:, 2].astype(np.int64), words[:, 3]
    sane = (stated == strides + 1) & (usa % 2 == 0) & (usa >= 8) & (usa + 2 * (strides + 1) <= BLOCK - 2)
    usa = np.where(sane, usa // 2, 0)
    if count and (usa == usa[0]).all():
        array = words[:, int(usa[0]) : int(usa[0]) + strides + 1].copy()
    else:
        array = np.take_along_axis(words, usa[:, np.newaxis] + np.arange(strides + 1), axis=1)
    tails = slice(BLOCK // 2 - 1, None, BLOCK // 2)
    whole = sane & (words[:, tails] == array[:, :1]).all(axis=1)
    words[:, tails] = np.where(whole[:, np.newaxis], array[:, 1:], words[:, tails])
    return np.asarray(whole)


def open_block(raw: bytes) -> bytes | None:
    """One block with its update sequence undone; None if it is torn or has none."""
    strides = len(raw) // BLOCK
    usa, stated = int.from_bytes(raw[4:6], "little"), int.from_bytes(raw[6:8], "little")
    if stated != strides + 1 or usa % 2 or not 8 <= usa <= BLOCK - 4 - 2 * strides:
        return None
    block, number = bytearray(raw), raw[usa : usa + 2]
    for stride in range(1, strides + 1):
        tail = stride * BLOCK - 2
        if raw[tail : tail + 2] != number:
            return None
        block[tail : tail + 2] = raw[usa + 2 * stride : usa + 2 * stride + 2]
    return bytes(block)


def seal_fixups(block: bytearray, *, bump: bool) -> None:
    """Protect one block as it goes to disk; ``bump`` gives it a new update sequence number, never 0 or 0xFFFF."""
    usa = int.from_bytes(block[4:6], "little")
    number = int.from_bytes(block[usa : usa + 2], "little")
    if bump:
        number = number % 0xFFFE + 1
    sealed = number.to_bytes(2, "little")
    block[usa : usa + 2] = sealed
    for stride in range(len(block) // BLOCK):
        tail = (stride + 1) * BLOCK - 2
        place = usa + 2 * (stride + 1)
        block[place : place + 2] = block[tail : tail + 2]
        block[tail : tail + 2] = sealed
