"""Volumes as older versions of NTFS have them, made of current ones by what is documented of the differences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from inpart.volume import Access, FileVolume
from inpart_ntfs.attributes import Attribute, FileRecord, parse_record
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.editor.drafts import DraftAttribute
from inpart_ntfs.editor.files import security_descriptor
from inpart_ntfs.editor.pieces import Geometry, Piece, put_fields, record_image
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.fixups import seal_fixups
from inpart_ntfs.runs import byte_runs
from inpart_ntfs.structs import FILE_RECORD, HEADER_SIZE_OLD, field_offset

_OLD_INFORMATION = 48
_VERSION = 8
_NUMBERED = field_offset(FILE_RECORD, "reserved")


def age(path: Path, version: tuple[int, int]) -> None:
    """Records do not know their number before 3.1; before 3.0 every file has a descriptor of its own, none an id."""
    with FileVolume(path, Access.WRITE) as volume:
        fs = NtfsFilesystem(volume)
        size, boot = fs.boot.record_size, fs.boot
        geometry = Geometry(size, boot.cluster_size, volume.sector_size, fs.upcase.fold)
        mirror = byte_runs(fs.mft.metadata(Number.MFT_MIRR).rows, boot.cluster_size)
        images = []
        for window in fs.mft.windows():
            assert window.sound.all()
            for number, raw in zip(window.numbers.tolist(), window.raw, strict=True):
                image = bytearray(_aged(parse_record(number, raw.tobytes(), boot.clusters), version, geometry))
                seal_fixups(image, bump=True)
                images.append(bytes(image))
        content = np.frombuffer(b"".join(images), dtype=np.uint8)
        for runs in (fs.mft.stream.runs, mirror):
            done = 0
            for start, length in runs.slice(0, min(runs.total, len(content))):
                volume.write(start, content[done : done + length].tobytes())
                done += length


def _aged(record: FileRecord, version: tuple[int, int], geometry: Geometry) -> bytes:
    strides = geometry.record_size // 512 + 1
    start = HEADER_SIZE_OLD + 2 * strides + 7 & ~7
    header = bytearray(record.raw[:_NUMBERED].ljust(start, b"\0"))
    put_fields(header, FILE_RECORD, usa_ofs=HEADER_SIZE_OLD, usa_count=strides, attrs_offset=start)
    header[HEADER_SIZE_OLD:] = bytes(start - HEADER_SIZE_OLD)
    pieces = [_piece(one, version) for one in record.attributes]
    kinds = {piece.type for piece in pieces}
    lists = {AttributeType.SECURITY_DESCRIPTOR, AttributeType.ATTRIBUTE_LIST}
    if version < (3, 0) and record.in_use and not record.base_reference and not kinds & lists:
        made = DraftAttribute(AttributeType.SECURITY_DESCRIPTOR, value=security_descriptor()).resident()
        pieces.append(Piece(AttributeType.SECURITY_DESCRIPTOR, "", 0, made))
    return record_image(bytes(header), pieces, geometry)[0]


def _piece(one: Attribute, version: tuple[int, int]) -> Piece:
    piece = Piece.standing(one)
    if one.type == AttributeType.VOLUME_INFORMATION:
        start = one.raw.index(one.value) + _VERSION
        return replace(piece, raw=one.raw[:start] + bytes(version) + one.raw[start + 2 :])
    if one.type == AttributeType.STANDARD_INFORMATION and version < (3, 0):
        return replace(piece, raw=DraftAttribute(one.type, value=one.value[:_OLD_INFORMATION]).resident())
    return piece
