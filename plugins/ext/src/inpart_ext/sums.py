"""The checksums of ext4: crc32c with a running value and no final inversion, and the crc16 of group descriptors."""

from __future__ import annotations

import numpy as np
from inpart.checksums import crc32c
from numpy.typing import NDArray

ALL_ONES = 0xFFFFFFFF


def crc(seed: int, data: bytes | bytearray | memoryview) -> int:
    """crc32c of ``data`` continuing from ``seed``, not inverted, as the kernel's ext4_chksum."""
    return crc32c(data, seed ^ ALL_ONES) ^ ALL_ONES


def crc_rows(seed: int | NDArray[np.uint32], rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """``crc`` of each row of a two-dimensional array, with one seed for all or one for each row."""
    rows = np.ascontiguousarray(rows)
    width, view = rows.shape[1], rows.data.cast("B") if rows.size else memoryview(b"")
    starts = range(0, len(rows) * width, width or 1)
    if isinstance(seed, int):
        start = seed ^ ALL_ONES
        sums = [crc32c(view[at : at + width], start) for at in starts]
    else:
        begun = (seed.astype(np.uint32) ^ np.uint32(ALL_ONES)).tolist()
        sums = [crc32c(view[at : at + width], start) for at, start in zip(starts, begun, strict=True)]
    return np.array(sums, dtype=np.uint32) ^ np.uint32(ALL_ONES)


def _crc16_table() -> NDArray[np.uint16]:
    values = np.arange(256, dtype=np.uint16)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint16(0xA001), values >> 1).astype(np.uint16)
    return values


_CRC16 = _crc16_table()


def crc16_rows(seed: int, rows: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """CRC-16 (polynomial 0xA001, reflected) of each row, column by column for all rows at once."""
    value = np.full(len(rows), seed, dtype=np.uint16)
    for column in range(rows.shape[1]):
        value = (value >> 8) ^ _CRC16[(value ^ rows[:, column]) & 0xFF]
    return value


def little_endian_rows(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Each number as a row of the four bytes that it has on disk."""
    return np.ascontiguousarray(numbers.astype("<u4")).view(np.uint8).reshape(-1, 4)
