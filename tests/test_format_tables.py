"""docs/FORMAT.md, table by table: each field lies where the code puts it, has that size, and none overlaps another."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inpart.image import frame, structs
from inpart.transaction import journal_format, restore_record
from inpart_aid_partition import slots as partition
from inpart_aid_reserved import slots as reserved
from inpart_storage_blocks import facts
from inpart_storage_blocks import structs as blocks
from inpart_storage_contiguous import entries, headers
from inpart_storage_contiguous import structs as container

TEXT = (Path(__file__).parents[1] / "docs" / "FORMAT.md").read_text()
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8}
PREFIX = (container._PREFIX, 0)

PADDING = {"reserved", "zero"}
PARTS = {"geometry", "name"}
"""Fields that have a table, or a length, of their own."""

Place = tuple[int, int]

TABLES: dict[str, list[tuple[struct.Struct | np.dtype[Any], int]]] = {
    "Journal header": [(journal_format._HEADER, 0)],
    "Commit record": [(journal_format._COMMIT, 0)],
    "Restore record": [(restore_record._FIELDS, 0)],
    "Header": [(structs._HEADER, 0), (structs._CRC, structs.HEADER_SIZE - 4)],
    "Frame": [(frame._FRAME, 0), (structs._CRC, structs.FRAME_SIZE - 4)],
    "Index": [(structs._INDEX, 0), (structs._CRC, structs.INDEX_SIZE - 4)],
    "Index, 2": [(structs.TABLE_DTYPE, 0)],
    "Footer": [(structs._FOOTER, 0), (structs._CRC, structs.FOOTER_SIZE - 4)],
    "Segment": [PREFIX, (headers.SegmentHeader.FIXED, 16), (headers.SegmentHeader.AREAS, 2048)],
    "Geometry": [(container.Geometry.LAYOUT, 0)],
    "Table of contents": [PREFIX, (headers.TableHeader.FIXED, 16)],
    "Entry": [(struct.Struct("<4sII"), 0), (entries.Entry.FIXED, 12)],
    "Anchor in reserved places": [(reserved.HEADER, 0)],
    "Recovery partition": [(partition._HEAD, 0)],
    "Recovery partition, 2": [(partition._ENTRY, 0)],
    "Block": [(blocks.HEADER, 0)],
    "Seal": [(facts._FACTS, 0)],
}
"""Heading, with the number of the table below it if there are several: what the code reads and writes, and where."""


def tables() -> Iterator[tuple[str, list[tuple[int, str, str]]]]:
    """(heading, (offset, type, field) of each row) of every table with offsets and types."""
    for section in re.split(r"^#+ ", TEXT, flags=re.MULTILINE)[1:]:
        title, body = section.split("\n", 1)
        found = re.findall(r"^\| at \| type \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", body, re.MULTILINE)
        for number, rows in enumerate(found, 1):
            cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.splitlines()]
            named = [(int(at), kind, field.strip("| ")) for at, kind, field, *_ in cells if at]
            yield title if number == 1 else f"{title}, {number}", named


def size_of(kind: str) -> int | None:
    """Bytes of a type of the document; None if they are told elsewhere."""
    counted = re.fullmatch(r"(\d+) bytes", kind)
    return int(counted[1]) if counted else SIZES.get(kind)


def fields(layout: struct.Struct | np.dtype[Any], start: int) -> Iterator[Place]:
    """(offset, size) of each field that is not padding."""
    if not isinstance(layout, struct.Struct):
        assert layout.fields
        for name, (kind, offset, *_) in layout.fields.items():
            if name not in PADDING:
                yield start + offset, kind.itemsize
        return
    for count, code in re.findall(r"(\d*)([a-zA-Z])", layout.format):
        whole = code in "sx"
        size = int(count or 1) if whole else struct.calcsize(f"<{code}")
        for _ in range(1 if whole else int(count or 1)):
            if code != "x":
                yield start, size
            start += size


def test_every_table_is_compared() -> None:
    assert {title for title, _ in tables()} == set(TABLES)


@pytest.mark.parametrize("title", TABLES)
def test_each_field_lies_where_the_code_puts_it(title: str) -> None:
    rows = dict(tables())[title]
    written = {(at, size) for at, kind, field in rows if (size := size_of(kind)) and field not in PARTS | PADDING}
    assert {place for layout, start in TABLES[title] for place in fields(layout, start)} == written


@pytest.mark.parametrize("title", TABLES)
def test_no_field_overlaps_the_next(title: str) -> None:
    rows = dict(tables())[title]
    for (at, kind, field), (following, _, _) in pairwise(rows):
        assert at + (size_of(kind) or 0) <= following, f"{title}: {field}"
