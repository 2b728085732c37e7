"""The store writer: one image stream into the planned region, then its announcement in the tables."""

from __future__ import annotations

import os
from dataclasses import replace

from inpart.contracts import Edits, ImageSummary, Stage, StoreChange
from inpart.errors import IntegrityError
from inpart.extents import Runs
from inpart.units import SECTOR
from inpart.volume import Buffer, Volume

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.carving import Descent, need_block
from inpart_storage_contiguous.entries import Entry
from inpart_storage_contiguous.headers import (
    SegmentHeader,
)
from inpart_storage_contiguous.planning import Layouting
from inpart_storage_contiguous.publishing import active_slot, claims_of, journal_of, now, put_ends, put_table, wipe
from inpart_storage_contiguous.segments import SegmentWriter
from inpart_storage_contiguous.structs import (
    ImageState,
    TableKind,
    to_stamp,
)
from inpart_storage_contiguous.tables import Table


class ContiguousWriter:
    """Takes one image stream and puts it into a container; see ``inpart.contracts.StoreWriter``."""

    def __init__(self, volume: Volume, plan: Layouting, table: Table | None, image_id: bytes) -> None:
        """``table`` is that of the container to be grown; None makes a new container."""
        self._plan = plan
        self._table = table
        container_id, partition_signature = (
            (table.container_id, table.partition_signature) if table else (os.urandom(16), os.urandom(16))
        )
        self._header = SegmentHeader(
            plan.geometry, container_id, partition_signature, image_id, own_offset=0, stream_offset=0,
            payload_length=0, sequence=0, payload_crc32c=0, runs=(), segment_size=plan.segment_size,
            file_limit=plan.file_limit,
        )  # fmt: skip
        self._segments = SegmentWriter(volume, Descent(plan.space), self._header, plan.capacity)
        self._entry: Entry | None = None

    def write(self, data: Buffer) -> None:
        """Append to the stream. Raises NoSpace when the plan's capacity is used up."""
        self._segments.write(data)

    def finish(self, summary: ImageSummary) -> None:
        """Complete and flush all segments. Raises IntegrityError for an empty stream."""
        summary = replace(summary, image_id=self._header.image_id, stream_size=self._segments.size)
        header = replace(
            self._header, stream_size=summary.stream_size, image_bytes=summary.image_bytes,
            created=to_stamp(summary.created), kind=summary.kind, digest=summary.digest,
            parent=summary.parent or bytes(16), name=summary.name, system=summary.system,
        )  # fmt: skip
        self._header = self._segments.finish(header)
        taken = () if self._table is None else tuple(entry.stem for entry in self._table.entries)
        self._entry = Entry(
            summary, self._segments.placement(self._plan.file_limit), naming.stem_for(summary.name, taken),
            self._plan.segment_size, self._segments.checksum(),
        )  # fmt: skip

    def publish(self, tx: Edits) -> StoreChange:
        """Tables, and the mark in segment 0, into ``tx``. Raises NoSpace if the tables are too small."""
        if self._entry is None:
            raise IntegrityError("an image was to be published before it was finished")
        entry, plan = self._entry, self._plan
        place = need_block(plan.controls - entry.placement.extents, plan.geometry.toc_size, "the file toc_begin")
        table = self._grown(entry, place)
        put_ends(table, tx, Stage.PUBLISH)
        if self._table is None:
            wipe([plan.geometry.slot_offset(1 - active_slot(table))], tx, Stage.PUBLISH)
        elif self._table.kind == TableKind.TOC_END:
            for before in [before for before in table.entries[-2:-1] if before.inter_number]:
                put_table(table, tx, TableKind.INTER, Stage.PUBLISH, entry=before)
        committed = replace(self._header, state=ImageState.COMMITTED).pack()
        tx.edit(self._header.own_offset, committed[:SECTOR], Stage.PUBLISH)
        known = {claim.name: claim for claim in claims_of(self._table)} if self._table else {}
        claims = tuple(claim for claim in claims_of(table) if known.get(claim.name) != claim)
        return StoreChange(claims=claims, directory=plan.room)

    def journal(self) -> Runs:
        """The journal area of ``toc_end``."""
        return journal_of(self._plan.geometry)

    def abandon(self) -> None:
        """Nothing refers to what was written; it stays as garbage in free clusters."""
        self._entry = None

    def _grown(self, entry: Entry, place: int) -> Table:
        """The table with the new image; the old ``toc_begin`` becomes the partial table in front of the one before."""
        old = self._table
        if old is None:
            return Table(
                self._plan.geometry, self._header.container_id, self._header.partition_signature, 1, now(), place,
                self._plan.room, (entry,),
            )  # fmt: skip
        entries = list(old.entries)
        if entries and old.toc_begin_offset:
            number = 1 + max(before.inter_number for before in entries)
            entries[-1] = replace(entries[-1], inter_number=number, inter_offset=old.toc_begin_offset)
        return replace(
            old, generation=old.generation + 1, created=now(), toc_begin_offset=place, entries=(*entries, entry)
        )
