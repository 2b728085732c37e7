"""Segment headers against the table: which are damaged, and writing them again where the payloads are proven whole."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from inpart.checksums import crc32c
from inpart.errors import IntegrityError, VolumeError
from inpart.extents import Runs
from inpart.units import MIB
from inpart.volume import RunsVolume, Volume

from inpart_storage_contiguous.entries import Entry
from inpart_storage_contiguous.headers import SegmentHeader
from inpart_storage_contiguous.structs import SEGMENT_HEADER, ImageState, SegmentFlag, to_stamp
from inpart_storage_contiguous.tables import Table

_PIECE = 4 * MIB


def damaged_headers(volume: Volume, base: int, entry: Entry, *, moved: bool) -> Iterator[tuple[int, int, str]]:
    """(number, place, what is wrong) of each segment header of ``entry`` that is not what the table says."""
    reached = 0
    for number, place in enumerate(entry.placement.places.tolist()):
        payload = int(entry.placement.payloads[number])
        message = ""
        try:
            header = SegmentHeader.unpack(volume.read(base + place, SEGMENT_HEADER))
            says = (header.image_id, header.sequence, header.stream_offset, header.payload_length)
            strange = says != (entry.image_id, number, reached, payload)
            if strange or (not moved and header.runs != entry.placement.segment_runs(number)):
                message = "belongs to something else"
        except IntegrityError:
            message = "is damaged"
        except VolumeError as error:
            message = f"cannot be read: {error.message}"
        if message:
            yield number, place, message
        reached += payload


def mended_headers(volume: Volume, table: Table, entry: Entry) -> list[SegmentHeader]:
    """New headers for the damaged ones of ``entry``; none if its payloads do not have the checksum in the table."""
    damaged = [number for number, _, _ in damaged_headers(volume, 0, entry, moved=False)]
    if not damaged:
        return []
    whole = _first_whole(volume, entry, set(damaged))
    checksums = [
        _payload_checksum(volume, entry, number) if number in damaged else _recorded(volume, entry, number)
        for number in range(len(entry.placement))
    ]
    if crc32c(struct.pack(f"<{len(checksums)}I", *checksums)) != entry.segments_crc32c:
        return []
    return [_header(table, entry, number, checksums[number], whole) for number in damaged]


def _first_whole(volume: Volume, entry: Entry, damaged: set[int]) -> SegmentHeader | None:
    for number in range(len(entry.placement)):
        if number not in damaged:
            return SegmentHeader.unpack(volume.read(int(entry.placement.places[number]), SEGMENT_HEADER))
    return None


def _recorded(volume: Volume, entry: Entry, number: int) -> int:
    return SegmentHeader.unpack(volume.read(int(entry.placement.places[number]), SEGMENT_HEADER)).payload_crc32c


def _payload_checksum(volume: Volume, entry: Entry, number: int) -> int:
    """CRC-32C of a segment's payload as it is on the volume."""
    segment = RunsVolume(volume, Runs(entry.placement.segment_runs(number)), name="segment")
    end = SEGMENT_HEADER + int(entry.placement.payloads[number])
    checksum = 0
    for at in range(SEGMENT_HEADER, end, _PIECE):
        checksum = crc32c(segment.read(at, min(_PIECE, end - at)), checksum)
    return checksum


def _header(table: Table, entry: Entry, number: int, checksum: int, whole: SegmentHeader | None) -> SegmentHeader:
    """What the writer would have written; ``whole`` is another header of the same image."""
    placement, summary = entry.placement, entry.summary
    runs = placement.segment_runs(number)
    header = SegmentHeader(
        table.geometry, table.container_id, table.partition_signature, entry.image_id, runs[0][0],
        stream_offset=int(placement.payloads[:number].sum()), payload_length=int(placement.payloads[number]),
        sequence=number, payload_crc32c=checksum, runs=runs,
        flags=SegmentFlag.LAST if number == len(placement) - 1 else 0, segment_size=entry.segment_size,
        file_limit=whole.file_limit if whole else max(placement.file_sizes()),
    )  # fmt: skip
    if number:
        return header
    return replace(
        header, state=ImageState.COMMITTED, stream_size=summary.stream_size, image_bytes=summary.image_bytes,
        created=to_stamp(summary.created), kind=summary.kind, digest=summary.digest.ljust(32, b"\0"),
        parent=summary.parent or bytes(16), name=summary.name, system=summary.system,
    )  # fmt: skip
