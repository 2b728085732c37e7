"""What listings say of files: type, sizes, time, attributes and streams, of many records at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from inpart.contracts import EntryType
from inpart.errors import FilesystemDamaged
from numpy.typing import NDArray

from inpart_ntfs.arrays import gather
from inpart_ntfs.codes import AttributeFlag, AttributeType, FileAttribute, RecordFlag
from inpart_ntfs.content import read_stream
from inpart_ntfs.mft import File, Mft
from inpart_ntfs.names import as_text, shown
from inpart_ntfs.records import AttributeTable
from inpart_ntfs.reparse import tag_name, tag_of, target_of, type_of
from inpart_ntfs.streams import Stream
from inpart_ntfs.structs import STANDARD_INFORMATION, Struct

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_LATEST = int((datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH).total_seconds()) * 10**7
_ATTRIBUTES = {
    FileAttribute.READONLY: "read-only",
    FileAttribute.HIDDEN: "hidden",
    FileAttribute.SYSTEM: "system",
    FileAttribute.ARCHIVE: "archive",
    FileAttribute.TEMPORARY: "temporary",
    FileAttribute.SPARSE_FILE: "sparse",
    FileAttribute.COMPRESSED: "compressed",
    FileAttribute.OFFLINE: "offline",
    FileAttribute.ENCRYPTED: "encrypted",
}
_STREAM_FLAGS = {
    AttributeFlag.SPARSE: "sparse",
    AttributeFlag.COMPRESSION_MASK: "compressed",
    AttributeFlag.ENCRYPTED: "encrypted",
}
_OLD_INFORMATION: Struct = np.dtype(STANDARD_INFORMATION.descr[:8])
"""What STANDARD_INFORMATION has had since NTFS 1.2."""

INTERIX_LINK, INTERIX_CHR, INTERIX_BLK = b"IntxLNK\x01", b"IntxCHR\x00", b"IntxBLK\x00"
"""How the system files start that stand for symbolic links and devices where there are no reparse points for them."""
_INTERIX_LIMIT = 8 + 2 * 4096

Numbers = NDArray[np.int64]


@dataclass
class Detail:
    """One file: ``streams`` are name, size and attributes of each alternate stream, in order of name."""

    sequence: int
    type: EntryType
    size: int
    mtime: datetime | None
    attributes: tuple[str, ...]
    target: str = ""
    streams: list[tuple[str, int, tuple[str, ...]]] = field(default_factory=list)


def describe(mft: Mft, numbers: Numbers) -> dict[int, Detail]:
    """The files with these record numbers; those whose records are damaged or not in use are left out."""
    wanted = np.unique(numbers[(numbers >= 0) & (numbers < mft.count)])
    if not len(wanted):
        return {}
    records = mft.read(wanted)
    records = records.pick(records.in_use & ~records.is_extension)
    table = records.attributes()
    several = np.zeros(len(records), dtype=bool)
    several[table.row[table.type == AttributeType.ATTRIBUTE_LIST]] = True
    found: dict[int, Detail] = {}
    for number in records.numbers[several].tolist():
        detail = _of_file(mft, number)
        if detail is not None:
            found[number] = detail
    plain = ~several & ~table.broken
    return found | _of_table(mft, table.pick(plain[table.row]), plain)


def _of_table(mft: Mft, table: AttributeTable, chosen: NDArray[np.bool_]) -> dict[int, Detail]:
    """Files that have a single record, those that are chosen."""
    records, count = table.records, len(table.records)
    times, attributes = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    known = table.pick((table.type == AttributeType.STANDARD_INFORMATION) & ~table.non_resident)
    known = known.pick(known.value_length >= _OLD_INFORMATION.itemsize)
    standard = gather(records.raw, known.row, known.offset + known.value_offset, _OLD_INFORMATION)
    times[known.row] = standard["last_data_change_time"]
    attributes[known.row] = standard["file_attributes"]
    data = table.pick(table.type == AttributeType.DATA)
    sizes, plain = np.zeros(count, dtype=np.int64), data.pick(data.name_length == 0)
    sizes[plain.row] = np.where(plain.non_resident, plain.data_size, plain.value_length)
    folders = records["flags"] & RecordFlag.IS_DIRECTORY > 0
    odd = np.zeros(count, dtype=bool)
    odd[data.row[data.name_length > 0]] = True
    odd[table.row[table.type == AttributeType.REPARSE_POINT]] = True
    odd |= _may_be_interix(attributes, sizes, folders)
    found = {}
    columns = zip(
        records.numbers[chosen].tolist(),
        records["sequence_number"][chosen].tolist(),
        folders[chosen].tolist(),
        sizes[chosen].tolist(),
        times[chosen].tolist(),
        attributes[chosen].tolist(),
        odd[chosen].tolist(),
        strict=True,
    )
    for number, sequence, folder, size, time, bits, special in columns:
        detail = _of_file(mft, number) if special else None
        found[number] = detail or _plain(sequence, folder, size, time, bits)
    return found


def _may_be_interix(attributes: Numbers, sizes: Numbers, folders: NDArray[np.bool_]) -> NDArray[np.bool_]:
    system = attributes & FileAttribute.SYSTEM > 0
    return np.asarray(system & ~folders & (sizes >= len(INTERIX_CHR)) & (sizes <= _INTERIX_LIMIT))


def _plain(sequence: int, folder: bool, size: int, time: int, bits: int) -> Detail:
    kind = EntryType.DIR if folder else EntryType.FILE
    return Detail(sequence, kind, 0 if folder else size, moment(time), _words(bits, _ATTRIBUTES))


def _of_file(mft: Mft, number: int) -> Detail | None:
    """A file with all that it has; None if its records are damaged."""
    try:
        file = mft.assembled(number)
    except FilesystemDamaged:
        return None
    standard, data = file.stream(AttributeType.STANDARD_INFORMATION), file.stream(AttributeType.DATA)
    time = bits = 0
    if standard is not None and len(standard.value) >= _OLD_INFORMATION.itemsize:
        values = np.frombuffer(standard.value, _OLD_INFORMATION, 1)[0]
        time, bits = int(values["last_data_change_time"]), int(values["file_attributes"])
    detail = _plain(file.base.sequence_number, file.base.is_directory, data.data_size if data else 0, time, bits)
    detail.streams = [_stream(one) for one in file.all(AttributeType.DATA) if one.name]
    detail.streams.sort()
    _reparse(mft, file, detail)
    if detail.type is EntryType.FILE and bits & FileAttribute.SYSTEM and data is not None:
        _interix(mft, data, detail)
    return detail


def _stream(stream: Stream) -> tuple[str, int, tuple[str, ...]]:
    return as_text(stream.name), stream.data_size, ("stream", *_words(stream.first.flags, _STREAM_FLAGS))


def _reparse(mft: Mft, file: File, detail: Detail) -> None:
    point = file.stream(AttributeType.REPARSE_POINT)
    if point is None:
        return
    try:
        content = whole(mft, point)
    except FilesystemDamaged:
        return
    tag = tag_of(content)
    detail.type = type_of(tag, detail.type)
    detail.target = target_of(content)
    detail.attributes += (f"reparse:{tag_name(tag)}",)
    if detail.type is not EntryType.FILE:
        detail.size = 0


def _interix(mft: Mft, data: Stream, detail: Detail) -> None:
    if not len(INTERIX_CHR) <= data.data_size <= _INTERIX_LIMIT:
        return
    try:
        content = whole(mft, data)
    except FilesystemDamaged:
        return
    if content.startswith(INTERIX_LINK):
        detail.type, detail.size, detail.target = EntryType.SYMLINK, 0, shown(content[8 : len(content) // 2 * 2])
    elif content.startswith((INTERIX_CHR, INTERIX_BLK)):
        detail.type, detail.size = EntryType.SPECIAL, 0


def whole(mft: Mft, stream: Stream, limit: int = 1 << 16) -> bytes:
    """The content of a small stream, at most ``limit`` bytes of it. Raises FilesystemDamaged."""
    return b"".join(read_stream(mft.volume, mft.boot, stream, 0, limit))


def moment(time: int) -> datetime | None:
    """A time of NTFS; None for those that no calendar has."""
    return _EPOCH + timedelta(microseconds=time // 10) if 0 < time < _LATEST else None


def _words(bits: int, names: dict[FileAttribute, str] | dict[AttributeFlag, str]) -> tuple[str, ...]:
    return tuple(name for bit, name in names.items() if bits & bit)
