"""Tables as edits and files as claims: what a change of the container asks of transaction and file system."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from inpart.contracts import Claim, Edits, Stage
from inpart.extents import Runs
from inpart.units import SECTOR, align_up

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.entries import Entry
from inpart_storage_contiguous.structs import (
    Geometry,
    TableKind,
    to_stamp,
)
from inpart_storage_contiguous.tables import Table


def now() -> int:
    """The time stamp of a table that is made now."""
    return to_stamp(datetime.now(UTC))


def journal_of(geometry: Geometry) -> Runs:
    """The journal area: ``toc_end`` up to its slots."""
    return Runs(((geometry.toc_end_offset, geometry.toc_end_size - 2 * geometry.slot_size),))


def claims_of(table: Table) -> tuple[Claim, ...]:
    """Every file of a container, from the partition's end downward."""
    geometry = table.geometry
    found = [Claim(naming.TOC_END, Runs(((geometry.toc_end_offset, geometry.toc_end_size),)), geometry.toc_end_size)]
    for entry in table.entries:
        files = zip(entry.files, entry.placement.files(), strict=True)
        found += [Claim(name, runs, runs.total) for name, runs in files]
        if entry.inter_number:
            found.append(_control(naming.inter_name(entry.inter_number), entry.inter_offset, geometry))
    if table.toc_begin_offset:
        found.append(_control(naming.TOC_BEGIN, table.toc_begin_offset, geometry))
    return tuple(found)


def _control(name: str, offset: int, geometry: Geometry) -> Claim:
    return Claim(name, Runs(((offset, geometry.toc_size),)), geometry.toc_size)


def active_slot(table: Table) -> int:
    """The slot of ``toc_end`` that a table of this generation is in; the next generation uses the other one."""
    return (table.generation + 1) % 2


def put_table(table: Table, tx: Edits, kind: TableKind, stage: Stage, *, entry: Entry | None = None) -> None:
    """One table in its place: the generation's slot of ``toc_end``, ``toc_begin``, or the ``inter`` of ``entry``."""
    if kind is TableKind.TOC_END:
        slot = active_slot(table)
        placed = table.at(kind, table.geometry.slot_offset(slot), slot=slot)
    elif entry is not None:
        placed = replace(table, entries=(entry,)).at(kind, entry.inter_offset, number=entry.inter_number)
    else:
        placed = table.at(kind, table.toc_begin_offset)
    data = placed.pack()
    tx.edit(placed.own_offset, data.ljust(align_up(len(data), SECTOR), b"\0"), stage)


def put_ends(table: Table, tx: Edits, stage: Stage) -> None:
    """The authoritative table in its slot, and its duplicate in ``toc_begin``."""
    put_table(table, tx, TableKind.TOC_END, stage)
    if table.toc_begin_offset:
        put_table(table, tx, TableKind.TOC_BEGIN, stage)


def wipe(offsets: Iterable[int], tx: Edits, stage: Stage) -> None:
    """Make what looks like a table at ``offsets`` unrecognisable."""
    for offset in offsets:
        tx.edit(offset, bytes(SECTOR), stage)
