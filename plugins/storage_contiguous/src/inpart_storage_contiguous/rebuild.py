"""Images from what is left when both tables of contents are lost: partial tables and segment headers."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from inpart.checksums import crc32c
from inpart.contracts import Claim, ImageSummary
from inpart.extents import Extents, Runs

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.entries import Entry
from inpart_storage_contiguous.headers import (
    SegmentHeader,
)
from inpart_storage_contiguous.placement import Placement
from inpart_storage_contiguous.structs import (
    MAX_ENTRIES,
    MAX_OFFSET,
    SEGMENT_HEADER,
    ImageState,
    SegmentFlag,
    from_stamp,
    known_digest,
)

COMMITTED, PARTIAL, STRAY = "committed", "partial", "stray"


@dataclass(frozen=True, eq=False)
class FoundImage:
    """An image of a store: ``stream`` is the path of its bytes with holes where segments are missing.

    ``remains`` are files for what is left of an image that is not whole, ``entry`` what a table says of one that is,
    ``heads`` where the headers of its segments are, in order. ``named`` is false if all that tells its name is lost.
    """

    summary: ImageSummary
    stream: Runs
    extents: Extents
    state: str
    entry: Entry | None = None
    remains: tuple[Claim, ...] = ()
    named: bool = True
    heads: tuple[int, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the image's files."""
        return self.entry.files if self.entry else tuple(claim.name for claim in self.remains)

    @classmethod
    def of(cls, entry: Entry, state: str = COMMITTED) -> FoundImage:
        """An image that a table names."""
        placement = entry.placement
        heads = tuple(placement.places.tolist())
        return cls(entry.summary, placement.stream(), placement.extents, state, entry, heads=heads)


@dataclass
class Leftovers:
    """What segment headers say without a table: images, ids of those never committed, ids of those removed."""

    images: list[FoundImage]
    unfinished: list[bytes]
    removed: list[bytes]


def from_segments(headers: Iterable[SegmentHeader], known: frozenset[bytes], *, owned: bool = False) -> Leftovers:
    """Put segments together, those of images in ``known`` left out; ``headers`` come highest place first.

    ``owned`` says that files own them, so that images without a first segment were not deleted.
    """
    by_image: dict[bytes, dict[int, SegmentHeader]] = {}
    for header in headers:
        if header.image_id in by_image or (header.image_id not in known and len(by_image) < MAX_ENTRIES):
            by_image.setdefault(header.image_id, {}).setdefault(header.sequence, header)
    found = Leftovers([], [], [])
    for image_id, by_sequence in by_image.items():
        segments = [by_sequence[number] for number in sorted(by_sequence)]
        state = segments[0].state if segments[0].sequence == 0 else None
        if state == ImageState.WRITTEN:
            found.unfinished.append(image_id)
        elif state == ImageState.REMOVED:
            found.removed.append(image_id)
        else:
            found.images.append(_image(segments, owned=owned))
    found.images.sort(key=lambda image: (image.summary.created, -image.extents.end))
    return found


def is_complete(segments: list[SegmentHeader]) -> bool:
    """True if segments in order of sequence are a whole stream: none missing, and the last one says so."""
    reached = 0
    for number, header in enumerate(segments):
        if header.sequence != number or header.stream_offset != reached:
            return False
        reached += header.payload_length
    return bool(segments[-1].flags & SegmentFlag.LAST) and reached == segments[0].stream_size


def _image(segments: list[SegmentHeader], *, owned: bool) -> FoundImage:
    """One image from its segments in order of sequence, the first of them perhaps missing."""
    first = segments[0]
    summary = _summary(segments)
    placement = _placement(segments)
    if is_complete(segments) and placement.extents.total == int(placement.runs[:, 1].sum()):
        checksums = struct.pack(f"<{len(segments)}I", *(header.payload_crc32c for header in segments))
        stem = naming.stem_for(summary.name, ())
        return FoundImage.of(
            Entry(summary, placement, stem, first.segment_size, crc32c(checksums), rebuilt=True),
        )
    stream = _stream(segments, summary.stream_size)
    heads = tuple(header.own_offset for header in segments)
    if first.sequence and not owned:
        # the first segment said whether the image was committed, or deleted
        return FoundImage(summary, stream, placement.extents, STRAY, named=False, heads=heads)
    remains: tuple[Claim, ...] = ()
    if placement.extents.total == int(placement.runs[:, 1].sum()):
        stem = f"partial_{first.image_id.hex()[:8]}"
        remains = tuple(
            Claim(naming.file_name(stem, number), runs, runs.total) for number, runs in enumerate(placement.files())
        )
    named = not first.sequence
    return FoundImage(summary, stream, placement.extents, PARTIAL, remains=remains, named=named, heads=heads)


def _summary(segments: list[SegmentHeader]) -> ImageSummary:
    first = segments[0]
    reached = max(header.stream_offset + header.payload_length for header in segments)
    if first.sequence:
        return ImageSummary(first.image_id, f"image-{first.image_id.hex()[:8]}", "", from_stamp(0), None, reached)
    return ImageSummary(
        first.image_id, first.name, first.kind, from_stamp(first.created),
        first.parent if any(first.parent) else None, max(first.stream_size, reached), first.image_bytes,
        known_digest(first.digest),
        dict(first.system),
    )  # fmt: skip


def _placement(segments: list[SegmentHeader]) -> Placement:
    """The clusters of the segments, grouped into files as their writer did."""
    numbers = (
        [len(header.runs) for header in segments],
        [header.payload_length for header in segments],
        naming.group([header.allocated for header in segments], segments[0].file_limit),
    )
    runs = np.array([run for header in segments for run in header.runs], dtype=np.int64).reshape(-1, 2)
    return Placement(runs, *(np.array(column, dtype=np.int64) for column in numbers))


def _stream(segments: list[SegmentHeader], size: int) -> Runs:
    """The path of an incomplete stream; of segments that overlap in the stream, the first counts."""
    pieces: list[tuple[int, int]] = []
    reached = 0
    for header in segments:
        if header.stream_offset < reached:
            continue
        pieces.append((Runs.HOLE, header.stream_offset - reached))
        pieces += Runs(header.runs).slice(SEGMENT_HEADER, header.payload_length)
        reached = header.stream_offset + header.payload_length
    pieces.append((Runs.HOLE, min(size, MAX_OFFSET) - reached))
    return Runs(pieces)


def unique_stems(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The same entries with file names that differ."""
    taken: list[str] = []
    renamed: list[Entry] = []
    for entry in entries:
        stem = naming.unique(entry.stem, taken)
        taken.append(stem)
        renamed.append(entry if stem == entry.stem else replace(entry, stem=stem))
    return tuple(renamed)
