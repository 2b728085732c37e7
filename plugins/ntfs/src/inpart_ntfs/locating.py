"""Finding $MFT: through its own first record, that of $MFTMirr where it is damaged, and its attribute list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from inpart.errors import FilesystemDamaged, VolumeError
from inpart.volume import RunsVolume, Volume
from numpy.typing import NDArray

from inpart_ntfs.attributes import HINT, Attribute, FileRecord, parse_record
from inpart_ntfs.boot import Boot
from inpart_ntfs.codes import REFERENCE_MASK, AttributeType
from inpart_ntfs.fixups import open_block
from inpart_ntfs.listing import ListEntry, parse_attribute_list
from inpart_ntfs.runs import byte_runs, contiguous
from inpart_ntfs.structs import MAX_ATTRIBUTE_LIST

Numbers = NDArray[np.int64]

_SOURCES = ("$MFT", "$MFTMirr")


@dataclass(frozen=True)
class Place:
    """Where $MFT lies: vcn, lcn, count in ``rows``, its size and its written part in bytes, what was damaged.

    ``record`` is record 0 as it is in memory, ``mirrored`` tells that it comes from $MFTMirr.
    """

    rows: Numbers
    data_size: int
    written: int
    record: bytes
    mirrored: bool
    notes: tuple[str, ...]


def find_mft(volume: Volume, boot: Boot) -> Place:
    """Raises FilesystemDamaged if neither $MFT nor $MFTMirr say where $MFT lies."""
    faults: list[str] = []
    for source, lcn in zip(_SOURCES, (boot.mft_lcn, boot.mftmirr_lcn), strict=True):
        try:
            first = sound_record(volume, boot, lcn * boot.cluster_size, 0, source)
            piece = _first_piece(first)
            if not faults and int(piece.rows[0, 1]) != lcn:
                raise FilesystemDamaged("the boot sector and record 0 do not agree where $MFT lies")
        except (FilesystemDamaged, VolumeError) as error:
            faults.append(error.message)
            continue
        rows, notes = _all_rows(volume, boot, first, piece.rows)
        if faults:
            notes = (f"record 0 is read from $MFTMirr: {faults[0]}", *notes)
        written = max(0, min(piece.data_size, piece.initialized_size))
        return Place(rows, piece.data_size, written, first.raw, bool(faults), notes)
    raise FilesystemDamaged(f"{volume.name}: $MFT cannot be found: {'; '.join(faults)}", hint=HINT)


def sound_record(volume: Volume, boot: Boot, offset: int, number: int, source: str) -> FileRecord:
    """A record that is in use, by its place. Raises FilesystemDamaged, VolumeError."""
    raw = open_block(volume.read(offset, boot.record_size))
    record = parse_record(number, raw, boot.clusters) if raw else None
    if record is None or not record.in_use:
        raise FilesystemDamaged(f"the record of {source} at byte {offset} is damaged")
    return record


def attribute_list(volume: Volume, boot: Boot, attribute: Attribute) -> tuple[ListEntry, ...]:
    """The entries of an attribute list, resident or not. Raises FilesystemDamaged, VolumeError."""
    if not attribute.non_resident:
        return parse_attribute_list(attribute.record, attribute.value)
    size = attribute.data_size
    stream = RunsVolume(volume, byte_runs(attribute.rows, boot.cluster_size), name=str(attribute))
    if not 0 <= size <= min(MAX_ATTRIBUTE_LIST, stream.size):
        raise FilesystemDamaged(f"record {attribute.record}: its attribute list has {size} bytes", hint=HINT)
    return parse_attribute_list(attribute.record, stream.read(0, size))


def require_base(extension: FileRecord, base: FileRecord) -> None:
    """Raise FilesystemDamaged unless ``extension`` belongs to ``base``."""
    if extension.base_reference & REFERENCE_MASK != base.number or not extension.base_reference:
        raise FilesystemDamaged(f"record {extension.number} does not belong to record {base.number}", hint=HINT)


def _first_piece(first: FileRecord) -> Attribute:
    """The piece of the content of $MFT that stands in record 0."""
    piece = first.find(AttributeType.DATA)
    if piece is None or not piece.non_resident or piece.lowest_vcn or not len(piece.rows):
        raise FilesystemDamaged("record 0 does not say where $MFT lies")
    _require_no_holes(piece.rows)
    return piece


def _require_no_holes(rows: Numbers) -> None:
    if (rows[:, 1] < 0).any():
        raise FilesystemDamaged("$MFT has holes")


def _all_rows(volume: Volume, boot: Boot, first: FileRecord, rows: Numbers) -> tuple[Numbers, tuple[str, ...]]:
    """All runs of $MFT that can be found; each piece stands in a record that the pieces before it lead to."""
    try:
        for entry in _further_pieces(volume, boot, first):
            more = _piece(volume, boot, first, entry, rows)
            if not contiguous(more, int(rows[-1, 0] + rows[-1, 2])):
                raise FilesystemDamaged("its pieces do not follow each other")
            rows = np.concatenate([rows, more])
    except (FilesystemDamaged, VolumeError) as error:
        return rows, (f"$MFT is not complete: {error.message}",)
    return rows, ()


def _further_pieces(volume: Volume, boot: Boot, first: FileRecord) -> Iterator[ListEntry]:
    where = first.find(AttributeType.ATTRIBUTE_LIST)
    for entry in attribute_list(volume, boot, where) if where else ():
        if entry.type == AttributeType.DATA and not entry.name and entry.lowest_vcn > 0:
            yield entry


def _piece(volume: Volume, boot: Boot, first: FileRecord, entry: ListEntry, rows: Numbers) -> Numbers:
    """The runs that one more record has, read by the runs that are known so far."""
    size, number = boot.record_size, entry.record
    known = RunsVolume(volume, byte_runs(rows, boot.cluster_size), name="$MFT")
    if (number + 1) * size > known.size:
        raise FilesystemDamaged(f"record {number} lies in a part that is not known yet")
    record = sound_record(known, boot, number * size, number, "$MFT")
    require_base(record, first)
    found = next((one for one in record.attributes if one.instance == entry.instance), None)
    if found is None or found.type != AttributeType.DATA:
        raise FilesystemDamaged(f"record {number} holds no piece of it")
    _require_no_holes(found.rows)
    return found.rows
