"""How an image stream reaches the disk: large writes, descending segments, one solid block, nothing beside it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.contracts import Search, SearchMethod
from inpart.errors import IntegrityError, NoSpace
from inpart.extents import Extents
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import Buffer, MemoryVolume
from inpart_storage_contiguous.planning import Layouting
from inpart_storage_contiguous.segments import UNIT
from inpart_storage_contiguous.writer import ContiguousWriter
from partition_rig import LAYOUT, Partition, content, cut, stream_of


class Watched(MemoryVolume):
    """Keeps (offset, length) of every write, and how many were made before each flush."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.writes: list[tuple[int, int]] = []
        self.flushes: list[int] = []

    def write(self, offset: int, data: Buffer) -> None:
        super().write(offset, data)
        self.writes.append((offset, len(data)))

    def flush(self) -> None:
        self.flushes.append(len(self.writes))


def plan_of(part: Partition, size: int) -> Layouting:
    private = LAYOUT.plan(part.request(size), part.store()).private
    assert isinstance(private, Layouting)
    return private


def begun(part: Partition, size: int) -> ContiguousWriter:
    plan = LAYOUT.plan(part.request(size), part.store())
    part.vacate(plan)
    return LAYOUT.writer(part.volume, plan, part.store(), b"image written at")


@given(
    st.integers(1, 3 * MIB), st.sampled_from([1, 777, 4096, 65_536, MIB, 5 * MIB]),
    st.sampled_from([512, 4096, 65_536]), st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_stream_in_any_pieces_reads_back(size: int, pieces: int, cluster: int, seed: int) -> None:
    part = Partition(MemoryVolume(6 * MIB), cluster, data_start=65_536 + 512)
    chance = random.Random(seed)
    holes = [chance.randrange(part.data_start, part.data_end) for _ in range(chance.randrange(12))]
    part.immovable = (
        Extents([(at, at + 1) for at in holes]).shift(-part.data_start).align_out(cluster).shift(part.data_start)
    )
    stream = stream_of(size, seed)
    image_id = part.create(stream, pieces=max(pieces, size // 500))
    store = part.store()
    assert content(store, image_id) == stream
    assert not store.findings
    assert part.claims["toc_end"].runs.extents().end <= part.data_end


def test_writes_are_whole_units_and_headers() -> None:
    volume = Watched(128 * MIB)
    part = Partition(volume)
    chance = random.Random(3)
    size = 60 * MIB + 12_345
    writer = begun(part, size)
    stream, at = memoryview(stream_of(size)), 0
    while at < size:
        step = chance.choice((1, 200, 4096, 300_000, 4 * MIB + 300))
        writer.write(stream[at : at + step])
        at += step
    segments = {offset for offset, length in volume.writes if length == 4096}
    large = [(offset, length) for offset, length in volume.writes if length != 4096]
    assert len(segments) > 60 // 8
    segment = plan_of(part, size).segment_size
    tails = {UNIT, (segment - 4096) % UNIT}
    assert all(length % UNIT == 0 or length in tails for _, length in large)
    assert all((offset - 4096 - part.data_start) % 4096 == 0 for offset, _ in large)
    assert sum(length for _, length in large) > size - 2 * UNIT
    whole = max(length for _, length in large)
    assert whole >= 3 * MIB


def test_segments_descend_from_the_end_and_each_is_written_forward() -> None:
    volume = Watched(64 * MIB)
    part = Partition(volume)
    image_id = part.create(stream_of(20 * MIB + 5))
    (image,) = part.store().found
    assert image.summary.image_id == image_id
    places = image.entry.placement.places.tolist()
    assert places == sorted(places, reverse=True)
    assert len(image.extents) == 1
    room = part.store().table.room.extents()
    assert image.extents.end == room.start
    assert room.end == part.claims["toc_end"].runs.extents().start


@pytest.mark.parametrize("size", [1, 4095, 4096, 60 * KIB, 60 * KIB + 1, 120 * KIB, 999_999])
def test_the_last_segment_is_slid_up_and_its_slack_is_zero(size: int) -> None:
    part = Partition(MemoryVolume(b"\xaa" * (8 * MIB)))
    part.create(stream_of(size))
    (image,) = part.store().found
    placement = image.entry.placement
    assert len(image.extents) == 1
    assert image.extents.total - size - 4096 * len(placement) < 4096
    start, length = placement.segment_runs(len(placement) - 1)[0]
    slack = part.volume.read(start + 4096 + int(placement.payloads[-1]), length - 4096 - int(placement.payloads[-1]))
    assert not any(slack)


def test_nothing_outside_the_region_is_touched() -> None:
    part = Partition(MemoryVolume(b"\x5a" * (16 * MIB)), immovable=Extents.span(12 * MIB, 13 * MIB))
    plan = LAYOUT.plan(part.request(6 * MIB), None)
    writer = LAYOUT.writer(part.volume, plan, None, bytes(16))
    for piece in cut(stream_of(5 * MIB), 70_000):
        writer.write(piece)
    writer.finish(part.summary(bytes(16), b"", "image", "user"))
    tx = Transaction(part.volume)
    change = writer.publish(tx)
    tx.commit(writer.journal())
    for start, end in plan.region.complement(0, part.volume.size):
        assert part.volume.data[start:end] == b"\x5a" * (end - start)
    claimed = Extents([(start, start + length) for claim in change.claims for start, length in claim.runs])
    assert plan.region.covers(claimed)


def test_finish_flushes_and_announces_nothing() -> None:
    volume = Watched(8 * MIB)
    part = Partition(volume)
    writer = begun(part, MIB)
    writer.write(stream_of(900_000))
    writer.finish(part.summary(b"image written at", b"", "image", "user"))
    assert volume.flushes == [len(volume.writes)]
    for method in SearchMethod:
        assert not [image for store in LAYOUT.locate(volume, Search(method)) for image in store.images]


def test_more_than_planned_is_refused_and_can_be_abandoned() -> None:
    part = Partition(MemoryVolume(8 * MIB))
    plan = LAYOUT.plan(part.request(MIB), None)
    writer = LAYOUT.writer(part.volume, plan, None, bytes(16))
    writer.write(bytes(plan.capacity))
    with pytest.raises(NoSpace) as caught:
        writer.write(b"x")
    assert str(plan.capacity) in caught.value.message
    writer.abandon()
    with pytest.raises(IntegrityError):
        writer.publish(Transaction(part.volume))


def test_an_empty_stream_is_refused() -> None:
    part = Partition(MemoryVolume(8 * MIB))
    writer = begun(part, MIB)
    with pytest.raises(IntegrityError):
        writer.finish(part.summary(bytes(16), b"", "image", "user"))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Fabrik 1", "Fabrik_1"), ("../../etc/passwd", "etc_passwd"), ("con", "image_con"),
        ("TOC_END", "image_TOC_END"), ("äöü", "image"), ("a" * 200, "a" * 40),
        ("...", "image"), ("x.001", "x_001"), ("inter3", "image_inter3"),
    ],
)  # fmt: skip
def test_file_names_are_plain_and_unique(name: str, stem: str) -> None:
    part = Partition(MemoryVolume(8 * MIB))
    part.create(b"one", name)
    part.create(b"two", name.swapcase())
    first, second = part.store().images
    assert first.files == (f"{stem}.ipi",)
    assert second.files[0].lower() in {f"{stem}-2.ipi".lower(), f"{stem}.ipi".swapcase().lower()}
    assert len({file.lower() for file in first.files + second.files}) == 2
    assert first.summary.name == name
