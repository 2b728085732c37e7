"""Lost, stale, moved, copied and hostile blocks: exactly the right bytes are missing, and nothing wrong is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from inpart.contracts import Search, SearchMethod
from inpart.errors import InpartError
from inpart.extents import Extents, Runs
from inpart.testing.damage import zero_range
from inpart.testing.layout_ground import GEOMETRIES, Ground, committed, summary_for
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume
from inpart_storage_blocks import scan as scanning
from inpart_storage_blocks.control import place_in
from inpart_storage_blocks.layout import BlocksLayout
from inpart_storage_blocks.pieces import PIECE, merged, sequences
from inpart_storage_blocks.store import BlocksStore
from inpart_storage_blocks.structs import HEADER, MAGIC, DamagedBlock, Flag, Kind, Origin

LAYOUT = BlocksLayout()
STREAM = np.random.default_rng(7).bytes(900 * KIB)


@pytest.fixture
def ground() -> Ground:
    made = Ground(LAYOUT, GEOMETRIES["fragmented"])
    made.add(summary_for(0, STREAM), STREAM)
    return made


def found(ground: Ground, method: SearchMethod = SearchMethod.PARTITION) -> BlocksStore:
    (store,) = ground.stores(method)
    assert isinstance(store, BlocksStore)
    return store


def place_of(store: BlocksStore, number: int) -> int:
    image = store.found[0]
    at = int(np.searchsorted(image.pieces["sequence"], number, side="right")) - 1
    piece = image.pieces[at]
    return int(piece["place"]) + (number - int(piece["sequence"])) * image.origin.block_size


def readable(store: BlocksStore) -> tuple[list[int], int]:
    """The numbers of the blocks that cannot be read, each by itself; and the block's payload. Others must be right."""
    image = store.found[0]
    stream, payload, lost = store.open(image.summary.image_id), image.origin.payload, []
    for number in range(image.facts.blocks):
        start, end = number * payload, min((number + 1) * payload, stream.size)
        try:
            assert stream.read(start, end - start) == STREAM[start:end]
        except DamagedBlock:
            lost.append(number)
    return lost, payload


@pytest.mark.parametrize("method", [SearchMethod.CLAIMS, SearchMethod.PARTITION])
@pytest.mark.parametrize("part", ["header", "payload"])
def test_a_damaged_block_costs_itself(ground: Ground, method: SearchMethod, part: str) -> None:
    place = place_of(found(ground), 77) + (60 if part == "header" else 1000)
    ground.volume.data[place] ^= 1
    assert readable(found(ground, method))[0] == [77]


def test_gaps_are_named_exactly(ground: Ground) -> None:
    before = found(ground)
    for number in (30, 31, 100):
        zero_range(ground.volume, place_of(before, number), place_of(before, number) + 512)
    store = found(ground)
    lost, payload = readable(store)
    assert lost == [30, 31, 100]
    assert store.found[0].missing == Extents([(30, 32), (100, 101)])
    assert store.images[0].state == "partial"
    messages = [finding.message for finding in store.findings if finding.code == "blocks.missing"]
    assert messages == [
        f"2 blocks are missing: bytes {30 * payload} to {32 * payload} of the stream",
        f"1 blocks are missing: bytes {100 * payload} to {101 * payload} of the stream",
    ]
    assert store.extents().total >= before.extents().total - 3 * ground.geometry.cluster_size
    assert before.extents().covers(store.extents())


def test_blocks_of_another_image_are_not_taken(ground: Ground) -> None:
    """A block of a removed image with the same number in the place of a block, all checksums right."""
    store = found(ground)
    image, place = store.found[0], place_of(store, 12)
    other = replace(image.origin, image_id=bytes(16))
    zero_range(ground.volume, place, place + other.block_size)
    ground.volume.write(place, other.pack(Kind.DATA, 12, place, STREAM[: other.payload], Flag.NONE))
    for method in (SearchMethod.CLAIMS, SearchMethod.PARTITION):
        assert readable(found(ground, method))[0] == [12]
    assert [finding.code for finding in found(ground).findings][-1] == "blocks.garbage"


def test_a_moved_file_is_read_where_it_is(ground: Ground) -> None:
    """A defragmenter moved it: the file system's word counts, and the finding says what that means."""
    (old,) = ground.claims.values()
    target = Runs(np.stack([ground.free.array[:, 0], ground.free.array[:, 1] - ground.free.array[:, 0]], axis=1))
    target = target.slice(0, old.runs.total)
    data = b"".join(bytes(ground.volume.data[start : start + length]) for start, length in old.runs)
    for start, length in old.runs:
        zero_range(ground.volume, start, start + length)
    at = 0
    for start, length in target:
        ground.volume.write(start, data[at : at + length])
        at += length
    ground.claims[old.name] = type(old)(old.name, target, old.size)
    store = found(ground, SearchMethod.CLAIMS)
    assert readable(store)[0] == []
    assert [finding.code for finding in store.findings] == ["blocks.moved"]
    assert store.claims().claims == tuple(ground.claims.values())


def test_partitions_of_a_disk_are_told_apart(ground: Ground) -> None:
    other = Ground(LAYOUT, GEOMETRIES["plain"], seed=3)
    other.add(summary_for(1, STREAM[:MIB]), STREAM[:MIB])
    disk = MemoryVolume(MIB + ground.volume.size + 63 * 512 + other.volume.size)
    places = {MIB: ground, MIB + ground.volume.size + 63 * 512: other}
    for place, one in places.items():
        disk.write(place, one.volume.data)
    stores = LAYOUT.locate(disk, Search(SearchMethod.DISK))
    assert [store.base for store in stores] == list(places)
    for number, store in enumerate(stores):
        stream = store.open(summary_for(number, b"").image_id)
        assert stream.read(0, stream.size) == STREAM[: stream.size]
        assert store.partition_size == places[store.base].volume.size


def test_places_of_an_aid_lead_to_the_image(ground: Ground) -> None:
    start = found(ground).found[0].head.array[0, 0]
    assert committed(LAYOUT.locate(ground.volume, Search(SearchMethod.AID, places=(0, int(start)))))
    assert not LAYOUT.locate(ground.volume, Search(SearchMethod.AID, places=(0, 512, -5, 1 << 60)))


def test_both_copies_of_the_description_lost(ground: Ground) -> None:
    """What the blocks themselves tell is enough to read the image, under a made-up name."""
    image = found(ground).found[0]
    for runs in (image.head, image.tail):
        place = place_in(runs, image.origin.block_size)
        zero_range(ground.volume, place, place + 512)
    store = found(ground)
    (stored,) = store.images
    assert (stored.state, stored.summary.name) == ("partial", f"recovered-{stored.summary.image_id.hex()[:12]}")
    assert readable(store)[0] == []


def test_repair_writes_lost_copies_again(ground: Ground) -> None:
    image = found(ground).found[0]
    before = bytes(ground.volume.data)
    for offset in (0, image.origin.block_size):
        zero_range(ground.volume, place_in(image.tail, offset), place_in(image.tail, offset) + 512)
    store = found(ground)
    assert [finding.code for finding in store.findings] == ["blocks.copy-lost"]
    tx = Transaction(ground.volume)
    change = store.repair(tx)
    tx.commit(store.journal())
    assert change.claims == tuple(ground.claims.values())
    assert not found(ground).findings
    journal = store.journal().extents()
    kept = journal.complement(0, len(before))
    assert all(ground.volume.data[start:end] == before[start:end] for start, end in kept)


@pytest.mark.parametrize("seed", range(6))
def test_hostile_controls_raise_nothing(ground: Ground, seed: int) -> None:
    """Seals and descriptions with right checksums and impossible content."""
    chance = np.random.default_rng(seed)
    image = found(ground).found[0]
    for copy, runs in enumerate((image.head, image.tail)):
        origin = image.origin
        for number, kind in enumerate((Kind.SEAL, Kind.DESCRIPTION)):
            at = place_in(runs, number * origin.block_size)
            payload = bytearray(ground.volume.data[at + 96 : at + origin.block_size])
            for _ in range(1 + seed):
                payload[int(chance.integers(0, 140))] = int(chance.integers(0, 256))
            length = 128 if kind is Kind.SEAL else origin.payload
            flags = Flag.FIRST | Flag.LAST
            ground.volume.write(at, origin.pack(kind, copy << 32, at, bytes(payload[:length]), flags))
    for method in (SearchMethod.CLAIMS, *(SearchMethod.PARTITION, SearchMethod.DISK)):
        for store in ground.stores(method):
            assert store.extents().end <= ground.volume.size
            for stored in store.images:
                try:
                    stream = store.open(stored.summary.image_id)
                    stream.read(0, min(stream.size, MIB))
                except InpartError:
                    continue


def test_floods_of_magics_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Magics without a header count for nothing; of valid headers no more than so many are kept."""
    noise = MemoryVolume(4 * MIB)
    for at in range(0, noise.size, 512):
        noise.data[at : at + 8] = MAGIC
    assert not LAYOUT.locate(noise, Search(SearchMethod.PARTITION))
    monkeypatch.setattr(scanning, "MOST_PIECES", 100)
    monkeypatch.setattr(scanning, "_COMPACT_AT", 50)
    ground = Ground(LAYOUT, GEOMETRIES["plain"])
    ground.add(summary_for(0, STREAM), STREAM)
    flood = Origin(b"\xff" * 16, bytes(16), ground.volume.size, 512, 4096, 1)
    places = [start for start, end in ground.free for start in range(start, end, 4096)][:400]
    for number, place in enumerate(places):
        ground.volume.write(place, flood.pack(Kind.DATA, 2 * number, place, b"x", Flag.NONE))
    (store,) = ground.stores(SearchMethod.PARTITION)
    assert "blocks.flooded" in {finding.code for finding in store.findings}


def test_pieces_merge_whatever_their_order() -> None:
    chance = np.random.default_rng(1)
    pieces = np.zeros(300, dtype=PIECE)
    pieces["block"], pieces["count"] = 4096, 1
    pieces["sequence"] = chance.permutation(300)
    pieces["place"] = pieces["sequence"] * 4096 + (pieces["sequence"] >= 120) * 4096
    doubled = np.concatenate([pieces, pieces[:50]])
    made = merged(doubled)
    assert [(int(one["sequence"]), int(one["place"]), int(one["count"])) for one in made] == [
        (0, 0, 120),
        (120, 121 * 4096, 180),
    ]
    assert sequences(made) == Extents.span(0, 300)
    assert HEADER.itemsize == 96
