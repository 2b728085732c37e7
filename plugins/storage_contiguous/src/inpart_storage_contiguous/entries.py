"""A directory entry of a table of contents: one image, its place, its files, its copies of system areas."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from inpart.checksums import crc32c
from inpart.contracts import ImageSummary
from inpart.inflate import inflate

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.areas import pack_areas, unpack_areas
from inpart_storage_contiguous.placement import Placement
from inpart_storage_contiguous.structs import (
    ENTRY_HEADER,
    ENTRY_SIGNATURE,
    MAX_BLOB,
    MAX_NAME,
    MAX_OFFSET,
    MAX_RUNS,
    MAX_SEGMENTS,
    SEGMENT_HEADER,
    STRUCTURE,
    Buffer,
    EntryFlag,
    clip_text,
    from_stamp,
    known_digest,
    require,
    to_stamp,
    to_text,
)

_NO_ID = bytes(16)


@dataclass(frozen=True, eq=False)
class Entry:
    """One image. ``inter_number`` and ``inter_offset`` name the partial table in front of it, 0 if ``toc_begin`` is.

    ``segments_crc32c`` is the CRC-32C over the payload checksums of all segments, 4 bytes each; ``expanded`` the size
    of the blob that the entry was read from.
    """

    summary: ImageSummary
    placement: Placement
    stem: str
    segment_size: int
    segments_crc32c: int
    inter_number: int = 0
    inter_offset: int = 0
    rebuilt: bool = False
    expanded: int = 0

    FIXED: ClassVar[struct.Struct] = struct.Struct("<HH16s16s32sQQQq16sQIIIIIIIHHQQ")
    CHECKED_FROM: ClassVar[int] = 12

    @property
    def image_id(self) -> bytes:
        return self.summary.image_id

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the image's files in stream order."""
        return tuple(naming.file_name(self.stem, index) for index in range(len(self.placement.file_counts)))

    def without_system(self) -> Entry:
        """The same without the copies of system areas, for a table that has no room for them."""
        return replace(self, summary=replace(self.summary, system={}))

    def pack(self) -> bytes:
        """The entry as on the disk, a multiple of 8 bytes long."""
        summary, placement = self.summary, self.placement
        blob = self._blob()
        squeezed = zlib.compress(blob, 9)
        flags = (EntryFlag.REBUILT if self.rebuilt else 0) | (EntryFlag.DEFLATED if len(squeezed) < len(blob) else 0)
        stored = min(squeezed, blob, key=len)
        name, stem = clip_text(summary.name, MAX_NAME), self.stem.encode()
        fixed = self.FIXED.pack(
            flags, len(name), summary.image_id, summary.parent or _NO_ID, summary.digest,
            int(placement.places[0]), summary.stream_size, summary.image_bytes, to_stamp(summary.created),
            clip_text(summary.kind, 16), self.segment_size, len(placement), len(placement.runs),
            len(placement.file_counts), self.segments_crc32c, len(stored), len(blob), self.inter_number,
            len(stem), len(summary.system), self.inter_offset, int(placement.allocated.sum()),
        )  # fmt: skip
        body = fixed.ljust(ENTRY_HEADER - self.CHECKED_FROM, b"\0") + name + stem + stored
        body += bytes(-(len(body) + self.CHECKED_FROM) % 8)
        length = struct.pack("<I", len(body) + self.CHECKED_FROM)
        return ENTRY_SIGNATURE + length + struct.pack("<I", crc32c(body)) + body

    def _blob(self) -> bytes:
        """Columns that compress well: payload lengths, run counts, file counts, run starts as steps, run lengths."""
        placement = self.placement
        steps = np.diff(placement.runs[:, 0], prepend=0)
        return (
            placement.payloads.astype("<i8").tobytes()
            + placement.run_counts.astype("<i4").tobytes()
            + placement.file_counts.astype("<i4").tobytes()
            + steps.astype("<i8").tobytes()
            + placement.runs[:, 1].astype("<i8").tobytes()
            + pack_areas(self.summary.system)
        )

    @classmethod
    def unpack(cls, data: Buffer, offset: int, *, bound: int, budget: int = MAX_BLOB) -> Self:
        """The entry at ``offset`` of a table. Raises IntegrityError.

        No cluster may reach beyond ``bound``, and what is compressed may take at most ``budget`` bytes.
        """
        require(len(data) - offset >= ENTRY_HEADER, "entry beyond the table")
        signature, length, checksum = struct.unpack_from("<4sII", data, offset)
        require(signature == ENTRY_SIGNATURE, "signature of an entry")
        require(ENTRY_HEADER <= length <= len(data) - offset, "length of an entry")
        entry = bytes(data[offset : offset + length])
        require(crc32c(memoryview(entry)[cls.CHECKED_FROM :]) == checksum, "checksum of an entry")
        (flags, name_length, image_id, parent, digest, image_offset, stream_size, image_bytes, created, kind,
         segment_size, segments, runs, files, segments_crc, stored, expanded, inter_number, stem_length, areas,
         inter_offset, allocated) = cls.FIXED.unpack_from(entry, cls.CHECKED_FROM)  # fmt: skip
        require(1 <= segments <= MAX_SEGMENTS and segments <= runs <= MAX_RUNS, "segment and run counts of an entry")
        require(1 <= files <= segments, "file count of an entry")
        require(ENTRY_HEADER + name_length + stem_length + stored <= length, "lengths in an entry")
        require(max(stream_size, image_bytes, inter_offset) < MAX_OFFSET and expanded <= budget, "sizes in an entry")
        at = ENTRY_HEADER + name_length
        blob = entry[at + stem_length : at + stem_length + stored]
        blob = inflate(blob, expanded, STRUCTURE) if flags & EntryFlag.DEFLATED else blob
        require(len(blob) == expanded, "size of the blob of an entry")
        placement, tail = _placement(blob, segments, runs, files)
        _check(placement, stream_size, bound)
        require(int(placement.places[0]) == image_offset, "offset to an image")
        require(int(placement.allocated.sum()) == allocated, "allocated size of an image")
        summary = ImageSummary(
            image_id, to_text(entry[ENTRY_HEADER:at]), to_text(kind), from_stamp(created),
            None if parent == _NO_ID else parent, stream_size, image_bytes, known_digest(digest),
            unpack_areas(blob, tail, areas),
        )  # fmt: skip
        stem = to_text(entry[at : at + stem_length])
        require(naming.is_stem(stem), "file name of an image")
        rebuilt = bool(flags & EntryFlag.REBUILT)
        return cls(summary, placement, stem, segment_size, segments_crc, inter_number, inter_offset, rebuilt, expanded)


def _placement(blob: bytes, segments: int, runs: int, files: int) -> tuple[Placement, int]:
    """The columns of a blob, and where the system areas begin in it."""
    columns = [("<i8", segments), ("<i4", segments), ("<i4", files), ("<i8", runs), ("<i8", runs)]
    require(sum(int(kind[-1]) * count for kind, count in columns) <= len(blob), "columns of an entry")
    at, found = 0, []
    for kind, count in columns:
        found.append(np.frombuffer(blob, kind, count, at).astype(np.int64))
        at += int(kind[-1]) * count
    payloads, run_counts, file_counts, steps, lengths = found
    return Placement(np.stack([np.cumsum(steps), lengths], axis=1), run_counts, payloads, file_counts), at


def _check(placement: Placement, stream_size: int, bound: int) -> None:
    """Raise IntegrityError for a placement that cannot be."""
    runs = placement.runs
    require(bool((placement.run_counts > 0).all() and (placement.file_counts > 0).all()), "counts in an entry")
    require(int(placement.run_counts.sum()) == len(runs), "run counts of an entry")
    require(int(placement.file_counts.sum()) == len(placement), "file counts of an entry")
    require(bool((runs >= 0).all() and (runs <= bound).all() and (runs[:, 1] > 0).all()), "runs of an entry")
    require(int(runs.sum(axis=1).max()) <= bound, "runs of an entry")
    require(placement.extents.total == int(runs[:, 1].sum()), "runs of an entry overlap")
    payloads = placement.payloads
    require(bool((payloads > 0).all() and (payloads <= placement.allocated - SEGMENT_HEADER).all()), "payload lengths")
    require(int(payloads.sum()) == stream_size, "payload lengths against the size of the stream")
