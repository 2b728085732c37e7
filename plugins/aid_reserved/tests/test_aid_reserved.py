"""The anchor: cuts at every write, whose sectors are never touched, little room, and hostile slots."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import pytest
from inpart.checksums import crc32c
from inpart.contracts import AidRecord, AidState, ByteRun
from inpart.errors import DeviceBusy, IntegrityError, NoImageFound, NoSpace, UsageError
from inpart.testing.aid_kit import RECORD
from inpart.testing.powercut import recorded_file
from inpart.units import KIB, MIB
from inpart.volume import Access, FileVolume, MemoryVolume
from inpart_aid_reserved.aid import ReservedAid
from inpart_aid_reserved.slots import Slot, slots_on

AID = ReservedAid()
NOTHING = ("system_areas", "extents", "images")
PLACE, LENGTH = RECORD.reserved[0]


def generation(number: int) -> AidRecord:
    return RECORD.model_copy(update={"generation": number})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "partition"
    noise = random.Random(4).randbytes(64 * KIB)
    path.write_bytes(RECORD.system_areas["boot-sector"][1] + noise[512:PLACE] + bytes(LENGTH) + noise[PLACE + LENGTH :])
    return path


def outside(path: Path) -> bytes:
    content = path.read_bytes()
    return content[:PLACE] + content[PLACE + LENGTH :]


def test_slots_are_written_in_turn_and_nothing_else(path: Path) -> None:
    before = outside(path)
    places = []
    for number in range(1, 5):
        AID.write(str(path), generation(number))
        assert AID.read(str(path)).generation == number
        with FileVolume(path) as volume:
            places.append(slots_on(volume)[0].own)
    assert places == [8 * KIB, 12 * KIB, 8 * KIB, 12 * KIB]
    assert outside(path) == before


def test_an_older_generation_replaces_a_newer_one(path: Path) -> None:
    AID.write(str(path), generation(9))
    AID.write(str(path), generation(1))
    assert AID.read(str(path)).generation == 1


def test_a_cut_at_any_write_leaves_the_old_record_or_the_new_one(path: Path) -> None:
    large = RECORD.images[0].model_copy(
        update={"extents": tuple(ByteRun(random.Random(at).randrange(MIB) * 512, 512) for at in range(400))}
    )
    for number in (1, 2, 3):
        AID.write(str(path), generation(number))
    new = RECORD.model_copy(update={"generation": 4, "images": (large,)})
    seen = set()
    with recorded_file(path) as recording:
        AID.write(str(path), new)
    for cut, disk in recording.disks(recording.cuts(torn=4)):
        found = AID.find(disk)
        assert len(found) == 1, cut
        assert found[0] in (generation(3), new), cut
        seen.add(found[0].generation)
        path.write_bytes(disk.data)
        AID.write(str(path), generation(5))
        assert AID.read(str(path)).generation == 5
    assert seen == {3, 4}


def test_every_flipped_bit_is_seen(path: Path) -> None:
    AID.write(str(path), generation(1))
    AID.write(str(path), generation(2))
    content, chance = path.read_bytes(), random.Random(5)
    with FileVolume(path) as volume:
        newest = slots_on(volume)[0]
    for at in range(newest.own, newest.own + 64 + newest.stored_length):
        disk = MemoryVolume(content)
        disk.data[at] ^= 1 << chance.randrange(8)
        (record,) = AID.find(disk)
        # bytes 10 and 11 are the minor version and are sealed as well; all else is checked
        assert record.generation == 1


def test_both_slots_damaged(path: Path) -> None:
    AID.write(str(path), generation(1))
    AID.write(str(path), generation(2))
    content = bytearray(path.read_bytes())
    for place in (8 * KIB, 12 * KIB):
        content[place + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError):
        AID.read(str(path))
    assert AID.check(str(path), RECORD).state is AidState.STALE
    AID.write(str(path), generation(3))
    assert AID.read(str(path)).generation == 3


@pytest.mark.parametrize("code_at", range(PLACE, PLACE + LENGTH, 512))
def test_sectors_of_a_boot_loader_are_never_written(path: Path, code_at: int) -> None:
    content = bytearray(path.read_bytes())
    content[code_at + 511] = 0x90
    path.write_bytes(content)
    for number in (1, 2, 3):
        AID.write(str(path), generation(number))
    assert AID.read(str(path)).generation == 3
    assert path.read_bytes()[code_at : code_at + 512] == bytes(content[code_at : code_at + 512])


def test_a_boot_loader_that_came_later_is_not_written_either(path: Path) -> None:
    AID.write(str(path), generation(1))
    content = bytearray(path.read_bytes())
    content[12 * KIB : 16 * KIB] = b"boot" * KIB
    path.write_bytes(content)
    with pytest.raises(NoSpace):
        AID.write(str(path), generation(2))
    assert path.read_bytes() == bytes(content)
    assert AID.read(str(path)).generation == 1


def test_no_room(path: Path) -> None:
    before = path.read_bytes()
    for reserved in ((), (ByteRun(PLACE, 512),), (ByteRun(0, 512),), (ByteRun(-4096, 4096),), (ByteRun(MIB, MIB),)):
        with pytest.raises(NoSpace):
            AID.write(str(path), RECORD.model_copy(update={"reserved": reserved}))
    assert path.read_bytes() == before


def test_what_was_an_anchor_is_left_alone_where_the_file_system_uses_it_now(path: Path) -> None:
    AID.write(str(path), generation(1))
    AID.write(str(path), generation(2))
    before = path.read_bytes()
    with pytest.raises(NoSpace):
        AID.write(str(path), RECORD.model_copy(update={"reserved": (ByteRun(512, 512),)}))
    assert path.read_bytes() == before


def test_the_boot_block_of_ext_is_enough(path: Path) -> None:
    """1,024 bytes at the beginning: two slots of one sector, which hold what leads to the images."""
    areas = {"superblock": (1024, random.Random(8).randbytes(1024))}
    path.write_bytes(bytes(1024) + areas["superblock"][1] + bytes(62 * KIB))
    record = RECORD.model_copy(update={"system_areas": areas, "reserved": (ByteRun(0, 1024),)})
    for number in (1, 2, 3):
        AID.write(str(path), record.model_copy(update={"generation": number}))
        stored = AID.read(str(path))
        assert (stored.generation, stored.store_ids, stored.places) == (number, record.store_ids, record.places)
    with FileVolume(path) as volume:
        assert [slot.own for slot in slots_on(volume)] == [0, 512]
    assert path.read_bytes()[1024:] == areas["superblock"][1] + bytes(62 * KIB)


@pytest.mark.parametrize(("room", "omitted"), [(8192, ()), (2048, NOTHING[:2]), (1024, NOTHING)])
def test_little_room_leaves_out_what_matters_least(path: Path, room: int, omitted: tuple[str, ...]) -> None:
    areas = {"boot-sector": RECORD.system_areas["boot-sector"], "disk:mbr": (0, random.Random(6).randbytes(512))}
    many = RECORD.images[0].model_copy(update={"extents": tuple(ByteRun(at * 7919, 512) for at in range(300))})
    images = (
        many,
        *(many.model_copy(update={"image_id": f"{at:032x}", "extents": ()}) for at in range(room // 512, 8)),
    )
    images = tuple(
        one.model_copy(update={"name": random.Random(at).randbytes(40).hex()}) for at, one in enumerate(images)
    )
    record = RECORD.model_copy(update={"reserved": (ByteRun(PLACE, room),), "system_areas": areas, "images": images})
    AID.write(str(path), record)
    stored = AID.read(str(path))
    assert (stored.store_ids, stored.places) == (record.store_ids, record.places)
    assert stored.omitted == omitted
    assert AID.check(str(path), record).state is AidState.IN_SYNC
    gone = record.model_copy(update={"places": (1,)})
    assert AID.check(str(path), gone).state is AidState.STALE


def test_another_partition_is_refused(path: Path) -> None:
    before = path.read_bytes()
    other = {"boot-sector": (0, bytes(512))}
    for areas in ({}, other, {"boot-sector": (-1, b"x")}, {"disk:mbr": (0, before[:512])}):
        with pytest.raises(UsageError, match="not the partition"):
            AID.write(str(path), RECORD.model_copy(update={"system_areas": areas}))
    assert path.read_bytes() == before


def test_somebody_else_has_the_partition(path: Path) -> None:
    with FileVolume(path, Access.WRITE), pytest.raises(DeviceBusy):
        AID.write(str(path), RECORD)
    AID.write(str(path), RECORD)


def test_a_partition_inside_a_disk(path: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(MIB) + path.read_bytes() + bytes(MIB))
    with pytest.raises(NoImageFound):
        AID.read(f"{disk}@{MIB}")
    AID.write(f"{disk}@{MIB}", RECORD)
    assert AID.read(f"{disk}@{MIB}") == RECORD
    with pytest.raises(NoImageFound):
        AID.read(f"{disk}@{100 * MIB}")
    with pytest.raises(UsageError):
        AID.read("")


BOMB = zlib.compress(bytes(4 * MIB), 9)


def hostile(**fields: int) -> MemoryVolume:
    stored = BOMB
    values = {
        "own": 8 * KIB, "other": 16 * KIB, "size": 8 * KIB, "sequence": 1, "stored_length": len(stored),
        "record_length": 100 * MIB, "checksum": crc32c(stored),
    }  # fmt: skip
    slot = Slot(**(values | fields))
    disk = MemoryVolume(64 * KIB)
    disk.write(8 * KIB, slot.pack() + stored)
    return disk


def test_hostile_slots() -> None:
    cases: list[dict[str, int]] = [
        {}, {"record_length": 10}, {"record_length": MIB}, {"record_length": 0}, {"stored_length": 0xFFFFFFFF},
        {"size": 0}, {"size": 0xFFFFFFFF}, {"other": 8 * KIB}, {"other": 1 << 63}, {"own": 512}, {"other": 0},
    ]  # fmt: skip
    for fields in cases:
        assert AID.find(hostile(**fields)) == []
    chance = random.Random(7)
    for _ in range(300):
        disk = hostile()
        for place in range(512, 64 * KIB, 512):
            raw = bytearray(disk.read(8 * KIB, 64))
            struct.pack_into("<Q", raw, chance.choice((16, 24, 32, 40, 48)), chance.getrandbits(64))
            struct.pack_into("<I", raw, 12, 0)
            struct.pack_into("<I", raw, 12, crc32c(raw))
            disk.write(place, raw)
        assert AID.find(disk) == []
