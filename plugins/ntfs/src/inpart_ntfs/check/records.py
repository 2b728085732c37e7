"""Pass 1, record by record: signatures, update sequences, headers, and the record bitmap in both directions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from inpart.contracts import ENOUGH, Finding

from inpart_ntfs.check.report import Mask, for_records, warning
from inpart_ntfs.codes import FIRST_USER, RecordFlag
from inpart_ntfs.records import AttributeTable, Records
from inpart_ntfs.structs import FILE_RECORD, MAGIC_BAAD, MAGIC_FILE, field_offset

_END_MARK = 8
"""Bytes of the mark behind the last attribute."""
_FLAGS = int(RecordFlag.IN_USE | RecordFlag.IS_DIRECTORY | RecordFlag.IS_4 | RecordFlag.IS_VIEW_INDEX)
_NUMBERED = field_offset(FILE_RECORD, "mft_record_number") + 4
"""Update sequences that start here leave room for the number of the record, as since NTFS 3.1."""


def check_records(window: Records, marked: Mask) -> Iterator[Finding]:
    """Signatures and headers; ``marked`` says which records the record bitmap has in use."""
    numbers, magic, whole = window.numbers, window["magic"], window.whole
    file = magic == MAGIC_FILE
    bad = marked & (magic == MAGIC_BAAD)
    yield from for_records("record-bad", numbers, bad, "it is marked as damaged")
    strange = marked & ~file & ~bad
    yield from for_records("record-magic", numbers, strange, "it is in use and does not start with FILE")
    yield from for_records("record-fixup", numbers, marked & file & ~whole, "its update sequence is wrong, it was torn")
    wrong = marked & file & whole & ~window.sound
    yield from for_records("record-header", numbers, wrong, "its header is impossible")
    used = window.in_use
    yield from for_records("record-bitmap", numbers, used & ~marked, "it is in use and free in the record bitmap")
    idle = marked & window.sound & ~used & (numbers >= FIRST_USER)
    for number in numbers[idle][:ENOUGH].tolist():
        yield warning("record-bitmap", f"record {number}", "it is free and in use in the record bitmap")
    yield from _check_headers(window.pick(used))


def check_leftovers(window: Records) -> Iterator[Finding]:
    """Extension records that an interrupted change has left."""
    for number, base in zip(window.numbers[:ENOUGH].tolist(), window.base.tolist(), strict=False):
        yield warning("extension-lost", f"record {number}", f"it is in use and record {base} does not name it")


def _check_headers(window: Records) -> Iterator[Finding]:
    """Records in use."""
    numbers, size = window.numbers, window.raw.shape[1]
    wrong = window["bytes_allocated"] != size
    yield from for_records("record-header", numbers, wrong, "its header names a wrong size of records")
    numbered = window["usa_ofs"] >= _NUMBERED
    wrong = numbered & (window["mft_record_number"] != numbers & 0xFFFFFFFF)
    yield from for_records("record-number", numbers, wrong, "it says that it is another record")
    yield from for_records("record-sequence", numbers, window["sequence_number"] == 0, "its sequence number is 0")
    crossing = window["attrs_offset"] < window["usa_ofs"] + 2 * window["usa_count"]
    yield from for_records("record-header", numbers, crossing, "its attributes start inside its update sequence")
    strange = window["flags"] & ~_FLAGS > 0
    yield from for_records("record-flags", numbers, strange, "it has unknown flags")
    own = window["base_mft_record"] & 0xFFFFFFFFFFFF == numbers
    yield from for_records("record-base", numbers, own & window.is_extension, "it belongs to itself")


def check_ends(table: AttributeTable) -> Iterator[Finding]:
    """The attributes of each record follow each other up to their mark, and nothing is behind it."""
    records = table.records
    used = records.in_use
    yield from for_records("record-attributes", records.numbers, table.broken, "its attributes do not fit into it")
    end = records["attrs_offset"].copy()
    np.maximum.at(end, table.row, table.offset + table.length)
    wrong = used & ~table.broken & (end + _END_MARK != records["bytes_in_use"])
    yield from for_records("record-size", records.numbers, wrong, "its attributes do not end where its header says")
    folder = records["flags"] & RecordFlag.IS_DIRECTORY > 0
    view = records["flags"] & RecordFlag.IS_VIEW_INDEX > 0
    both = used & folder & view
    yield from for_records("record-flags", records.numbers, both, "it is a directory and another index")
