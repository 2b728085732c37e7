"""The header of a frame: what the bytes that follow are, to which image they belong, and their checksums."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from inpart.checksums import BLAKE3_SIZE
from inpart.image.structs import FRAME_SIZE, MAX_META_LENGTH, check_geometry, check_seal, damaged, seal

FRAME_MAGIC = b"\x8eIPFRAME"
MAX_SKIP = 1 << 16
NO_DIGEST = bytes(BLAKE3_SIZE)

_FRAME = struct.Struct("<8sBBHI16sIIIIIQI32sII")


class FrameKind(IntEnum):
    """DATA: one chunk. SKIP: chunks that need no body. META: what describes the partition."""

    DATA = 1
    SKIP = 2
    META = 3


LAST = 1
"""Frame flag: no frame follows."""


@dataclass(frozen=True)
class Frame:
    """The 128 bytes before the coded runs and the body of a frame. Lengths in bytes."""

    kind: FrameKind
    image_id: bytes
    sequence: int
    partition_size: int
    chunk_size: int
    chunk: int = 0
    count: int = 0
    flags: int = 0
    encoding: int = 0
    runs_length: int = 0
    plain_length: int = 0
    body_length: int = 0
    digest: bytes = NO_DIGEST
    runs_crc: int = 0
    body_crc: int = 0

    @property
    def size(self) -> int:
        """Header, runs and body together."""
        return FRAME_SIZE + self.runs_length + self.body_length

    def pack(self) -> bytes:
        return seal(
            _FRAME.pack(
                FRAME_MAGIC,
                self.kind,
                self.flags,
                self.encoding,
                self.sequence,
                self.image_id,
                self.chunk,
                self.count,
                self.runs_length,
                self.plain_length,
                self.body_length,
                self.partition_size,
                self.chunk_size,
                self.digest,
                self.runs_crc,
                self.body_crc,
            ),
            FRAME_SIZE,
        )

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """Raises IntegrityError for a header whose checksum or bounds are wrong."""
        check_seal(data, FRAME_SIZE, FRAME_MAGIC, "frame header")
        (
            _, kind, flags, encoding, sequence, image_id, chunk, count, runs_length, plain_length, body_length,
            partition_size, chunk_size, digest, runs_crc, body_crc,
        ) = _FRAME.unpack_from(data)  # fmt: skip
        check_geometry(partition_size, chunk_size, "frame header")
        if kind not in FrameKind.__members__.values():
            raise damaged("frame header", f"has the unknown kind {kind}")
        frame = cls(
            FrameKind(kind), image_id, sequence, partition_size, chunk_size, chunk, count, flags, encoding,
            runs_length, plain_length, body_length, digest, runs_crc, body_crc,
        )  # fmt: skip
        frame._check_lengths()
        return frame

    def _check_lengths(self) -> None:
        span = -(-self.partition_size // self.chunk_size)
        if self.kind is FrameKind.META:
            fits = max(self.plain_length, self.body_length) <= MAX_META_LENGTH and not self.runs_length
        elif self.kind is FrameKind.SKIP:
            fits = self.body_length == self.count <= MAX_SKIP and self.runs_length <= max_skip_runs(self.chunk_size)
        else:
            fits = self.body_length <= self.plain_length <= self.chunk_size and self.count == 1
            fits = fits and self.runs_length <= max_chunk_runs(self.chunk_size)
        if not fits or self.chunk + self.count > span:
            raise damaged("frame header", "has impossible lengths")


def max_chunk_runs(chunk_size: int) -> int:
    """The longest coded runs of one chunk: a pair of numbers for each used byte between unused ones, and slack."""
    return chunk_size + 32


def max_skip_runs(chunk_size: int) -> int:
    """The longest coded runs of a SKIP frame."""
    return max(max_chunk_runs(chunk_size), 20 * MAX_SKIP)
