"""A partition without a file system: it knows only which clusters are used, and does what a store asks of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from inpart.checksums import blake3_digest
from inpart.contracts import Claim, ImageSummary, LayoutOptions, Plan, PlanRequest, Search, SearchMethod, StoreChange
from inpart.extents import Extents
from inpart.transaction import Transaction
from inpart.units import KIB, MIB, align_down
from inpart.volume import Volume
from inpart_storage_contiguous.layout import ContiguousLayout
from inpart_storage_contiguous.store import ContiguousStore

LAYOUT = ContiguousLayout()
BIRTH = datetime(2024, 2, 29, 12, 30, 15, 250, tzinfo=UTC)


def stream_of(size: int, seed: int = 1) -> bytes:
    """Bytes that no compressor and no signature search makes anything of."""
    return np.random.default_rng(seed).bytes(size)


@dataclass
class Partition:
    """``used`` are clusters of files, ``claims`` what the store owns."""

    volume: Volume
    cluster: int = 4 * KIB
    data_start: int = 64 * KIB
    used: Extents = field(default_factory=Extents)
    immovable: Extents = field(default_factory=Extents)
    claims: dict[str, Claim] = field(default_factory=dict)
    options: LayoutOptions = field(default_factory=LayoutOptions)
    min_free: int = 0
    made: int = 0

    @property
    def data_end(self) -> int:
        return self.data_start + align_down(self.volume.size - self.data_start, self.cluster)

    @property
    def owned(self) -> Extents:
        return Extents([(start, start + length) for claim in self.claims.values() for start, length in claim.runs])

    @property
    def free(self) -> Extents:
        return Extents.span(self.data_start, self.data_end) - self.used - self.immovable - self.owned

    def request(self, upper: int, expected: int | None = None) -> PlanRequest:
        return PlanRequest(
            self.volume.size, self.cluster, self.data_start, self.data_end, self.free, self.immovable, upper,
            upper if expected is None else expected, self.min_free, self.options,
        )  # fmt: skip

    def vacate(self, plan: Plan) -> None:
        """Pretend that all files in the region were moved to the lowest free clusters outside; old tables just go."""
        self.claims = {name: claim for name, claim in self.claims.items() if not claim.runs.extents() & plan.region}
        moved = (self.used & plan.region).total
        self.used = self.used - plan.region
        room = (self.free - plan.region).array
        lengths = room[:, 1] - room[:, 0]
        ends = np.cumsum(lengths)
        for (start, _), reach, length in zip(room.tolist(), ends.tolist(), lengths.tolist(), strict=True):
            part = min(length, moved - (reach - length))
            if part > 0:
                self.used |= Extents.span(start, start + part)
        assert moved <= (int(ends[-1]) if len(ends) else 0)

    def store(self) -> ContiguousStore | None:
        search = Search(SearchMethod.CLAIMS, claims=tuple(self.claims.values()))
        found = LAYOUT.locate(self.volume, search) if self.claims else []
        return found[0] if found else None

    def apply(self, change: StoreChange) -> None:
        """What an editor does: files replaced by name, then files released; no cluster may have two owners."""
        for claim in change.claims:
            clusters = claim.runs.extents()
            assert clusters.total == claim.runs.total == -(-claim.size // self.cluster) * self.cluster
            assert not ((clusters.array - self.data_start) % self.cluster).any()
            assert not clusters & (self.used | self.immovable)
            self.claims[claim.name] = claim
        for name in change.release:
            del self.claims[name]
        assert self.owned.total == sum(claim.runs.total for claim in self.claims.values())
        assert not change.directory.extents() & (self.owned | self.used)

    def create(
        self, stream: bytes, name: str = "image", kind: str = "user", *, upper: int | None = None,
        expected: int | None = None, pieces: int = MIB,
    ) -> bytes:  # fmt: skip
        """Add an image and commit it; returns its id."""
        store = self.store()
        plan = LAYOUT.plan(self.request(upper or len(stream), expected or len(stream)), store)
        self.vacate(plan)
        assert self.free.covers(plan.region)
        self.made += 1
        image_id = blake3_digest(f"{name} {self.made}".encode())[:16]
        writer = LAYOUT.writer(self.volume, plan, store, image_id)
        for piece in cut(stream, pieces):
            writer.write(piece)
        writer.finish(self.summary(image_id, stream, name, kind))
        tx = Transaction(self.volume)
        self.apply(writer.publish(tx))
        tx.commit(writer.journal())
        return image_id

    def remove(self, *image_ids: bytes) -> None:
        """Remove images and commit that."""
        store = self.store()
        assert store is not None
        tx = Transaction(self.volume)
        self.apply(store.remove(image_ids, tx))
        tx.commit(store.journal())

    def repair(self, store: ContiguousStore) -> None:
        """Write lost tables again and commit that."""
        tx = Transaction(self.volume)
        change = store.repair(tx)
        self.apply(StoreChange(release=change.release))
        self.apply(replace(change, release=()))
        tx.commit(None)

    def summary(self, image_id: bytes, stream: bytes, name: str, kind: str) -> ImageSummary:
        system = {"boot-sector": (0, bytes(510) + b"\x55\xaa"), "partition-table": (-0, bytes(range(256)))}
        return ImageSummary(
            image_id, name, kind, BIRTH + timedelta(minutes=self.made), None, 0, 7 * len(stream),
            blake3_digest(stream), system,
        )  # fmt: skip


def cut(stream: bytes, size: int) -> Iterable[memoryview]:
    view = memoryview(stream)
    return (view[at : at + size] for at in range(0, len(view), size))


def content(store: ContiguousStore, image_id: bytes) -> bytes:
    volume = store.open(image_id)
    return volume.read(0, volume.size)
