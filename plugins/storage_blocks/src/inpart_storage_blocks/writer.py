"""The store writer: an image stream into blocks, then the description and, with the commit, the seals."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

import numpy as np
from inpart.checksums import crc32c
from inpart.contracts import Edits, ImageSummary, Stage, StoreChange
from inpart.errors import IntegrityError, NoSpace
from inpart.extents import Runs
from inpart.units import KIB, MIB, align_up, format_size
from inpart.volume import Buffer, RunsVolume, Volume

from inpart_storage_blocks import naming
from inpart_storage_blocks.control import (
    HEAD,
    TAIL,
    blocks_for,
    control_size,
    description_blocks,
    head_description,
    place_in,
    seal,
)
from inpart_storage_blocks.facts import Description, Facts
from inpart_storage_blocks.files import files_of
from inpart_storage_blocks.planning import Scatter
from inpart_storage_blocks.positions import Positions
from inpart_storage_blocks.structs import HEADER_SIZE, Flag, Kind, Origin, seal_headers

_BATCH = MIB
"""Blocks are made so many bytes at a time, which a processor's cache holds, and written four times as many."""

_WRITE = 4 * _BATCH
_JOURNAL_HEADERS = 16 * KIB
"""The records at the beginning of a journal area by which a journal is recognised."""


@dataclass(frozen=True)
class Joins:
    """What an image must know of the store that it joins: its id, what is in it, the place for journals."""

    store_id: bytes = field(default_factory=lambda: os.urandom(16))
    stems: tuple[str, ...] = ()
    known: tuple[bytes, ...] = ()
    serial: int = 1
    journal: Runs = field(default_factory=Runs)


class BlockWriter:
    """Takes one image stream and scatters it; see ``inpart.contracts.StoreWriter``."""

    def __init__(self, volume: Volume, plan: Scatter, image_id: bytes, joins: Joins) -> None:
        self._volume = volume
        self._plan = plan
        self._origin = Origin(
            image_id, joins.store_id, volume.size, plan.block_size, plan.cluster_size, joins.serial
        )  # fmt: skip
        self._joins = joins
        self._data = _DataWriter(volume, plan, self._origin)
        self._description: Description | None = None

    def write(self, data: Buffer) -> None:
        """Append to the stream. Raises NoSpace when the plan's capacity is used up."""
        if self._data.size + len(data) > self._plan.capacity:
            raise NoSpace(f"the image is larger than the {format_size(self._plan.capacity)} that its place can hold")
        self._data.write(data)

    def finish(self, summary: ImageSummary) -> None:
        """Complete and flush all blocks but the seals. Raises IntegrityError for an empty stream."""
        blocks = self._data.finish()
        facts = Facts(
            self._data.size, summary.image_bytes, blocks, self._plan.head.total, 0, self._plan.data_start,
            self._plan.cluster_size, self._joins.serial, self._plan.file_limit, summary.created, summary.parent,
            summary.digest,
        )  # fmt: skip
        summary = replace(summary, image_id=self._origin.image_id, stream_size=self._data.size)
        stem = naming.stem_for(summary.name, self._joins.stems)
        description, packed = self._with_tail(
            Description(facts, summary, stem, self._plan.head, Runs(), self._joins.known)
        )
        self._put(description.tail, description.tail.total, packed, TAIL)
        first = self._plan.head.slice(0, control_size(self._plan.block_size))
        self._put(first, first.total, head_description(self._origin, description), HEAD)
        self._wipe(self._own_journal().slice(0, _JOURNAL_HEADERS))
        self._volume.flush()
        self._description = description

    def publish(self, tx: Edits) -> StoreChange:
        """The seals, and the files that own all clusters. Raises IntegrityError before ``finish``."""
        done = self._description
        if done is None:
            raise IntegrityError("an image was to be published before it was finished")
        for copy, runs in ((HEAD, done.head), (TAIL, done.tail)):
            place = place_in(runs, 0)
            tx.edit(place, seal(self._origin, done.facts, copy, place), Stage.PUBLISH)
        path = done.head + self._data.path() + done.tail
        return StoreChange(claims=files_of(done.stem, path, done.facts.file_limit))

    def journal(self) -> Runs:
        """The journal area of the store, or of this image if it is the first."""
        return self._joins.journal or self._own_journal()

    def abandon(self) -> None:
        """Nothing refers to what was written; it stays as garbage without a seal in free clusters."""
        self._description = None

    def _own_journal(self) -> Runs:
        head, control = self._plan.head, control_size(self._plan.block_size)
        return head.slice(control, head.total - control)

    def _with_tail(self, description: Description) -> tuple[Description, bytes]:
        """The description with its own place after the data, in as few clusters as hold it."""
        used, cluster = self._data.path().total, self._plan.cluster_size
        room = self._plan.body.total - used
        for one in (description, description.without_system()):
            for size in range(cluster, room + 1, cluster):
                tail = self._plan.body.slice(used, size)
                placed = replace(one, tail=tail, facts=replace(one.facts, tail=size))
                packed = placed.pack()
                if (1 + blocks_for(packed, self._origin)) * self._plan.block_size <= size:
                    return placed, packed
        raise NoSpace(f"the description of the image does not fit into the {format_size(room)} behind its data")

    def _put(self, runs: Runs, size: int, packed: bytes, copy: int) -> None:
        """Zeros where the seal will be, the description's blocks, zeros up to the end."""
        self._wipe(runs.slice(0, size))
        for place, data in description_blocks(self._origin, packed, copy, runs):
            self._volume.write(place, data)

    def _wipe(self, runs: Runs) -> None:
        for start, length in runs:
            self._volume.write(start, bytes(length))


class _DataWriter:
    """Cuts a stream into payloads and writes them as blocks, a batch at a time."""

    def __init__(self, volume: Volume, plan: Scatter, origin: Origin) -> None:
        self.size = 0
        self._plan = plan
        self._origin = origin
        self._body = RunsVolume(volume, plan.body)
        self._positions = Positions(plan.body)
        self._staged = bytearray(_BATCH // plan.block_size * origin.payload)
        self._blocks = np.zeros((_WRITE // plan.block_size, plan.block_size), dtype=np.uint8)
        self._filled = 0
        self._unsent = 0
        self._done = 0

    def write(self, data: Buffer) -> None:
        """Append; whole batches go to the volume, but the last bytes stay here: the last block is marked."""
        view, at, size = memoryview(data).cast("B"), 0, len(self._staged)
        self.size += len(view)
        while at < len(view):
            if not self._filled and len(view) - at > size:
                self._put(view[at : at + size], last=False)
                at += size
            elif self._filled == size:
                self._put(memoryview(self._staged), last=False)
                self._filled = 0
            else:
                part = min(len(view) - at, size - self._filled)
                self._staged[self._filled : self._filled + part] = view[at : at + part]
                self._filled += part
                at += part

    def finish(self) -> int:
        """Write the last blocks and zeros up to the end of their cluster; the number of blocks."""
        if not self.size:
            raise IntegrityError("an image without a single byte was to be stored")
        self._put(memoryview(self._staged)[: self._filled], last=True)
        end = self._done * self._plan.block_size
        self._body.write(end, bytes(-end % self._plan.cluster_size))
        return self._done

    def path(self) -> Runs:
        """The clusters that hold data."""
        return self._plan.body.slice(0, align_up(self._done * self._plan.block_size, self._plan.cluster_size))

    def _put(self, payloads: memoryview, *, last: bool) -> None:
        """Write blocks with these payloads; all but the last one are full."""
        payload, block = self._origin.payload, self._plan.block_size
        starts = range(0, len(payloads), payload)
        count, rest = len(starts), len(payloads) - starts[-1]
        sequences = np.arange(self._done, self._done + count, dtype=np.int64)
        headers = self._origin.headers(Kind.DATA, sequences, self._positions.of(sequences * block))
        headers["length"][-1] = rest
        headers["payload_crc"] = [crc32c(payloads[start : start + payload]) for start in starts]
        headers["flags"][0] = Flag.NONE if self._done else Flag.FIRST
        headers["flags"][-1] |= Flag.LAST if last else Flag.NONE
        seal_headers(headers)
        blocks = self._blocks[self._unsent : self._unsent + count]
        blocks[:, :HEADER_SIZE] = headers.view(np.uint8).reshape(-1, HEADER_SIZE)
        full = len(payloads) // payload
        content = np.frombuffer(payloads, dtype=np.uint8)
        blocks[:full, HEADER_SIZE:] = content[: full * payload].reshape(-1, payload)
        if full < count:
            blocks[full, HEADER_SIZE : HEADER_SIZE + rest] = content[full * payload :]
            blocks[full, HEADER_SIZE + rest :] = 0
        self._done += count
        self._unsent += count
        if last or self._unsent == len(self._blocks):
            self._body.write((self._done - self._unsent) * block, self._blocks[: self._unsent].data.cast("B"))
            self._unsent = 0
