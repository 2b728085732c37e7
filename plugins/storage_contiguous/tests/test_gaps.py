"""Gaps that removed images leave between others: the next image fills them, and no cut on the way costs an image."""

from __future__ import annotations

import pytest
from inpart.contracts import Search, SearchMethod
from inpart.extents import Extents
from inpart.testing.layout_ground import committed
from inpart.testing.powercut import RecordingVolume
from inpart.transaction import find_journal, replay, retire
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume, Volume
from partition_rig import LAYOUT, Partition, content, stream_of


def with_gap(size: int = 32 * MIB) -> tuple[Partition, Extents, dict[bytes, bytes]]:
    """Three images of 2 MiB, the middle one removed: the partition, what that one owned, the streams of the others."""
    part = Partition(MemoryVolume(size))
    streams = [stream_of(2 * MIB, number) for number in range(3)]
    ids = [part.create(stream, f"image {number}") for number, stream in enumerate(streams)]
    before = part.owned
    part.remove(ids[1])
    return part, before - part.owned, {ids[0]: streams[0], ids[2]: streams[2]}


def holds(part: Partition, streams: dict[bytes, bytes]) -> None:
    store = part.store()
    assert store is not None
    assert {image.summary.image_id: content(store, image.summary.image_id) for image in store.images} == streams
    assert not store.findings


@pytest.mark.parametrize("size", [MIB, 2 * MIB - 64 * KIB])
def test_an_image_that_fits_takes_the_gap(size: int) -> None:
    part, gap, streams = with_gap()
    lowest = part.owned.start
    image_id = part.create(stream_of(size, 9), "new", upper=8 * MIB, expected=size)
    holds(part, {**streams, image_id: stream_of(size, 9)})
    place = next(image.extents for image in part.store().images if image.summary.image_id == image_id)
    assert gap.covers(place)
    assert lowest - part.owned.start <= 16 * KIB
    assert part.claims["toc_begin"].runs.extents().start == part.owned.start


def test_one_that_does_not_fills_it_and_goes_on_below() -> None:
    part, gap, streams = with_gap()
    lowest, size = part.owned.start, 3 * MIB
    image_id = part.create(stream_of(size, 9), "new")
    holds(part, {**streams, image_id: stream_of(size, 9)})
    assert (gap - part.owned).total <= 64 * KIB
    assert lowest - part.owned.start < size - gap.total + 256 * KIB


def test_files_in_the_gap_stay_where_they_are() -> None:
    part, gap, streams = with_gap()
    part.used = Extents.span(gap.start + 40 * KIB, gap.end - 64 * KIB)
    plan = LAYOUT.plan(part.request(MIB), part.store())
    assert not plan.vacate
    image_id = part.create(stream_of(MIB, 9), "new")
    holds(part, {**streams, image_id: stream_of(MIB, 9)})


def test_images_come_and_go_in_the_same_place() -> None:
    part, _, streams = with_gap()
    lows = []
    for number in range(6):
        image_id = part.create(stream_of(MIB + number * 3000, 9), f"new {number}", upper=8 * MIB, expected=MIB)
        holds(part, {**streams, image_id: stream_of(MIB + number * 3000, 9)})
        lows.append(part.owned.start)
        part.remove(image_id)
        holds(part, streams)
    assert len(set(lows)) == 1


def test_without_tables_all_of_them_are_found_again() -> None:
    part, _, streams = with_gap()
    image_id = part.create(stream_of(MIB, 9), "new", upper=8 * MIB, expected=MIB)
    streams[image_id] = stream_of(MIB, 9)
    for name in ("toc_end", "toc_begin"):
        for start, length in part.claims[name].runs:
            part.volume.write(start, bytes(length))
    assert found_by_scan(part.volume) == streams


def test_no_cut_costs_an_image() -> None:
    part, _, streams = with_gap(16 * MIB)
    recording = part.volume = RecordingVolume(part.volume)
    image_id = part.create(stream_of(MIB, 9), "new", upper=4 * MIB, expected=MIB)
    after = {**streams, image_id: stream_of(MIB, 9)}
    outcomes = []
    for cut, disk in recording.disks(recording.cuts(torn=2)):
        assert found_by_scan(disk) in (streams, after), cut
        for journal in find_journal(disk, [part.store().journal()]):
            if journal.unfinished_work:
                replay(disk, journal)
                retire(disk, journal)
                assert found_by_scan(disk) == after, cut
        outcomes.append(found_by_scan(disk) == after)
    assert {True, False} == set(outcomes)


def found_by_scan(volume: Volume) -> dict[bytes, bytes]:
    """The streams of all committed images, found without a file system."""
    found = committed(LAYOUT.locate(volume, Search(SearchMethod.PARTITION)))
    return {image_id: (stream := store.open(image_id)).read(0, stream.size) for image_id, (store, _) in found.items()}
