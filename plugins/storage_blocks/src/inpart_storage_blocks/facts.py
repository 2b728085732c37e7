"""What seal and description say of an image: sizes, names, places of its own head and tail."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from inpart.contracts import ImageSummary
from inpart.errors import IntegrityError
from inpart.extents import Runs
from inpart.inflate import inflate
from inpart.units import MIB, SECTOR, is_power_of_two
from inpart.volume import Buffer

from inpart_storage_blocks import naming
from inpart_storage_blocks.structs import HEADER_SIZE, LARGEST_CLUSTER, MAX_OFFSET, SMALLEST_BLOCK

MAX_RUNS = 1 << 14
_LARGEST = 4 * MIB
_MOST_FILES = 10_000
_FACTS = struct.Struct("<QQQQQQIIBB6xQq16s32s")
_SIZE = struct.Struct("<I")
_RUN = struct.Struct("<QQ")
_AREA = struct.Struct("<QIH")
_LENGTH = struct.Struct("<H")
_ID_SIZE = 16
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FACTS_SIZE = _FACTS.size
_WHAT = "the description of an image in blocks"


def require(condition: bool, what: str) -> None:
    """Raise IntegrityError unless ``condition``."""
    if not condition:
        raise IntegrityError(f"{_WHAT} is damaged: {what}")


@dataclass(frozen=True)
class Facts:
    """The fixed part of both; sizes in bytes. ``blocks`` counts data blocks; ``head`` and ``tail`` are whole clusters.

    ``serial`` is higher than that of every image that was there before.
    The image's files are, in order: the head, the data blocks up to the end of their last cluster, the tail.
    """

    stream_size: int
    image_bytes: int
    blocks: int
    head: int
    tail: int
    data_start: int
    cluster_size: int
    serial: int
    file_limit: int
    created: datetime
    parent: bytes | None
    digest: bytes

    def pack(self) -> bytes:
        """128 bytes."""
        stamp = (self.created - EPOCH) // timedelta(microseconds=1)
        return _FACTS.pack(
            self.stream_size, self.image_bytes, self.blocks, self.head, self.tail, self.data_start, self.cluster_size,
            self.serial, self.parent is not None, len(self.digest), self.file_limit, stamp, self.parent or bytes(16),
            self.digest,
        )  # fmt: skip

    @classmethod
    def unpack(cls, data: Buffer, block_size: int) -> Facts:
        """Raises IntegrityError for impossible values."""
        require(len(data) >= FACTS_SIZE, "it is too short")
        stream, image, blocks, head, tail, start, cluster, serial, *rest = _FACTS.unpack_from(data)
        has_parent, digest_size, limit, stamp, parent, digest = rest
        require(max(stream, image, head, tail, start, limit) < MAX_OFFSET, "sizes")
        require(is_power_of_two(cluster) and SMALLEST_BLOCK <= block_size <= cluster <= LARGEST_CLUSTER, "cluster size")
        require(blocks == -(-stream // (block_size - HEADER_SIZE)) > 0, "number of blocks")
        require(head % cluster == 0 and tail % cluster == 0 and start % SECTOR == 0, "head and tail")
        require(limit >= cluster and limit % cluster == 0 and stream // limit < _MOST_FILES, "size of its files")
        require(digest_size <= len(digest), "digest")
        try:
            created = EPOCH + timedelta(microseconds=stamp)
        except OverflowError:
            raise IntegrityError("the description of an image in blocks has an impossible date") from None
        known = parent if has_parent else None
        return cls(
            stream, image, blocks, head, tail, start, cluster, serial, limit, created, known, digest[:digest_size]
        )

    def nameless(self, image_id: bytes) -> ImageSummary:
        """The summary of an image whose descriptions are lost."""
        name = f"recovered-{image_id.hex()[:12]}"
        return ImageSummary(
            image_id, name, "user", self.created, self.parent, self.stream_size, self.image_bytes, self.digest
        )


@dataclass(frozen=True)
class Description:
    """All that is known of an image. ``head`` and ``tail`` are the runs of clusters before and after its data.

    ``known`` are the ids of the images that were there when it was made.
    """

    facts: Facts
    summary: ImageSummary
    stem: str
    head: Runs
    tail: Runs
    known: tuple[bytes, ...] = ()

    def without_system(self) -> Description:
        """The same without the copies of system areas."""
        return replace(self, summary=replace(self.summary, system={}))

    def pack(self) -> bytes:
        """Facts, size of the rest, the rest compressed."""
        parts = [_text(self.summary.kind), _text(self.summary.name), _text(self.stem)]
        for runs in (self.head, self.tail):
            parts += [_SIZE.pack(len(runs)), *(_RUN.pack(*run) for run in runs)]
        parts.append(_SIZE.pack(len(self.summary.system)))
        for name, (start, data) in sorted(self.summary.system.items()):
            parts += [_AREA.pack(start, len(data), len(name.encode())), name.encode(), data]
        parts += [_SIZE.pack(len(self.known)), *self.known]
        rest = b"".join(parts)
        return self.facts.pack() + _SIZE.pack(len(rest)) + zlib.compress(rest)

    @classmethod
    def unpack(cls, data: bytes, image_id: bytes, block_size: int) -> Description:
        """Raises IntegrityError."""
        facts = Facts.unpack(data, block_size)
        cursor = _Cursor(_expanded(data[FACTS_SIZE:]))
        kind, name, stem = cursor.text(), cursor.text(), cursor.text()
        require(naming.is_stem(stem), "name of its files")
        head, tail = cursor.runs(), cursor.runs()
        require(head.total == facts.head and tail.total == facts.tail, "places of head and tail")
        summary = ImageSummary(
            image_id, name, kind, facts.created, facts.parent, facts.stream_size, facts.image_bytes, facts.digest,
            cursor.areas(),
        )  # fmt: skip
        return cls(facts, summary, stem, head, tail, cursor.ids())


def _text(text: str) -> bytes:
    data = text.encode()
    return _LENGTH.pack(len(data)) + data


def _expanded(data: bytes) -> bytes:
    require(len(data) > _SIZE.size, "it is too short")
    (size,) = _SIZE.unpack_from(data)
    require(size <= _LARGEST, "its size")
    return inflate(data[_SIZE.size :], size, _WHAT)


class _Cursor:
    """Takes fields off the front of bytes; every step is bounded."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        require(self._at + size <= len(self._data), "it is too short")
        self._at += size
        return self._data[self._at - size : self._at]

    def text(self) -> str:
        (size,) = _LENGTH.unpack(self.take(_LENGTH.size))
        return self.take(size).decode(errors="replace")

    def runs(self) -> Runs:
        (count,) = _SIZE.unpack(self.take(_SIZE.size))
        require(count <= MAX_RUNS, "number of runs")
        pairs = [_RUN.unpack(self.take(_RUN.size)) for _ in range(count)]
        require(all(0 < length < MAX_OFFSET and start < MAX_OFFSET for start, length in pairs), "runs")
        return Runs(pairs)

    def ids(self) -> tuple[bytes, ...]:
        (count,) = _SIZE.unpack(self.take(_SIZE.size))
        return tuple(self.take(_ID_SIZE) for _ in range(count))

    def areas(self) -> dict[str, tuple[int, bytes]]:
        (count,) = _SIZE.unpack(self.take(_SIZE.size))
        found: dict[str, tuple[int, bytes]] = {}
        for _ in range(count):
            start, length, name_length = _AREA.unpack(self.take(_AREA.size))
            name = self.take(name_length).decode(errors="replace")
            found[name] = (start, self.take(length))
        return found
