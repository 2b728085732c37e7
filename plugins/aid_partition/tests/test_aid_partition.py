"""The recovery partition: cuts at every write, what stays of others, damage, little room, and hostile bytes."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import partition_reader
import pytest
from inpart.checksums import blake3_digest, crc32c
from inpart.contracts import AidRecord, AidState, ByteRun
from inpart.errors import DeviceBusy, IntegrityError, NoImageFound, NoSpace, UsageError
from inpart.testing.aid_kit import RECORD
from inpart.testing.powercut import recorded_file
from inpart.units import KIB, MIB
from inpart.volume import Access, FileVolume, MemoryVolume
from inpart_aid_partition.aid import RecoveryPartition
from inpart_aid_partition.slots import HEAD, Entry, Slot, slots_on

AID = RecoveryPartition()
SIZE = 256 * KIB
SLOTS = (0, SIZE // 2)


def about(number: int, generation: int = 1, **fields: object) -> AidRecord:
    """A record of the partition ``number`` of the disk."""
    update = {
        "partition_start": number * 64 * MIB,
        "generation": generation,
        "store_ids": (f"{number:032x}",),
        **fields,
    }
    return RECORD.model_copy(update=update)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "recovery"
    path.write_bytes(bytes(SIZE))
    return path


def found(path: Path) -> list[AidRecord]:
    """What the plugin reads; the independent reader must say the same."""
    records = AID.records(str(path))
    plain = [record.model_dump(mode="json", exclude_defaults=True) for record in records]
    assert partition_reader.records(path.read_bytes()) == plain
    return records


def large(number: int, runs: int, seed: int = 1) -> AidRecord:
    chance = random.Random(seed)
    extents = tuple(ByteRun(chance.randrange(1 << 30) * 512, 512) for _ in range(runs))
    return about(number, images=(RECORD.images[0].model_copy(update={"extents": extents}),))


def test_slots_are_written_in_turn(path: Path) -> None:
    places = []
    for generation in range(1, 5):
        AID.write(str(path), about(1, generation))
        assert found(path) == [about(1, generation)]
        with FileVolume(path) as volume:
            places.append((slots_on(volume)[0].own, slots_on(volume)[0].generation))
    assert places == [(SLOTS[0], 1), (SLOTS[1], 2), (SLOTS[0], 3), (SLOTS[1], 4)]


def test_every_partition_of_the_disk_has_its_record(path: Path) -> None:
    for number in (1, 2, 3):
        AID.write(str(path), about(number))
    AID.write(str(path), about(2, 2))
    assert found(path) == [about(2, 2), about(3), about(1)]
    assert AID.check(str(path), about(1)).state is AidState.IN_SYNC
    assert AID.check(str(path), about(1, images=())).state is AidState.STALE
    assert AID.check(str(path), about(4)).state is AidState.MISSING
    assert AID.read(str(path)) == about(2, 2)


def test_a_partition_that_was_moved_a_bit_has_one_record(path: Path) -> None:
    AID.write(str(path), about(1))
    AID.write(str(path), about(2))
    moved = about(1, partition_start=64 * MIB + 4 * MIB)
    check = AID.check(str(path), moved)
    assert check.state is AidState.STALE
    assert any("begins at" in reason for reason in check.reasons)
    AID.write(str(path), moved)
    assert found(path) == [moved, about(2)]
    copy = moved.model_copy(update={"partition_start": 1024 * MIB})
    AID.write(str(path), copy)
    assert found(path) == [copy, moved, about(2)]


def test_a_disk_signature_that_was_unknown_is_no_other_disk(path: Path) -> None:
    AID.write(str(path), about(1))
    nameless = about(1, 2, disk_signature="")
    assert AID.check(str(path), nameless).state is AidState.STALE
    AID.write(str(path), nameless)
    assert found(path) == [nameless]
    other = about(1, 3, disk_signature="ffffffff", store_ids=("f" * 32,))
    AID.write(str(path), about(1, 4))
    AID.write(str(path), other)
    assert found(path) == [other, about(1, 4)]


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_a_cut_at_any_write_leaves_the_old_records_or_the_new_ones(path: Path, before: int) -> None:
    for number in range(1, before + 1):
        AID.write(str(path), large(number, 300))
    old = AID.records(str(path)) if before else []
    new = large(1, 900, seed=2)
    with recorded_file(path) as recording:
        AID.write(str(path), new)
    after = AID.records(str(path))
    seen = set()
    cuts = recording.cuts(torn=24)
    assert len(cuts) == 2 * 25 + 1
    for cut, disk in recording.disks(cuts):
        records = AID.find(disk)
        assert records in (old, after), cut
        assert partition_reader.records(bytes(disk.data)) == [
            record.model_dump(mode="json", exclude_defaults=True) for record in records
        ]
        seen.add(len(records) and records[0] == new)
        path.write_bytes(disk.data)
        AID.write(str(path), about(7))
        assert AID.records(str(path)) == [about(7), *records]
    assert seen >= ({False, True} if before else {0, True})


def test_every_flipped_bit_is_seen(path: Path) -> None:
    for number, generation in ((1, 1), (2, 1), (1, 2)):
        AID.write(str(path), about(number, generation))
    content, chance = path.read_bytes(), random.Random(5)
    with FileVolume(path) as volume:
        newest, older = slots_on(volume)
    bodies = [(newest.own + entry.offset, entry.stored_length) for entry in newest.entries]
    for start, length in [(newest.own, 64 + 2 * 64), *bodies]:
        for at in range(start, start + length):
            disk = MemoryVolume(content)
            disk.data[at] ^= 1 << chance.randrange(8)
            records = AID.find(disk)
            if start == newest.own:
                assert records == [about(2), about(1, 1)], f"byte {at}: the older slot"
            elif start == bodies[0][0]:
                assert records == [about(2), about(1, 1)], f"byte {at}: the older copy of the damaged record"
            else:
                assert records == [about(1, 2), about(2)], f"byte {at}: the other record stays"
    damaged = bytearray(content)
    damaged[bodies[0][0]] ^= 1
    path.write_bytes(damaged)
    assert AID.check(str(path), about(1, 1)).state is AidState.STALE
    assert AID.check(str(path), about(2)).state is AidState.IN_SYNC
    assert older.generation < newest.generation


def test_everything_damaged(path: Path) -> None:
    AID.write(str(path), about(1))
    content = bytearray(path.read_bytes())
    content[HEAD + 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError):
        AID.read(str(path))
    assert AID.check(str(path), about(1)).state is AidState.STALE
    AID.write(str(path), about(1))
    assert found(path) == [about(1)]


def test_formatted_by_another_tool_the_second_slot_is_left(path: Path) -> None:
    AID.write(str(path), about(1))
    AID.write(str(path), about(2))
    with path.open("r+b") as file:
        file.write(bytes(64 * KIB))
    assert found(path) == [about(2), about(1)]


@pytest.mark.parametrize(
    ("runs", "omitted"), [(100, ()), (2200, ("system_areas",)), (6000, ("system_areas", "extents"))]
)
def test_little_room_leaves_out_what_matters_least(tmp_path: Path, runs: int, omitted: tuple[str, ...]) -> None:
    path = tmp_path / "small"
    path.write_bytes(bytes(64 * KIB))
    areas = {"boot-sector": (0, random.Random(6).randbytes(16 * KIB)), "disk:mbr": (0, random.Random(7).randbytes(512))}
    record = large(1, runs).model_copy(update={"system_areas": areas})
    AID.write(str(path), record)
    (stored,) = found(path)
    assert (stored.store_ids, stored.places) == (record.store_ids, record.places)
    assert [image.name for image in stored.images] == [image.name for image in record.images]
    assert stored.omitted == omitted
    assert AID.check(str(path), record).state is AidState.IN_SYNC
    AID.write(str(path), about(2))
    both = found(path)
    assert both[0] == about(2)
    assert both[1].store_ids == record.store_ids


def test_the_oldest_records_go_where_nothing_else_helps(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(bytes(64 * KIB))
    names = {number: random.Random(number).randbytes(6 * KIB).hex() for number in range(8)}
    for number, name in names.items():
        image = RECORD.images[0].model_copy(update={"name": name})
        AID.write(str(path), about(number, images=(image,)))
        assert found(path)[0].images[0].name == name
    kept = [record.partition_start // (64 * MIB) for record in found(path)]
    assert kept == list(range(7, 7 - len(kept), -1))
    assert 3 <= len(kept) < 8


def test_no_more_than_63_records(path: Path) -> None:
    for number in range(70):
        AID.write(str(path), about(number, images=()))
    assert [record.partition_start // (64 * MIB) for record in found(path)] == list(range(69, 6, -1))


def test_a_record_that_is_too_large_or_a_partition_that_is_too_small(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(bytes(64 * KIB - 512))
    with pytest.raises(NoSpace, match="65024 bytes"):
        AID.write(str(path), about(1))
    path.write_bytes(bytes(64 * KIB))
    many = tuple(
        RECORD.images[0].model_copy(update={"name": random.Random(at).randbytes(600).hex()}) for at in range(60)
    )
    stores = tuple(random.Random(at).randbytes(16).hex() for at in range(2000))
    with pytest.raises(NoSpace, match="does not fit into the 28672 bytes"):
        AID.write(str(path), about(1, images=many, store_ids=stores))
    assert path.read_bytes() == bytes(64 * KIB)
    AID.write(str(path), about(1, images=many))
    (stored,) = found(path)
    assert (stored.images, stored.omitted) == ((), ("system_areas", "extents", "images"))
    assert (stored.store_ids, stored.places) == (about(1).store_ids, about(1).places)


@pytest.mark.parametrize(
    ("size", "slot"),
    [(64 * KIB, 32 * KIB), (MIB, 512 * KIB), (3 * MIB, MIB), (4 * MIB, 2 * MIB), (200 * MIB, 16 * MIB)],
)
def test_slots_of_partitions_of_any_size(tmp_path: Path, size: int, slot: int) -> None:
    path = tmp_path / "recovery"
    with path.open("wb") as file:
        file.truncate(size)
    for generation in (1, 2):
        AID.write(str(path), about(1, generation))
    with FileVolume(path) as volume:
        assert [(one.own, one.size) for one in slots_on(volume)] == [(slot, slot), (0, slot)]
        assert AID.find(volume) == [about(1, 2)]
    assert path.stat().st_blocks * 512 < 64 * KIB


def test_a_partition_inside_a_disk(path: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"\xaa" * MIB + bytes(SIZE) + b"\xbb" * MIB)
    target = f"{disk}@{MIB}+{SIZE}"
    with pytest.raises(NoImageFound):
        AID.read(target)
    for generation in (1, 2, 3):
        AID.write(target, about(1, generation))
        assert AID.read(target) == about(1, generation)
    content = disk.read_bytes()
    assert (content[:MIB], content[MIB + SIZE :]) == (b"\xaa" * MIB, b"\xbb" * MIB)
    for wrong in (f"{disk}@{MIB}+{100 * MIB}", f"{disk}@{100 * MIB}+{SIZE}"):
        with pytest.raises(NoImageFound):
            AID.read(wrong)
    for nothing in ("", "a\0b", f"{tmp_path}/nowhere"):
        with pytest.raises(UsageError):
            AID.read(nothing)


def test_somebody_else_has_the_partition(path: Path) -> None:
    with FileVolume(path, Access.WRITE), pytest.raises(DeviceBusy):
        AID.write(str(path), RECORD)
    AID.write(str(path), RECORD)


def test_a_disk_that_begins_with_either_slot(tmp_path: Path) -> None:
    """How inpart looks at a disk without a table: from every multiple of 1 MiB on."""
    path = tmp_path / "recovery"
    with path.open("wb") as file:
        file.truncate(4 * MIB)
    for generation in (1, 2, 3):
        AID.write(str(path), about(1, generation))
    disk = MemoryVolume(path.read_bytes() + bytes(80 * MIB))
    assert AID.find(disk) == [about(1, 3)]
    disk.write(0, bytes(HEAD))
    assert AID.find(disk) == []
    assert AID.find(MemoryVolume(bytes(disk.data[2 * MIB :]))) == [about(1, 2)]


BOMB = zlib.compress(bytes(32 * MIB), 9)


def hostile(change: dict[str, object], entry: dict[str, object]) -> MemoryVolume:
    stored = BOMB
    lying = Entry(0, HEAD, len(stored), 1 * MIB, blake3_digest(stored))._replace(**entry)  # type: ignore[arg-type]
    slot = replace(Slot(0, 128 * KIB, 128 * KIB, 1, (lying,)), **change)  # type: ignore[arg-type]
    disk = MemoryVolume(SIZE)
    disk.write(0, slot.pack())
    disk.write(HEAD, stored[: SIZE - HEAD])
    return disk


def test_hostile_heads_and_records() -> None:
    cases: list[tuple[dict[str, object], dict[str, object]]] = [
        ({}, {}), ({"own": 4096}, {}), ({"other": 0}, {}), ({"other": 1 << 63}, {}), ({"size": 0}, {}),
        ({"size": 1 << 63}, {}), ({"other": 100}, {}), ({"generation": (1 << 64) - 1}, {}),
        ({}, {"offset": 0}), ({}, {"offset": 0xFFFFFFFF}), ({}, {"stored_length": 0xFFFFFFFF}),
        ({}, {"content_length": 0}), ({}, {"content_length": 0xFFFFFFFF}), ({}, {"content_length": 64 * MIB}),
        ({}, {"digest": bytes(32)}), ({"entries": (Entry(0, HEAD, 0, 0, blake3_digest(b"")),) * 63}, {}),
    ]  # fmt: skip
    for change, entry in cases:
        disk = hostile(change, entry)
        tracemalloc.start()
        assert AID.find(disk) == [], (change, entry)
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
        tracemalloc.stop()
    chance = random.Random(7)
    for _ in range(200):
        disk = hostile({}, {})
        raw = bytearray(disk.read(0, HEAD))
        struct.pack_into("<Q", raw, chance.choice((16, 24, 32, 40, 48, 64, 72, 80)), chance.getrandbits(64))
        struct.pack_into("<I", raw, 12, 0)
        struct.pack_into("<I", raw, 12, crc32c(raw))
        disk.write(0, raw)
        assert AID.find(disk) == []


def test_a_head_is_never_taken_for_a_file_system() -> None:
    entry = Entry((1 << 64) - 1, (1 << 32) - 1, (1 << 32) - 1, (1 << 32) - 1, b"\xff" * 32)
    raw = Slot((1 << 64) - 1, (1 << 64) - 1, (1 << 64) - 1, (1 << 64) - 1, (entry,) * 63).pack()
    assert len(raw) == HEAD
    assert raw[510:512] + raw[1080:1082] == bytes(4)
