"""An image that was found: what is known of it, which of its blocks are there, which clusters it owns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from inpart.contracts import Claim, Finding, ImageSummary, Severity, StoredImage
from inpart.extents import Extents, Pairs, Runs
from inpart.volume import Volume

from inpart_storage_blocks.control import control_size
from inpart_storage_blocks.facts import Facts
from inpart_storage_blocks.files import files_of
from inpart_storage_blocks.pieces import Pieces, sequences
from inpart_storage_blocks.stream import BlockStream
from inpart_storage_blocks.structs import Origin

_MOST_GAPS = 64


@dataclass(frozen=True, eq=False)
class BlockImage:
    """``pieces`` lie on the volume, ``head`` and ``tail`` in the partition, which begins at ``base`` of the volume.

    ``sealed`` says that a seal was found, ``described`` that a description was; ``lost`` names the copies of both that
    should be there and are not. ``given`` are its files where a file system told them; ``known`` the ids of the images
    that were there before it. ``cut`` says that nothing tells where its stream ends.
    """

    origin: Origin
    base: int
    summary: ImageSummary
    facts: Facts
    stem: str
    head: Runs
    tail: Runs
    pieces: Pieces
    sealed: bool
    described: bool
    lost: tuple[str, ...] = ()
    given: tuple[Claim, ...] = ()
    moved: bool = False
    known: tuple[bytes, ...] = ()
    cut: bool = False

    @cached_property
    def missing(self) -> Extents:
        """The numbers of data blocks that were not found."""
        return Extents.span(0, self.facts.blocks) - sequences(self.pieces)

    @cached_property
    def path(self) -> Runs:
        """The clusters of its files in order; those of missing blocks between neighbours that tell the place too."""
        if self.given:
            return _joined(self.given)
        origin, cluster = self.origin, self.facts.cluster_size
        return self.head + _clusters(self.pieces, self.base, origin.block_size, cluster) + self.tail

    @property
    def owned(self) -> bool:
        """True if its clusters are its own: a seal says so, or a file system that has files for it."""
        return self.sealed or bool(self.given)

    @cached_property
    def files(self) -> tuple[Claim, ...]:
        """What a file system must have so that it keeps away; nothing for an image that owns no clusters."""
        if not self.owned:
            return ()
        return self.given or files_of(self.stem, self.path, self.facts.file_limit)

    @property
    def journal(self) -> Runs:
        """The journal area in the head."""
        control = control_size(self.origin.block_size)
        return self.head.slice(control, self.head.total - control)

    def stored(self) -> StoredImage:
        """The image as others see it."""
        names = tuple(claim.name for claim in self.files)
        return StoredImage(self.summary, self.path.extents(), self._state, names, named=self.described)

    @property
    def _state(self) -> str:
        if self.sealed and self.described and not self.missing:
            return "committed"
        return "partial" if self.owned or self.described else "stray"

    def open(self, volume: Volume) -> BlockStream:
        """The image stream."""
        name = f"image {self.summary.name}"
        return BlockStream(volume, self.origin, self.pieces, self.facts.stream_size, name)

    def findings(self) -> Iterator[Finding]:
        """What is damaged, without reading any data block."""
        name = f"image {self.summary.name}"
        for place in self.lost:
            message = f"its description or seal {place} is lost; `inpart repair` writes it again"
            yield Finding(Severity.WARNING, "blocks.copy-lost", name, message)
        if self.moved:
            message = "its files were moved to other clusters; without the file system it could not be put together"
            yield Finding(Severity.WARNING, "blocks.moved", name, message)
        if self.cut:
            message = f"what follows byte {self.facts.stream_size} of the stream is missing"
            yield Finding(Severity.ERROR, "blocks.cut", name, message)
        yield from self._gaps(name)

    def _gaps(self, name: str) -> Iterator[Finding]:
        payload = self.origin.payload
        for first, end in self.missing.array[:_MOST_GAPS].tolist():
            stop = min(end * payload, self.facts.stream_size)
            message = f"{end - first} blocks are missing: bytes {first * payload} to {stop} of the stream"
            yield Finding(Severity.ERROR, "blocks.missing", f"{name}{self._where(first, end)}", message)
        if len(self.missing) > _MOST_GAPS:
            rest = Extents(self.missing.array[_MOST_GAPS:])
            message = f"{rest.total} more blocks are missing in {len(rest)} places"
            yield Finding(Severity.ERROR, "blocks.missing", name, message)

    def _where(self, first: int, end: int) -> str:
        """The place of missing blocks in the partition, as far as the blocks around them tell."""
        block = self.origin.block_size
        after = int(np.searchsorted(self.pieces["sequence"], first))
        if 0 < after < len(self.pieces):
            low = int(self.pieces["place"][after - 1]) + int(self.pieces["count"][after - 1]) * block
            high = int(self.pieces["place"][after])
            if high - low == (end - first) * block:
                return f", partition bytes {low - self.base} to {high - self.base}"
        return ""


def _clusters(pieces: Pieces, base: int, block: int, cluster: int) -> Runs:
    """The clusters of data blocks, in the order of the stream."""
    each = cluster // block
    first = pieces["sequence"] // each
    end = -(-(pieces["sequence"] + pieces["count"]) // each)
    start = pieces["place"] - base - pieces["sequence"] % each * block
    reach = np.concatenate([[0], np.maximum.accumulate(end)[:-1]]) if len(end) else end
    skip = np.clip(reach - first, 0, end - first)
    first, start = first + skip, start + skip * cluster
    return _bridged(first, end, start, cluster)


def _bridged(first: Pairs, end: Pairs, start: Pairs, cluster: int) -> Runs:
    """Runs of clusters, with the gaps filled whose place is certain: between neighbours that lie apart just so far."""
    if not len(first):
        return Runs()
    gap = np.append(first[1:] - end[:-1], 0)
    stop = start + (end - first) * cluster
    distance = np.append(start[1:] - stop[:-1], 0)
    certain = (gap > 0) & (distance == gap * cluster)
    lengths = stop - start + np.where(certain, gap * cluster, 0)
    return Runs(np.stack([start, lengths], axis=1))


def _joined(claims: tuple[Claim, ...]) -> Runs:
    return Runs(np.concatenate([claim.runs.array for claim in claims]))
