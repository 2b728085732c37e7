"""Ground for trying layouts on: a partition without a real file system, and what such a one would know of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from inpart.contracts import (
    Claim,
    ImageSummary,
    Layout,
    LayoutOptions,
    Plan,
    PlanRequest,
    Search,
    SearchMethod,
    Store,
    StoreChange,
    StoredImage,
)
from inpart.extents import Extents
from inpart.testing.specimen import fill_with_noise
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume, Volume


@dataclass(frozen=True)
class Geometry:
    """A partition as a layout sees it; sizes in bytes. ``used`` is the share of clusters that files occupy."""

    size: int
    cluster_size: int
    sector_size: int = 512
    data_start: int = 40 * KIB
    tail: int = 0
    used: float = 0.3
    immovable_every: int = 0
    options: LayoutOptions = field(default_factory=lambda: LayoutOptions(segment_size=256 * KIB, file_limit=MIB))

    @property
    def data_end(self) -> int:
        """The end of the last whole cluster before ``tail``."""
        return self.size - self.tail - (self.size - self.tail - self.data_start) % self.cluster_size


GEOMETRIES = {
    "small": Geometry(2 * MIB, 512, data_start=33 * 512, tail=512),
    "plain": Geometry(8 * MIB, 4 * KIB),
    "fragmented": Geometry(8 * MIB, 2 * KIB, used=0.5, tail=5 * 512),
    "immovable": Geometry(12 * MIB, 4 * KIB, immovable_every=2 * MIB),
    "sectors-4096": Geometry(24 * MIB, 64 * KIB, sector_size=4096, data_start=64 * KIB, used=0.2),
}


class Ground:
    """A partition full of noise, whose used clusters must keep their bytes; ``claims`` are the hidden files by name."""

    def __init__(self, layout: Layout, geometry: Geometry, seed: int = 0) -> None:
        self.layout = layout
        self.geometry = geometry
        self.volume = MemoryVolume(geometry.size, name="ground", sector_size=geometry.sector_size)
        fill_with_noise(self.volume, Extents.span(0, geometry.size), seed)
        self.claims: dict[str, Claim] = {}
        self.directory = Extents()
        chance, unit = random.Random(seed), geometry.cluster_size
        starts = range(geometry.data_start, geometry.data_end, unit)
        self.used = Extents(
            (start, start + unit) for start in starts if chance.random() < geometry.used or start == starts[-1]
        )
        step = geometry.immovable_every
        self.immovable = Extents((start, start + unit) for start in starts if step and start % step < unit)
        self.used = self.used - self.immovable

    @property
    def claimed(self) -> Extents:
        """What the hidden files and their directory own."""
        return Extents(pair for claim in self.claims.values() for pair in claim.runs.extents()) | self.directory

    @property
    def free(self) -> Extents:
        """Clusters that may be used."""
        whole = Extents.span(self.geometry.data_start, self.geometry.data_end)
        return whole - self.used - self.immovable - self.claimed

    def request(self, expected: int, min_free: int = 0, store: Store | None = None) -> PlanRequest:
        """What an operation would ask that has estimated a stream of ``expected`` bytes."""
        geometry = self.geometry
        return PlanRequest(
            partition_size=geometry.size,
            cluster_size=geometry.cluster_size,
            data_start=geometry.data_start,
            data_end=geometry.data_end,
            free=self.free,
            immovable=self.immovable | (Extents() if store is None else store.extents()),
            upper=expected + expected // 8,
            expected=expected,
            min_free=min_free,
            options=geometry.options,
        )

    def plan(self, expected: int) -> tuple[Plan, Store | None]:
        """Plan an image of ``expected`` bytes, and move what is in its way: its clusters are free then."""
        store = self.store()
        plan = self.layout.plan(self.request(expected, store=store), store)
        self.used = self.used - plan.vacate
        return plan, store

    def add(self, summary: ImageSummary, stream: bytes, volume: Volume | None = None) -> None:
        """Plan, write and commit an image, as an operation does."""
        plan, store = self.plan(len(stream))
        target = volume or self.volume
        writer = self.layout.writer(target, plan, store, summary.image_id)
        for piece in pieces_of(stream):
            writer.write(piece)
        writer.finish(summary)
        tx = Transaction(target)
        self.apply(writer.publish(tx))
        tx.commit(writer.journal() if writer.journal().total else None)

    def apply(self, change: StoreChange) -> None:
        """What the file system does."""
        for name in change.release:
            del self.claims[name]
        self.claims.update({claim.name: claim for claim in change.claims})
        self.directory = change.directory.extents() if self.claims else Extents()

    def stores(self, method: SearchMethod, volume: Volume | None = None) -> Sequence[Store]:
        """Locate in one way; with the claims of the file system where that is the way."""
        claims = tuple(self.claims.values()) if method is SearchMethod.CLAIMS else ()
        return self.layout.locate(volume or self.volume, Search(method, claims=claims))

    def store(self) -> Store | None:
        """The one that the claims lead to."""
        found = self.stores(SearchMethod.CLAIMS)
        return found[0] if found else None


def pieces_of(stream: bytes) -> list[memoryview]:
    """The stream in pieces of uneven length, empty ones among them."""
    chance, view, pieces, at = random.Random(len(stream)), memoryview(stream), [], 0
    while at < len(stream):
        step = chance.choice((0, 1, 511, 4096, 70_000, 300_000))
        pieces.append(view[at : at + step])
        at += step
    return pieces


def summary_for(number: int, stream: bytes) -> ImageSummary:
    """The summary of the ``number``-th image of a test."""
    chance = random.Random(number)
    return ImageSummary(
        image_id=chance.randbytes(16),
        name=f"image {number} ü",
        kind="factory" if number == 0 else "user",
        created=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number),
        stream_size=len(stream),
        image_bytes=3 * len(stream),
        digest=chance.randbytes(32),
        system={"boot-sector": (0, chance.randbytes(512))},
    )


def committed(stores: Sequence[Store]) -> dict[bytes, tuple[Store, StoredImage]]:
    """Committed images by id."""
    return {
        image.summary.image_id: (store, image)
        for store in stores
        for image in store.images
        if image.state == "committed"
    }


def stream_size(ground: Ground, share: int) -> int:
    """A stream of this size fits ``share`` times into the free clusters, with room for tables."""
    return ground.free.total // (share + 1) - ground.free.total // 64


def image_of(ground: Ground, number: int) -> tuple[ImageSummary, bytes]:
    """Summary and stream of an image, others for each number."""
    stream = random.Random(f"{number} {ground.geometry.size}").randbytes(ground.geometry.size // 13 + 1777 * number)
    return summary_for(number, stream), stream


def only_image(stores: Sequence[Store], method: SearchMethod) -> tuple[Store, StoredImage]:
    """The one image that was committed."""
    found = list(committed(stores).values())
    assert len(found) == 1, f"L3: {method} finds {len(found)} committed images instead of one"
    return found[0]


def expect_stream(volume: Volume, stream: bytes, behaviour: str) -> None:
    """Read a stream in pieces and compare it."""
    assert volume.size == len(stream), f"{behaviour}: the stream has {volume.size} bytes, not {len(stream)}"
    at = 0
    for piece in pieces_of(stream):
        assert volume.read(at, len(piece)) == piece, f"{behaviour}: {len(piece)} bytes at {at} of the stream differ"
        at += len(piece)
