"""On-disk structures of the null layout: a block of clusters with one image, and the two pages that describe it.

A block, from its start upward: the image stream, a gap, room for a journal, the description (the image's summary as
JSON packed by zlib), the seal. The seal is written when the image is published; it is what makes it an image.
Both pages open with magic, ids, place and checksum, so a scan finds them without any file system. Little-endian.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from inpart.checksums import crc32c
from inpart.contracts import Claim, ImageSummary
from inpart.errors import IntegrityError, NoSpace
from inpart.extents import Extents, Runs
from inpart.units import KIB, MIB

SEAL_MAGIC = b"INPART-NULL-SEAL"
DESCRIPTION_MAGIC = b"INPART-NULL-DESC"
SUFFIX = ".nul"
SEAL_SIZE = 4 * KIB
DESCRIPTION_SIZE = 64 * KIB
JOURNAL_SIZE = 64 * KIB
OVERHEAD = JOURNAL_SIZE + DESCRIPTION_SIZE + SEAL_SIZE

_HEAD = struct.Struct("<16s16s16sQQQQQI")
_CRC_SIZE = 4
_JSON_LIMIT = 16 * MIB


@dataclass(frozen=True)
class Block:
    """The head of description and seal: a block of clusters ``[start, end)`` of the partition with one image.

    The files that keep the block have ``file_size`` bytes, the last one what is left.
    """

    store_id: bytes
    image_id: bytes
    start: int
    end: int
    partition_size: int
    stream_size: int
    file_size: int

    @property
    def description(self) -> int:
        """Where the description lies in the partition."""
        return self.end - SEAL_SIZE - DESCRIPTION_SIZE

    @property
    def journal(self) -> Runs:
        """Room for a journal, right before the description."""
        return Runs([(self.description - JOURNAL_SIZE, JOURNAL_SIZE)])

    def extents(self) -> Extents:
        """The whole block."""
        return Extents.span(self.start, self.end)

    def claims(self) -> tuple[Claim, ...]:
        """The files that keep the block, from its start upward."""
        stem, pieces = self.image_id.hex()[:8], range(self.start, self.end, self.file_size)
        names = [f"{stem}{SUFFIX}", *(f"{stem}.{number:03}" for number in range(1, len(pieces)))]
        lengths = [min(self.file_size, self.end - start) for start in pieces]
        return tuple(
            Claim(name, Runs([(start, length)]), length)
            for name, start, length in zip(names, pieces, lengths, strict=True)
        )

    def pack(self, magic: bytes, body: bytes = b"") -> bytes:
        """The head, its checksum, the body. Raises NoSpace if that is more than the pages set aside."""
        limit = SEAL_SIZE if magic == SEAL_MAGIC else DESCRIPTION_SIZE
        values = (
            self.store_id,
            self.image_id,
            self.start,
            self.end,
            self.partition_size,
            self.stream_size,
            self.file_size,
        )
        head = _HEAD.pack(magic, *values, len(body))
        if _HEAD.size + _CRC_SIZE + len(body) > limit:
            raise NoSpace(f"the description of the image needs {len(body)} bytes and has room for {limit}")
        return (head + crc32c(head + body).to_bytes(_CRC_SIZE, "little") + body).ljust(limit, b"\0")

    @classmethod
    def unpack(cls, data: bytes) -> tuple[Block, bytes]:
        """The head and the body. Raises IntegrityError."""
        magic, store_id, image_id, start, end, size, stream, file_size, length = _HEAD.unpack_from(data)
        body = data[_HEAD.size + _CRC_SIZE :][:length]
        recorded = int.from_bytes(data[_HEAD.size : _HEAD.size + _CRC_SIZE], "little")
        if magic not in {SEAL_MAGIC, DESCRIPTION_MAGIC} or recorded != crc32c(data[: _HEAD.size] + body):
            raise IntegrityError("the checksum of a page of the null layout is wrong")
        if not start + stream <= end - OVERHEAD or end > size or file_size < 512:
            raise IntegrityError("a page of the null layout speaks of an impossible place")
        return cls(store_id, image_id, start, end, size, stream, file_size), body


class _Description(BaseModel):
    """``ImageSummary`` as JSON."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    image_id: bytes
    name: str
    kind: str
    created: datetime
    parent: bytes | None
    stream_size: int
    image_bytes: int
    digest: bytes
    system: dict[str, tuple[int, bytes]]


def pack_summary(summary: ImageSummary) -> bytes:
    """The body of a description."""
    return zlib.compress(_Description(**vars(summary)).model_dump_json().encode())


def unpack_summary(body: bytes) -> ImageSummary:
    """Raises IntegrityError."""
    try:
        text = zlib.decompressobj().decompress(body, _JSON_LIMIT)
        return ImageSummary(**dict(_Description.model_validate_json(text)))
    except (zlib.error, ValidationError) as error:
        raise IntegrityError(f"the description of an image of the null layout is damaged: {error}") from error
