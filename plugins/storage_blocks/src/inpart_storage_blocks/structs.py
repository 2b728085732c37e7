"""The header of a block: its fields, its limits, its checksums; many at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
from inpart.checksums import crc32c
from inpart.errors import IntegrityError, VolumeError
from inpart.extents import Pairs
from inpart.volume import Buffer
from numpy.typing import NDArray

MAGIC = bytes.fromhex("9e6970420d0a626b")
MAGIC_WORD = np.uint64(int.from_bytes(MAGIC, "little"))
MAJOR, MINOR = 1, 0
HEADER_SIZE = 96
CHECKED = 92
SMALLEST_BLOCK = 512
LARGEST_CLUSTER = 1 << 30
BLOCK_SIZES = tuple(SMALLEST_BLOCK << shift for shift in range(8))
MAX_OFFSET = 1 << 60
MAX_SEQUENCE = 1 << 48
COPY_SHIFT = 32

HEADER = np.dtype(
    [
        ("magic", "<u8"), ("major", "<u2"), ("minor", "<u2"), ("kind", "<u2"), ("flags", "<u2"),
        ("image", "<u8", (2,)), ("store", "<u8", (2,)), ("sequence", "<u8"), ("offset", "<u8"),
        ("partition", "<u8"), ("block", "<u4"), ("length", "<u4"), ("payload_crc", "<u4"), ("cluster", "<u4"),
        ("serial", "<u4"), ("header_crc", "<u4"),
    ]
)  # fmt: skip

Headers = NDArray[Any]
"""An array of ``HEADER``, shape (n,)."""


class DamagedBlock(IntegrityError, VolumeError):
    """A block of an image is missing, overwritten or damaged: a part of the image stream cannot be read."""


class Kind(IntEnum):
    """What a block holds. REMOVED stands where the seal of an image was that somebody deleted."""

    DATA = 1
    DESCRIPTION = 2
    SEAL = 3
    REMOVED = 4


class Flag(IntFlag):
    """Place of a block among those of its kind."""

    NONE = 0
    FIRST = 1
    LAST = 2


@dataclass(frozen=True)
class Origin:
    """What all blocks of an image say alike; sizes in bytes. ``serial`` is higher than that of every image before."""

    image_id: bytes
    store_id: bytes
    partition_size: int
    block_size: int
    cluster_size: int
    serial: int

    @property
    def payload(self) -> int:
        """Bytes of content in a full block."""
        return self.block_size - HEADER_SIZE

    def headers(self, kind: Kind, sequences: Pairs, offsets: Pairs) -> Headers:
        """Headers of full blocks; payload checksum, flags and the header's own checksum are still zero."""
        made = np.zeros(len(sequences), dtype=HEADER)
        made["magic"], made["major"], made["minor"], made["kind"] = MAGIC_WORD, MAJOR, MINOR, int(kind)
        made["image"] = id_words(self.image_id)
        made["store"] = id_words(self.store_id)
        made["sequence"], made["offset"] = sequences, offsets
        made["partition"], made["block"], made["length"] = self.partition_size, self.block_size, self.payload
        made["cluster"], made["serial"] = self.cluster_size, self.serial
        return made

    def pack(self, kind: Kind, sequence: int, offset: int, payload: Buffer, flags: Flag) -> bytes:
        """One whole block."""
        headers = self.headers(kind, np.array([sequence]), np.array([offset]))
        headers["length"], headers["payload_crc"], headers["flags"] = len(payload), crc32c(payload), int(flags)
        seal_headers(headers)
        return (headers.tobytes() + bytes(payload)).ljust(self.block_size, b"\0")


def id_words(identity: bytes) -> NDArray[np.uint64]:
    """An id of 16 bytes as two numbers."""
    return np.frombuffer(identity, dtype="<u8")


def header_sums(headers: Headers) -> NDArray[np.uint32]:
    """The CRC-32C that each header should have."""
    raw = np.ascontiguousarray(headers).data.cast("B")
    ends = range(CHECKED, len(raw), HEADER_SIZE)
    return np.array([crc32c(raw[end - CHECKED : end]) for end in ends], dtype=np.uint32)


def seal_headers(headers: Headers) -> None:
    """Fill in the headers' own checksums."""
    headers["header_crc"] = header_sums(headers)


def plausible(headers: Headers) -> NDArray[np.bool_]:
    """True where all fields of a header are possible; its checksum is not looked at."""
    block, kind, cluster = headers["block"], headers["kind"], headers["cluster"]
    return np.asarray(
        (headers["major"] == MAJOR)
        & (kind >= Kind.DATA) & (kind <= Kind.REMOVED)
        & np.isin(block, BLOCK_SIZES)
        & (cluster >= block) & (cluster <= LARGEST_CLUSTER) & (cluster & (cluster - 1) == 0)
        & (headers["length"] > 0) & (headers["length"] <= block - HEADER_SIZE)
        & (headers["sequence"] < MAX_SEQUENCE)
        & (headers["partition"] < MAX_OFFSET)
        & (headers["offset"] % SMALLEST_BLOCK == 0)
        & (headers["offset"] < headers["partition"])
    )  # fmt: skip


def is_proven(headers: Headers) -> NDArray[np.bool_]:
    """True for headers whose fields are possible and whose checksum is right."""
    good: NDArray[np.bool_] = (headers["magic"] == MAGIC_WORD) & plausible(headers)
    good[good] = header_sums(headers[good]) == headers["header_crc"][good]
    return good


def unpack(data: Buffer) -> Headers:
    """The header of one block with its payload proven. Raises DamagedBlock."""
    headers = np.frombuffer(data, dtype=HEADER, count=1)
    if not is_proven(headers)[0]:
        raise DamagedBlock("a block has no valid header")
    length = int(headers["length"][0])
    payload = memoryview(data)[HEADER_SIZE : HEADER_SIZE + length]
    if len(payload) != length or crc32c(payload) != headers["payload_crc"][0]:
        raise DamagedBlock("a block has a wrong checksum")
    return headers
