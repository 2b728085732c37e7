"""Finding containers and their parts after every kind of loss, on partitions and on whole disks."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest
from inpart.contracts import Claim, LayoutOptions, Search, SearchMethod, Severity, StoreChange
from inpart.errors import IntegrityError, NoImageFound, VolumeError
from inpart.extents import Extents, Runs
from inpart.testing.damage import randomise_range, zero_range
from inpart.testing.faults import FaultyVolume
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import FileVolume, MemoryVolume, SliceVolume
from inpart_storage_contiguous.store import ContiguousStore
from partition_rig import LAYOUT, Partition, content, stream_of

SCANS = (SearchMethod.PARTITION, SearchMethod.DISK)
SIZES = (900_000, 20, 300_000)


@pytest.fixture(params=["zeroed", "overwritten"])
def wreck(request: pytest.FixtureRequest) -> object:
    """Two ways to lose bytes."""

    def damage(volume: MemoryVolume, extents: Extents) -> None:
        for start, end in extents:
            if request.param == "zeroed":
                zero_range(volume, start, end)
            else:
                randomise_range(volume, 7, start, end)

    return damage


def filled(size: int = 16 * MIB, seed: int = 0) -> tuple[Partition, dict[bytes, bytes]]:
    part = Partition(MemoryVolume(size))
    streams = {}
    for number, length in enumerate(SIZES):
        stream = stream_of(length, seed + number)
        streams[part.create(stream, f"image {seed + number}", "factory" if number == 0 else "user")] = stream
    return part, streams


def place(part: Partition, *names: str) -> Extents:
    found = Extents()
    for name in names:
        found |= part.claims[name].runs.extents()
    return found


def locate(part: Partition, method: SearchMethod) -> list[ContiguousStore]:
    return LAYOUT.locate(part.volume, Search(method, claims=tuple(part.claims.values())))


def codes(store: ContiguousStore) -> set[str]:
    return {finding.code for finding in store.findings}


def expect(store: ContiguousStore, streams: dict[bytes, bytes], state: str = "committed") -> None:
    assert {image.summary.image_id: image.state for image in store.images} == dict.fromkeys(streams, state)
    for image_id, stream in streams.items():
        assert content(store, image_id) == stream


@pytest.mark.parametrize("method", [SearchMethod.CLAIMS, SearchMethod.FIXED, *SCANS])
def test_an_intact_container_is_found_without_findings(method: SearchMethod) -> None:
    part, streams = filled()
    (store,) = locate(part, method)
    expect(store, streams)
    assert (store.base, store.findings, store.partition_size) == (0, (), part.volume.size)
    assert {claim.name: claim for claim in store.claims().claims} == part.claims
    assert part.claims["toc_end"].runs.extents().covers(store.journal().extents())
    with pytest.raises(NoImageFound):
        store.open(bytes(16))
    with pytest.raises(VolumeError):
        store.open(next(iter(streams))).write(0, b"x")


@pytest.mark.parametrize("method", [SearchMethod.CLAIMS, SearchMethod.FIXED, *SCANS])
def test_toc_end_lost(method: SearchMethod, wreck: object) -> None:
    part, streams = filled()
    wreck(part.volume, place(part, "toc_end"))
    (store,) = locate(part, method)
    expect(store, streams)
    assert codes(store) == {"container.toc-end-lost"}


@pytest.mark.parametrize("method", [SearchMethod.CLAIMS, SearchMethod.FIXED, *SCANS])
def test_toc_begin_lost(method: SearchMethod, wreck: object) -> None:
    part, streams = filled()
    wreck(part.volume, place(part, "toc_begin"))
    (store,) = locate(part, method)
    expect(store, streams)
    assert codes(store) == {"container.toc-begin-lost"}


@pytest.mark.parametrize("method", [SearchMethod.CLAIMS, *SCANS])
def test_both_tables_lost(method: SearchMethod, wreck: object) -> None:
    part, streams = filled()
    before = part.store()
    wreck(part.volume, place(part, "toc_end", "toc_begin"))
    (store,) = locate(part, method)
    expect(store, streams)
    assert codes(store) == {"container.tables-lost"}
    for old, new in zip(before.images, store.images, strict=True):
        assert old.summary == new.summary
        assert (old.extents, old.files) == (new.extents, new.files)


@pytest.mark.parametrize("method", [SearchMethod.CLAIMS, *SCANS])
def test_only_segments_left(method: SearchMethod, wreck: object) -> None:
    part, streams = filled()
    wreck(part.volume, place(part, "toc_end", "toc_begin", "inter1", "inter2"))
    (store,) = locate(part, method)
    expect(store, streams)
    assert [image.summary.name for image in store.images] == ["image 0", "image 1", "image 2"]
    assert [image.summary.kind for image in store.images] == ["factory", "user", "user"]
    assert [image.summary.image_bytes for image in store.images] == [7 * size for size in SIZES]


@pytest.mark.parametrize("method", [SearchMethod.CLAIMS, *SCANS])
def test_only_a_partial_table_and_its_image_left(method: SearchMethod, wreck: object) -> None:
    part, streams = filled()
    image_id, stream = next(iter(streams.items()))
    headers = part.store().found[0].entry.placement.places.tolist()
    kept = place(part, "inter1", "image_0.ipi")
    wreck(part.volume, kept.complement(0, part.volume.size) | Extents.from_starts(headers, 512))
    (store,) = locate(part, method)
    expect(store, {image_id: stream})
    assert store.images[0].summary.system
    assert len([finding for finding in store.findings if finding.code == "container.segment-header"]) == len(headers)


def test_a_lost_segment_leaves_a_partial_image_and_the_others_whole(wreck: object) -> None:
    part, streams = filled()
    victim, stream = next(iter(streams.items()))
    places = part.store().found[0].entry.placement
    lost = Extents.span(int(places.runs[2, 0]), int(places.runs[2].sum()))
    wreck(part.volume, place(part, "toc_end", "toc_begin", "inter1", "inter2") | lost)
    (store,) = locate(part, SearchMethod.PARTITION)
    assert [image.state for image in store.images] == ["partial", "committed", "committed"]
    begin, length = int(places.payloads[:2].sum()), int(places.payloads[2])
    assert content(store, victim) == stream[:begin] + bytes(length) + stream[begin + length :]
    expect(replace(store, found=store.found[1:]), {key: streams[key] for key in list(streams)[1:]})
    kept = [claim for claim in store.claims().claims if claim.name in store.images[0].files]
    assert [claim.name for claim in kept] == [f"partial_{victim.hex()[:8]}.ipi"]
    assert kept[0].runs.extents() == store.images[0].extents


def test_without_its_first_segment_an_image_has_no_name_but_its_id() -> None:
    part, streams = filled()
    first = part.store().found[0].entry.placement.segment_runs(0)
    lost = Extents([(start, start + length) for start, length in first])
    for start, end in lost | place(part, "toc_end", "toc_begin", "inter1", "inter2"):
        zero_range(part.volume, start, end)
    (store,) = locate(part, SearchMethod.PARTITION)
    image = {image.summary.image_id: image for image in store.images}[next(iter(streams))]
    assert (image.state, image.summary.name) == ("stray", f"image-{image.summary.image_id.hex()[:8]}")
    assert not image.named


def test_each_damaged_segment_header_is_named_and_harmless() -> None:
    part, streams = filled()
    headers = part.store().found[0].entry.placement.places.tolist()
    zero_range(part.volume, headers[3], headers[3] + 512)
    store = part.store()
    expect(store, streams)
    (finding,) = store.findings
    assert (finding.code, finding.where) == ("container.segment-header", f"byte {headers[3]}")
    assert "segment 3 of image image 0" in finding.message


@pytest.mark.parametrize("lost", [("toc_end",), ("toc_begin",), ("inter1", "inter2"), ("toc_end", "toc_begin")])
def test_repair_writes_lost_tables_again(lost: tuple[str, ...]) -> None:
    part, streams = filled()
    for start, end in place(part, *lost):
        zero_range(part.volume, start, end)
    (store,) = locate(part, SearchMethod.PARTITION)
    assert store.findings
    part.repair(store)
    for method in (SearchMethod.CLAIMS, SearchMethod.FIXED, *SCANS):
        (mended,) = locate(part, method)
        expect(mended, streams)
        assert not mended.findings
    stream = stream_of(50_000, 9)
    streams[part.create(stream, "after repair")] = stream
    expect(part.store(), streams)


def test_after_the_loss_of_all_tables_nothing_is_left_to_mend() -> None:
    part, streams = filled()
    for start, end in place(part, "toc_end", "toc_begin", "inter1", "inter2"):
        zero_range(part.volume, start, end)
    (store,) = locate(part, SearchMethod.PARTITION)
    assert [image.summary.image_id for image in store.images] == list(streams)
    part.repair(store)
    for method in (SearchMethod.CLAIMS, SearchMethod.FIXED, *SCANS):
        (mended,) = locate(part, method)
        expect(mended, streams)
        assert {(finding.code, finding.severity) for finding in mended.findings} == {
            ("container.no-toc-begin", Severity.NOTE)
        }
    stream = stream_of(50_000, 9)
    streams[part.create(stream, "after repair")] = stream
    expect(part.store(), streams)
    assert not part.store().findings


def test_repair_writes_headers_again_if_their_payload_is_whole() -> None:
    part, streams = filled()
    before = bytes(part.volume.data)
    places = [image.entry.placement.places.tolist() for image in part.store().found]
    for place in (places[0][0], places[0][3], places[2][-1]):
        randomise_range(part.volume, 3, place, place + 4096)
    part.volume.data[places[2][-1] + 5000] ^= 1
    part.repair(part.store())
    assert {finding.where for finding in part.store().findings} == {f"byte {places[2][-1]}"}
    last = places[2][-1]
    assert part.volume.data[:last] + part.volume.data[last + 8192 :] == before[:last] + before[last + 8192 :]
    part.volume.data[places[2][-1] + 5000] ^= 1
    part.repair(part.store())
    assert part.volume.data == before
    (only,) = places[1]
    randomise_range(part.volume, 3, only, only + 4096)
    part.repair(part.store())
    assert not part.store().findings
    expect(part.store(), streams)


@pytest.mark.parametrize("victim", range(len(SIZES)))
def test_removed_images_do_not_come_back(victim: int) -> None:
    part, streams = filled()
    gone = list(streams)[victim]
    part.remove(gone)
    del streams[gone]
    for method in (SearchMethod.CLAIMS, SearchMethod.FIXED, *SCANS):
        (store,) = locate(part, method)
        expect(store, streams)
        assert not store.findings
    tables = [name for name in part.claims if not name.startswith("image")]
    for start, end in place(part, *tables):
        zero_range(part.volume, start, end)
    (store,) = locate(part, SearchMethod.PARTITION)
    expect(store, streams)
    with pytest.raises(NoImageFound):
        store.open(gone)


def test_when_the_last_image_goes_nothing_is_left() -> None:
    part, streams = filled()
    part.remove(*streams)
    assert not part.claims
    for method in (SearchMethod.FIXED, *SCANS):
        assert not [image for store in locate(part, method) for image in store.images]
    part.create(stream_of(100), "new")
    with pytest.raises(NoImageFound):
        part.remove(bytes(16))


def disk_with(*parts: tuple[int, Partition], size: int = 64 * MIB) -> MemoryVolume:
    disk = MemoryVolume(size)
    for start, part in parts:
        disk.write(start, part.volume.data)
    return disk


def test_several_partitions_of_a_disk_without_a_table() -> None:
    one, first = filled(seed=0)
    two, second = filled(seed=10)
    disk = disk_with((63 * 512, one), (20 * MIB, two))
    stores = sorted(LAYOUT.locate(disk, Search(SearchMethod.DISK)), key=lambda store: store.base)
    assert [store.base for store in stores] == [63 * 512, 20 * MIB]
    expect(stores[0], first)
    expect(stores[1], second)
    assert not stores[0].findings + stores[1].findings


def test_a_partition_whose_start_was_cut_off_is_found_before_the_volume() -> None:
    part, streams = filled()
    cut = SliceVolume(part.volume, MIB, part.volume.size - MIB)
    for method in SCANS:
        (store,) = LAYOUT.locate(cut, Search(method))
        assert store.base == -MIB
        expect(store, streams)


def test_a_disk_that_ends_inside_the_container_is_said_so() -> None:
    part, _ = filled()
    low = part.store().found[1].extents.end
    volume = MemoryVolume(part.volume.data[:low])
    (store,) = LAYOUT.locate(volume, Search(SearchMethod.PARTITION))
    states = {image.summary.name: image.state for image in store.images}
    assert states == {"image 0": "partial", "image 1": "committed", "image 2": "committed"}
    assert "container.beyond-volume" in codes(store)
    assert Severity.ERROR in {finding.severity for finding in store.findings}


def test_an_image_of_a_disk_image_with_a_container_in_it_hides_nothing() -> None:
    inner, _ = filled(2 * MIB + 512 * KIB, seed=50)
    outer = Partition(MemoryVolume(16 * MIB), made=100)
    stream = bytes(inner.volume.data)
    image_id = outer.create(stream, "holds a disk image")
    for method in (SearchMethod.CLAIMS, SearchMethod.FIXED, *SCANS):
        (store,) = locate(outer, method)
        expect(store, {image_id: stream})


def test_a_disk_image_lying_in_a_file_hides_nothing() -> None:
    inner, _ = filled(2 * MIB + 512 * KIB, seed=50)
    part, streams = filled()
    part.volume.write(MIB, inner.volume.data)
    (store,) = locate(part, SearchMethod.PARTITION)
    expect(store, streams)
    assert sorted(store.base for store in locate(part, SearchMethod.DISK)) == [0, MIB]


def test_a_stale_container_of_the_whole_disk_does_not_hide_the_partitions() -> None:
    disk, _ = filled(32 * MIB)
    part, streams = filled(8 * MIB, seed=20)
    disk.volume.write(MIB, part.volume.data)
    found = {store.base: store for store in locate(disk, SearchMethod.PARTITION)}
    assert set(found) == {0, MIB}
    expect(found[MIB], streams)


def test_a_new_container_over_an_old_one_counts() -> None:
    part, _ = filled()
    fresh = Partition(part.volume)
    stream = stream_of(100_000, 77)
    image_id = fresh.create(stream, "after mkfs")
    for method in (SearchMethod.CLAIMS, SearchMethod.FIXED, *SCANS):
        best, *others = locate(fresh, method)
        expect(best, {image_id: stream})
        assert not best.findings
        for store in others:
            assert {image.state for image in store.images} <= {"partial"}
            assert "container.superseded" in codes(store) or store.rebuilt


def test_an_unfinished_image_is_garbage_that_is_named() -> None:
    part, streams = filled()
    stream = stream_of(100_000, 5)
    plan = LAYOUT.plan(part.request(len(stream)), part.store())
    writer = LAYOUT.writer(part.volume, plan, part.store(), b"unfinished image")
    writer.write(stream)
    writer.finish(part.summary(b"unfinished image", stream, "cut short", "user"))
    (store,) = locate(part, SearchMethod.PARTITION)
    expect(store, streams)
    assert codes(store) == {"container.unfinished-image"}
    for start, end in place(part, "toc_end", "toc_begin", "inter1", "inter2"):
        zero_range(part.volume, start, end)
    (store,) = locate(part, SearchMethod.PARTITION)
    expect(store, streams)
    assert codes(store) == {"container.unfinished-image", "container.tables-lost"}


def test_growing_a_container_that_lost_toc_end_keeps_a_valid_table_at_every_moment() -> None:
    part, streams = filled()
    for start, end in place(part, "toc_end"):
        zero_range(part.volume, start, end)
    old = part.claims["toc_begin"].runs.extents()
    before = part.volume.read(old.start, old.total)
    stream = stream_of(10_000, 8)
    streams[part.create(stream, "grown")] = stream
    assert part.volume.read(old.start, old.total) == before
    store = part.store()
    expect(store, streams)
    assert codes(store) == {"container.inter-lost"}
    part.repair(store)
    assert not part.store().findings


@pytest.mark.parametrize("method", [SearchMethod.FIXED, *SCANS])
def test_unreadable_sectors_do_not_stop_a_scan(method: SearchMethod) -> None:
    part, streams = filled()
    bad = Extents([(5 * MIB, 5 * MIB + 512), (15 * MIB + 4096, 15 * MIB + 8192)])
    volume = FaultyVolume(part.volume, unreadable=bad)
    (store,) = LAYOUT.locate(volume, Search(method))
    assert {image.summary.image_id for image in store.images} == set(streams)


def test_places_of_an_aid_lead_to_the_container() -> None:
    part, streams = filled()
    disk = disk_with((MIB, part))
    offset = MIB + part.claims["toc_end"].runs.extents().start
    (store,) = LAYOUT.locate(disk, Search(SearchMethod.AID, places=(3, 10**15, offset)))
    expect(store, streams)
    assert store.base == MIB


def test_a_sparse_disk_is_scanned_in_the_time_of_its_data(tmp_path: object) -> None:
    part, streams = filled()
    with FileVolume.create(f"{tmp_path}/disk.img", 4 << 40) as disk:
        start = (3 << 40) + 12 * 512
        disk.write(start, part.volume.data)
        (store,) = LAYOUT.locate(disk, Search(SearchMethod.DISK))
        assert store.base == start
        expect(store, streams)


def one_bit_flips(low: int, high: int) -> Iterator[int]:
    return iter(range(low * 8, high * 8, 1499))


def test_no_flipped_bit_in_a_structure_goes_unnoticed_or_loses_an_image() -> None:
    part, streams = filled()
    table = part.store().table
    tables = (table.geometry.slot_offset(0), *table.control_offsets().values())
    places = [(offset, int.from_bytes(part.volume.read(offset + 152, 4), "little")) for offset in tables]
    places += [(int(offset), 4096) for image in part.store().found for offset in image.entry.placement.places[:2]]
    names = {image.summary.image_id: image.summary for image in part.store().images}
    for offset, length in places:
        for bit in one_bit_flips(offset, offset + length):
            part.volume.data[bit // 8] ^= 1 << bit % 8
            store = part.store()
            assert {image.summary.image_id: image.summary for image in store.images} == names
            assert store.findings, f"bit {bit % 8} of byte {bit // 8 - offset} of the structure at {offset}"
            part.volume.data[bit // 8] ^= 1 << bit % 8
    expect(part.store(), streams)


def test_old_generations_do_not_mislead() -> None:
    part, streams = filled()
    slots = [part.store().table.geometry.slot_offset(slot) for slot in (0, 1)]
    generations = [struct.unpack("<Q", part.volume.read(slot + 72, 8))[0] for slot in slots]
    assert sorted(generations) == [2, 3]
    newest = slots[generations.index(3)]
    zero_range(part.volume, newest, newest + 512)
    zero_range(part.volume, *next(iter(place(part, "toc_begin"))))
    (store,) = locate(part, SearchMethod.FIXED)
    assert store.doubtful
    assert {image.summary.image_id for image in store.images} >= set(list(streams)[:2])
    for method in (SearchMethod.CLAIMS, *SCANS):
        (store,) = locate(part, method)
        expect(store, streams)
        assert codes(store) >= {"container.toc-begin-lost", "container.table-outdated"}
    part.repair(store)
    assert [(finding.code, finding.severity) for finding in part.store().findings] == [
        ("container.no-toc-begin", Severity.NOTE)
    ]
    stream = stream_of(70_000, 12)
    streams[part.create(stream, "one more")] = stream
    (store,) = locate(part, SearchMethod.FIXED)
    expect(store, streams)
    assert not store.findings


def test_claims_show_that_the_tables_are_from_before_a_commit() -> None:
    """As after a power cut in the last stage, when only the first segment had arrived."""
    part, streams = filled()
    tables = part.store().table.geometry.toc_end_offset, part.store().table.geometry.toc_end_size
    places = Extents([(tables[0], sum(tables)), *place(part, "toc_begin")])
    before = [(start, part.volume.read(start, end - start)) for start, end in places]
    stream = stream_of(50_000, 13)
    streams[part.create(stream, "newest")] = stream
    zero_range(part.volume, *next(iter(place(part, "toc_begin"))))
    for start, content_before in before:
        part.volume.write(start, content_before)
    for method in (SearchMethod.CLAIMS, *SCANS):
        (store,) = locate(part, method)
        expect(store, streams)
        assert "container.table-outdated" in codes(store)
    part.repair(part.store())
    expect(part.store(), streams)
    boot = part.volume.read(0, part.data_start)
    streams[part.create(stream_of(20_000, 18), "after it")] = stream_of(20_000, 18)
    expect(part.store(), streams)
    assert part.volume.read(0, part.data_start) == boot
    assert not part.store().findings


@pytest.mark.parametrize("limit", [64 * MIB, 256 * KIB])
def test_files_of_a_change_that_was_given_up_are_given_back(limit: int) -> None:
    """As after a cut between the claim and the tables, when the system was used instead of resumed."""
    part = Partition(MemoryVolume(16 * MIB), options=LayoutOptions(segment_size=64 * KIB, file_limit=limit))
    stream = stream_of(900_000, 14)
    _claim_only(part, stream, "new")
    (store,) = locate(part, SearchMethod.CLAIMS)
    assert (store.images, codes(store)) == ((), {"container.unfinished-image", "container.abandoned-files"})
    part.repair(store)
    assert (part.claims, part.store()) == ({}, None)
    expect_after = {part.create(stream, "new"): stream}
    expect(part.store(), expect_after)
    assert not part.store().findings


def test_a_change_given_up_leaves_the_images_before_it() -> None:
    part, streams = filled()
    before = dict(part.claims)
    _claim_only(part, stream_of(900_000, 16), "new")
    (store,) = locate(part, SearchMethod.CLAIMS)
    expect(store, streams)
    assert "container.abandoned-files" in codes(store)
    part.repair(store)
    assert part.claims == before
    streams[part.create(stream_of(900_000, 17), "new")] = stream_of(900_000, 17)
    expect(part.store(), streams)
    assert not part.store().findings


def test_files_of_what_may_be_an_image_stay() -> None:
    part = Partition(MemoryVolume(16 * MIB))
    _claim_only(part, stream_of(100_000, 15), "new")
    part.apply(StoreChange(claims=(Claim("old.ipi", Runs(((64 * KIB, 4 * KIB),)), 4 * KIB),)))
    (store,) = locate(part, SearchMethod.CLAIMS)
    assert "container.abandoned-files" not in codes(store)
    claims = dict(part.claims)
    part.repair(store)
    assert part.claims == claims


def _claim_only(part: Partition, stream: bytes, name: str) -> None:
    """All of a create but what its transaction edits in the tables and headers."""
    plan = LAYOUT.plan(part.request(len(stream)), part.store())
    writer = LAYOUT.writer(part.volume, plan, part.store(), b"never committed!")
    writer.write(stream)
    writer.finish(part.summary(b"never committed!", stream, name, "user"))
    part.apply(writer.publish(Transaction(part.volume)))


def test_remove_commits_before_clusters_are_freed() -> None:
    part, streams = filled()
    tx = Transaction(part.volume)
    part.store().remove([next(iter(streams))], tx)
    assert tx.edited()
    stages = {name for name, patch in tx._stages.items() if patch}
    assert [stage.name for stage in stages] == ["MARK"]


def test_what_a_deletion_left_that_was_given_up_is_given_back() -> None:
    """A checker may have freed some files and not others; a new container can be made beside them."""
    part, streams = filled()
    tx = Transaction(part.volume)
    part.store().remove(list(streams), tx)
    tx.commit(None)
    for left in (set(part.claims), {"inter1", "toc_begin"}):
        part.claims = {name: claim for name, claim in part.claims.items() if name in left}
        (store,) = locate(part, SearchMethod.CLAIMS)
        assert (store.images, codes(store), store.extents()) == ((), {"container.abandoned-files"}, Extents())
        assert set(store.repair(Transaction(part.volume)).release) == left
        assert not store.claims().claims
    assert LAYOUT.plan(part.request(MIB), store).region
    with pytest.raises(NoImageFound):
        store.open(bytes(16))


def move(part: Partition, names: tuple[str, ...], *, wiped: bool) -> None:
    """What a defragmenter does to files; ``wiped`` if somebody has used their old clusters since."""
    at = MIB
    for name in names:
        claim, runs = part.claims[name], []
        for start, length in [piece for run in claim.runs for piece in pieces(*run)]:
            part.volume.write(at, part.volume.read(start, length))
            if wiped:
                randomise_range(part.volume, 1, start, start + length)
            runs.append((at, length))
            at += length + 4 * KIB * (len(runs) % 2)
        part.claims[name] = replace(claim, runs=Runs(runs))


@pytest.mark.parametrize(
    "victims", [("image_0.ipi",), ("toc_end", "toc_begin", "inter1", "image_0.ipi", "image_2.ipi")]
)
def test_files_moved_by_a_defragmenter_are_read_where_the_file_system_has_them(victims: tuple[str, ...]) -> None:
    part, streams = filled()
    move(part, victims, wiped=True)
    (store,) = locate(part, SearchMethod.CLAIMS)
    expect(store, streams)
    assert codes(store) == {"container.moved"}
    assert {claim.name: claim for claim in store.claims().claims} == part.claims
    assert store.extents() == part.owned
    assert part.claims["toc_end"].runs.extents().covers(store.journal().extents())
    for refused in (lambda: store.remove(list(streams)[:1], Transaction(part.volume)), store.growable):
        with pytest.raises(IntegrityError) as caught:
            refused()
        assert caught.value.hint
    tx = Transaction(part.volume)
    assert set(store.remove(list(streams), tx).release) == set(part.claims)
    assert part.owned.covers(tx.changed())
    tx.commit(None)
    assert not [one for method in SearchMethod for store in locate(part, method) for one in store.images]


def test_files_moved_but_whole_in_their_old_place_can_be_claimed_again() -> None:
    part, streams = filled()
    wanted = dict(part.claims)
    move(part, ("toc_end", "image_0.ipi"), wiped=False)
    (store,) = locate(part, SearchMethod.CLAIMS)
    expect(store, streams)
    assert not store.findings
    assert {claim.name: claim for claim in store.claims().claims} == wanted


def pieces(start: int, length: int) -> list[tuple[int, int]]:
    return [(at, min(100 * KIB, start + length - at)) for at in range(start, start + length, 100 * KIB)]
