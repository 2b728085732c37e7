"""The container against docs/FORMAT.md: read by a reader that was written from the document alone."""

from __future__ import annotations

import container_reader
import pytest
from inpart.contracts import LayoutOptions, Search, SearchMethod
from inpart.errors import NoSpace
from inpart.extents import Extents
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume
from partition_rig import BIRTH, LAYOUT, Partition, content, stream_of

HOLES = Extents([(start, start + 8 * KIB) for start in range(64 * KIB, 6 * MIB, 300 * KIB)])


def three_images(cluster: int, holes: Extents, size: int = 6 * MIB) -> tuple[Partition, dict[bytes, bytes]]:
    part = Partition(MemoryVolume(size), cluster, immovable=holes, options=LayoutOptions(file_limit=300 * KIB))
    streams = {}
    for number, length in enumerate((700_000, 3, 123_457)):
        stream = stream_of(length, number)
        streams[part.create(stream, f"image {number} ä", "factory" if number == 0 else "user")] = stream
    return part, streams


@pytest.mark.parametrize("cluster", [512, 4 * KIB, 64 * KIB])
@pytest.mark.parametrize("holes", [Extents(), HOLES], ids=["solid", "holes"])
def test_the_independent_reader_sees_what_the_product_sees(cluster: int, holes: Extents) -> None:
    part, streams = three_images(cluster, holes.align_out(cluster))
    disk = bytes(part.volume.data)
    tables = [found for base, found in container_reader.tables(disk) if base == 0]
    full = [found for found in tables if found["kind"] != 3 and found["generation"] == 3]
    assert sorted(found["kind"] for found in full) == [1, 2]
    assert sorted(found["inter_number"] for found in tables if found["kind"] == 3) == [1, 2]
    (store,) = LAYOUT.locate(part.volume, Search(SearchMethod.FIXED))
    assert not store.findings
    for found in full:
        assert [one["image_id"] for one in found["entries"]] == list(streams)
        extents = store.extents()
        assert (found["container_offset"], found["container_size"]) == (extents.start, extents.total)
        for one, image in zip(found["entries"], store.images, strict=True):
            assert container_reader.stream(disk, 0, one) == streams[one["image_id"]] == content(store, one["image_id"])
            summary = image.summary
            assert (one["name"], one["kind"], one["digest"]) == (summary.name, summary.kind, summary.digest)
            assert (one["stream_size"], one["image_bytes"]) == (summary.stream_size, summary.image_bytes)
            assert tuple(one["files"]) == image.files
            assert Extents([(start, start + length) for start, length in one["runs"]]) == image.extents
            micro = one["created"] - int(BIRTH.timestamp()) * 10**6
            assert micro % 60_000_000 == BIRTH.microsecond
    assert container_reader.leftovers(disk) == streams


def test_partial_tables_name_the_image_above_them() -> None:
    part, streams = three_images(4 * KIB, Extents())
    partial = {
        found["inter_number"]: found
        for _, found in container_reader.tables(bytes(part.volume.data))
        if found["kind"] == 3
    }
    for number, image_id in enumerate(list(streams)[:2], 1):
        (one,) = partial[number]["entries"]
        assert one["image_id"] == image_id
        place = part.claims[f"inter{number}"].runs.extents()
        assert (one["inter_number"], one["inter_offset"]) == (number, place.start)
        assert place.end == min(start for start, _ in one["runs"])


def test_the_container_is_solid_from_toc_begin_to_the_last_cluster() -> None:
    part, _ = three_images(4 * KIB, Extents())
    room = part.store().table.room.extents()
    assert part.owned | room == Extents.span(part.claims["toc_begin"].runs.extents().start, part.data_end)
    assert part.claims["toc_end"].runs.extents().end == part.data_end


def test_files_are_whole_segments_in_stream_order_below_the_limit() -> None:
    part, streams = three_images(4 * KIB, HOLES.align_out(4 * KIB))
    stream = next(iter(streams.values()))
    files = [part.claims[name] for name in part.store().images[0].files]
    assert [file.name.rsplit(".", 1)[1] for file in files] == ["ipi", "001", "002"]
    assert all(file.size < 300 * KIB for file in files)
    joined = b"".join(part.volume.read(start, length) for file in files for start, length in file.runs)
    found, at = b"", 0
    while at < len(joined):
        length = int.from_bytes(joined[at + 80 : at + 88], "little")
        runs = int.from_bytes(joined[at + 100 : at + 102], "little")
        found += joined[at + 4096 : at + 4096 + length]
        at += sum(int.from_bytes(joined[at + 520 + 16 * n : at + 528 + 16 * n], "little") for n in range(runs))
    assert found == stream


def test_copies_of_system_areas_are_in_the_table_as_long_as_there_is_room() -> None:
    part = Partition(MemoryVolume(64 * MIB))
    part.create(stream_of(1000), "roomy")
    (found,) = [found for _, found in container_reader.tables(bytes(part.volume.data)) if found["kind"] == 1]
    areas = found["entries"][0]["areas"]
    assert areas == {"boot-sector": (0, bytes(510) + b"\x55\xaa"), "partition-table": (0, bytes(range(256)))}
    assert part.store().images[0].summary.system == areas
    assert container_reader.segment(bytes(part.volume.data), 0, found["entries"][0]["runs"][0][0])["areas"] == areas


def test_a_full_slot_drops_copies_of_system_areas_then_refuses_before_writing() -> None:
    part = Partition(MemoryVolume(6 * MIB))
    number = 0
    while fits(part):
        part.create(stream_of(1000 + number, number), f"image {number}")
        number += 1
    before = bytes(part.volume.data)
    with pytest.raises(NoSpace, match="table of contents"):
        part.create(stream_of(1000), "one too many")
    assert bytes(part.volume.data) == before
    store = part.store()
    assert not store.findings
    assert number == len(store.images) > 8
    assert [bool(image.summary.system) for image in store.images].count(True) <= 1
    assert [image.summary.name for image in store.images] == [f"image {number}" for number in range(number)]


def fits(part: Partition) -> bool:
    try:
        LAYOUT.plan(part.request(1000), part.store())
    except NoSpace:
        return False
    return True
