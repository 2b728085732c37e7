"""The fixed structures of an image stream: header, frame header, index header, footer, chunk table.

Everything is little-endian. Each structure has a magic number, is padded with zeros to a fixed size and ends with the
CRC-32C of the bytes before. docs/FORMAT.md, chapter Image stream, is the specification.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np

from inpart.checksums import BLAKE3_SIZE, crc32c
from inpart.errors import FilesystemUnsupported, IntegrityError
from inpart.units import KIB, MIB, is_power_of_two

MAJOR = 1
MINOR = 0

HEADER_MAGIC = b"\x8eIPIMAGE"
INDEX_MAGIC = b"\x8eIPINDEX"
FOOTER_MAGIC = b"\x8eIPFINAL"

HEADER_SIZE = 4 * KIB
FRAME_SIZE = 128
INDEX_SIZE = 128
FOOTER_SIZE = 128

MIN_CHUNK_SIZE = 4 * KIB
MAX_CHUNK_SIZE = 16 * MIB
MAX_CHUNKS = 1 << 22
MAX_RUNS = 1 << 24
MAX_RUNS_LENGTH = 128 * MIB
MAX_META_LENGTH = 64 * MIB
MAX_MANIFEST_LENGTH = 4 * MIB
MAX_PARTITION = 1 << 62

NO_ID = bytes(16)

_HEADER = struct.Struct("<8sHHI16s16sQI")
_INDEX = struct.Struct("<8sI16s16sQIIQI")
_FOOTER = struct.Struct("<8sHHI16sQQQ32s")
_CRC = struct.Struct("<I")

TABLE_DTYPE = np.dtype(
    [
        ("chunk", "<u4"),
        ("state", "u1"),
        ("reserved", "u1"),
        ("encoding", "<u2"),
        ("frame_offset", "<u8"),
        ("runs_length", "<u4"),
        ("plain_length", "<u4"),
        ("body_length", "<u4"),
        ("body_crc", "<u4"),
        ("digest", "u1", (BLAKE3_SIZE,)),
    ]
)


class ChunkState(IntEnum):
    """What the stream holds of a chunk; UNUSED is never in the table."""

    UNUSED = 0
    STORED = 1
    ZERO = 2
    PARENT = 3


@dataclass(frozen=True)
class Header:
    """The first 4096 bytes of a stream."""

    image_id: bytes
    parent_id: bytes
    partition_size: int
    chunk_size: int
    major: int = MAJOR
    minor: int = MINOR

    def pack(self) -> bytes:
        return seal(
            _HEADER.pack(
                HEADER_MAGIC,
                self.major,
                self.minor,
                HEADER_SIZE,
                self.image_id,
                self.parent_id,
                self.partition_size,
                self.chunk_size,
            ),
            HEADER_SIZE,
        )

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """Raises IntegrityError, FilesystemUnsupported."""
        check_seal(data, HEADER_SIZE, HEADER_MAGIC, "header")
        _, major, minor, size, image_id, parent_id, partition_size, chunk_size = _HEADER.unpack_from(data)
        check_version(major, minor)
        if size != HEADER_SIZE:
            raise damaged("header", f"states a size of {size}")
        check_geometry(partition_size, chunk_size, "header")
        return cls(image_id, parent_id, partition_size, chunk_size, major, minor)


@dataclass(frozen=True)
class IndexHeader:
    """The first 128 bytes of the index: what the stream is, and how long the sections that follow are."""

    image_id: bytes
    parent_id: bytes
    partition_size: int
    chunk_size: int
    manifest_length: int
    meta_length: int
    runs_length: int
    chunks: int

    @property
    def size(self) -> int:
        """The whole index in bytes."""
        return (
            INDEX_SIZE + self.manifest_length + self.meta_length + self.runs_length + self.chunks * TABLE_DTYPE.itemsize
        )

    def pack(self) -> bytes:
        return seal(
            _INDEX.pack(
                INDEX_MAGIC,
                self.chunk_size,
                self.image_id,
                self.parent_id,
                self.partition_size,
                self.manifest_length,
                self.meta_length,
                self.runs_length,
                self.chunks,
            ),
            INDEX_SIZE,
        )

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """Raises IntegrityError."""
        check_seal(data, INDEX_SIZE, INDEX_MAGIC, "index header")
        _, chunk_size, image_id, parent_id, partition_size, *lengths = _INDEX.unpack_from(data)
        manifest_length, meta_length, runs_length, chunks = lengths
        check_geometry(partition_size, chunk_size, "index header")
        if (
            manifest_length > MAX_MANIFEST_LENGTH
            or meta_length > MAX_META_LENGTH + FRAME_SIZE
            or runs_length > MAX_RUNS_LENGTH
            or chunks > min(MAX_CHUNKS, -(-partition_size // chunk_size))
        ):
            raise damaged("index header", "has impossible lengths")
        return cls(image_id, parent_id, partition_size, chunk_size, *lengths)


@dataclass(frozen=True)
class Footer:
    """The last 128 bytes of a stream; ``digest`` is the BLAKE3 of the whole index."""

    image_id: bytes
    index_offset: int
    index_length: int
    stream_size: int
    digest: bytes
    major: int = MAJOR
    minor: int = MINOR

    def pack(self) -> bytes:
        return seal(
            _FOOTER.pack(
                FOOTER_MAGIC,
                self.major,
                self.minor,
                FOOTER_SIZE,
                self.image_id,
                self.index_offset,
                self.index_length,
                self.stream_size,
                self.digest,
            ),
            FOOTER_SIZE,
        )

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """Raises IntegrityError, FilesystemUnsupported."""
        check_seal(data, FOOTER_SIZE, FOOTER_MAGIC, "footer")
        _, major, minor, size, image_id, offset, length, stream_size, digest = _FOOTER.unpack_from(data)
        check_version(major, minor)
        if size != FOOTER_SIZE or offset < HEADER_SIZE or offset + length + FOOTER_SIZE != stream_size:
            raise damaged("footer", "has impossible lengths")
        return cls(image_id, offset, length, stream_size, digest, major, minor)


def check_geometry(partition_size: int, chunk_size: int, where: str) -> None:
    """Raise IntegrityError unless a partition of that size can be cut into chunks of that size."""
    if not 0 < partition_size <= MAX_PARTITION:
        raise damaged(where, f"states a partition of {partition_size} bytes")
    if not (is_power_of_two(chunk_size) and MIN_CHUNK_SIZE <= chunk_size <= MAX_CHUNK_SIZE):
        raise damaged(where, f"states chunks of {chunk_size} bytes")
    if -(-partition_size // chunk_size) > 0xFFFFFFFF:
        raise damaged(where, "states more chunks than can be numbered")


def check_version(major: int, minor: int) -> None:
    """Raise FilesystemUnsupported for a format that a reader of this version must not interpret."""
    if major != MAJOR:
        raise FilesystemUnsupported(
            f"the image stream has format {major}.{minor}; this version of inpart reads {MAJOR}.x",
            hint="use the version of inpart that made the image, or a newer one",
        )


def damaged(where: str, what: str) -> IntegrityError:
    """The error for a structure that cannot be trusted."""
    return IntegrityError(
        f"the {where} of the image stream {what}", hint="inpart verify says what of the image can still be used"
    )


def seal(fields: bytes, size: int) -> bytes:
    """``fields`` padded with zeros to ``size`` bytes, the last four being the CRC-32C of the others."""
    body = fields.ljust(size - _CRC.size, b"\0")
    return body + _CRC.pack(crc32c(body))


def check_seal(data: bytes | memoryview, size: int, magic: bytes, where: str) -> None:
    """Raise IntegrityError unless ``data`` starts with ``size`` sealed bytes with that magic number."""
    if len(data) < size:
        raise damaged(where, "is cut short")
    if bytes(data[: len(magic)]) != magic:
        raise damaged(where, "does not start with its magic number")
    if _CRC.unpack_from(data, size - _CRC.size)[0] != crc32c(bytes(data[: size - _CRC.size])):
        raise damaged(where, "has a wrong checksum")
