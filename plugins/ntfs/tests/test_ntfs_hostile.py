"""Hostile NTFS volumes: typed errors only, in bounded time and memory, whatever the bytes."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from inpart.contracts import State, Verdict
from inpart.errors import FilesystemDamaged, InpartError
from inpart.units import MIB
from inpart.volume import MemoryVolume
from inpart_ntfs.attributes import FileRecord
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.fixups import seal_fixups
from inpart_ntfs.logfile import Log, log_state
from inpart_ntfs.provider import NtfsProvider
from inpart_ntfs.runs import encode
from ntfsmaker import SMALL, Recipe

SECONDS = 60
MEMORY = 128 * MIB


class Victim:
    """A volume in memory whose records can be changed."""

    def __init__(self, content: bytes) -> None:
        self.volume = MemoryVolume(content)
        self.healthy = NtfsFilesystem(MemoryVolume(content))

    def opened(self) -> NtfsFilesystem:
        return NtfsFilesystem(self.volume)

    def write(self, number: int, record: bytearray) -> None:
        """Put a record where it belongs, update sequence and all."""
        seal_fixups(record, bump=True)
        size = len(record)
        at = 0
        for start, length in self.healthy.mft.stream.runs.slice(number * size, size):
            self.volume.write(start, record[at : at + length])
            at += length

    def change(self, number: int, kind: int, offset: int, data: bytes, name: str = "") -> None:
        """Replace bytes of an attribute, ``offset`` from its start on."""
        record = self.healthy.mft.record(number)
        found = record.find(kind, name)
        assert found is not None
        raw = bytearray(record.raw)
        raw[found.offset + offset : found.offset + offset + len(data)] = data
        self.write(number, raw)

    def map(self, number: int, kind: int, rows: list[tuple[int, int, int]], name: str = "") -> None:
        """Give a non-resident attribute another run list."""
        record = self.healthy.mft.record(number)
        raw, found = bytearray(record.raw), record.find(kind, name)
        assert found is not None
        pairs = encode(np.array(rows, dtype=np.int64))
        start = found.offset + found.mapping_pairs_offset
        assert start + len(pairs) <= found.offset + len(found.raw)
        raw[start : start + len(pairs)] = pairs
        last = rows[-1][0] + rows[-1][2] - 1
        raw[found.offset + 24 : found.offset + 32] = last.to_bytes(8, "little")
        self.write(number, raw)

    def everything(self) -> None:
        """All that a reader can be asked."""
        NtfsProvider().probe(self.volume)
        filesystem = self.opened()
        assert filesystem.info.used_bytes <= filesystem.info.data_end
        for ask in (filesystem.allocated, filesystem.reserved_places, filesystem.slack, filesystem.dispensable):
            with suppress(InpartError):
                ask()
        filesystem.system_areas()
        list(filesystem.check())
        with suppress(InpartError):
            for entry in filesystem.walk():
                with suppress(InpartError):
                    filesystem.runs(entry.path)
                    list(islice(filesystem.read(entry.path), 4))


@pytest.fixture(scope="module")
def content(filled: Callable[[Recipe], tuple[Path, dict[str, bytes]]]) -> bytes:
    return filled(Recipe("hostile", SMALL.cluster, size=SMALL.size, entries=12, pieces=60))[0].read_bytes()


@pytest.fixture
def victim(content: bytes) -> Victim:
    return Victim(content)


def places(healthy: NtfsFilesystem, chance: random.Random) -> int:
    """A byte that matters: in the boot sector, in records, in an area that describes the file system."""
    kind = chance.choice(["boot", "system", "record", "record", "area"])
    if kind == "boot":
        return chance.randrange(11, 84)
    if kind == "area":
        start, end = chance.choice(list(chance.choice(healthy.system_areas()).extents))
        return chance.randrange(start, end)
    number = chance.randrange(12) if kind == "system" else chance.randrange(healthy.mft.count)
    at = number * healthy.boot.record_size + chance.randrange(500)
    return int(healthy.mft.stream.runs.slice(at, 1).array[0, 0])


def garbled(content: bytes, seed: int) -> None:
    victim, chance = Victim(content), random.Random(seed)
    for _ in range(chance.choice([1, 1, 2, 4, 12])):
        at = places(victim.healthy, chance)
        for byte in range(at, min(at + chance.choice([1, 1, 2, 4, 8]), len(content))):
            old = victim.volume.data[byte]
            victim.volume.data[byte] = chance.choice(
                [0, 255, 0x7F, chance.randrange(256), old ^ 1 << chance.randrange(8)]
            )
    started = time.process_time()
    with suppress(InpartError):
        victim.everything()
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes(content: bytes, seed: int) -> None:
    for more in range(2):
        garbled(content, 100 * seed + more)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1000, 1040))
def test_many_flipped_bytes(content: bytes, seed: int) -> None:
    for more in range(30):
        garbled(content, 100 * seed + more)


def test_a_boot_sector_that_claims_the_largest_volume(victim: Victim) -> None:
    victim.volume.data[13] = 1
    victim.volume.data[40:48] = (1 << 32).to_bytes(8, "little")
    probe = NtfsProvider().probe(victim.volume)
    assert probe.verdict is Verdict.DAMAGED
    with suppress(InpartError):
        victim.everything()


def test_an_mft_that_claims_to_be_huge(victim: Victim) -> None:
    huge = ((1 << 62).to_bytes(8, "little")) * 3
    victim.change(Number.MFT, AttributeType.DATA, 40, huge)
    filesystem = victim.opened()
    assert filesystem.mft.count * 1024 == filesystem.mft.stream.size
    assert "cannot be found" in filesystem.info.notes[0]
    assert filesystem.allocated() == victim.healthy.allocated()


def test_an_mft_with_negative_sizes_has_no_records(victim: Victim) -> None:
    victim.change(Number.MFT, AttributeType.DATA, 40, b"\xff" * 24)
    with pytest.raises(FilesystemDamaged, match="no record 6"):
        victim.opened().allocated()
    victim.everything()


def test_an_mft_in_a_hole_is_read_from_the_mirror(victim: Victim) -> None:
    victim.map(Number.MFT, AttributeType.DATA, [(0, -1, 30)])
    assert "$MFTMirr" in victim.opened().info.notes[0]
    assert victim.opened().allocated() == victim.healthy.allocated()


def test_a_bitmap_that_is_too_short(victim: Victim) -> None:
    victim.change(Number.BITMAP, AttributeType.DATA, 48, (5).to_bytes(8, "little"))
    with pytest.raises(FilesystemDamaged, match=r"\$Bitmap has 5 bytes"):
        victim.opened().allocated()
    assert victim.opened().info.state is State.ERRORS


def test_a_bitmap_in_a_hole_and_beyond_the_end(victim: Victim) -> None:
    clusters = victim.healthy.boot.clusters
    for lcn, count in ((-1, 1 << 20), (clusters - 1, 5)):
        victim.map(Number.BITMAP, AttributeType.DATA, [(0, lcn, count)])
        with suppress(InpartError):
            victim.everything()


def list_entry(kind: int, reference: int, lowest: int = 0, instance: int = 0) -> bytes:
    raw = kind.to_bytes(4, "little") + (32).to_bytes(2, "little") + b"\0\x1a" + lowest.to_bytes(8, "little")
    return (raw + reference.to_bytes(8, "little") + instance.to_bytes(2, "little")).ljust(32, b"\0")


def with_list(record: FileRecord, entries: bytes) -> bytearray:
    """The record with nothing but $STANDARD_INFORMATION and a resident attribute list."""
    first = record.attributes[0]
    length = 24 + len(entries)
    head = AttributeType.ATTRIBUTE_LIST.to_bytes(4, "little") + length.to_bytes(4, "little") + b"\0\0\x18\0"
    head += (
        b"\0\0" + (77).to_bytes(2, "little") + len(entries).to_bytes(4, "little") + (24).to_bytes(2, "little") + b"\0\0"
    )
    attributes = record.raw[: first.offset + len(first.raw)] + head + entries + b"\xff\xff\xff\xff\0\0\0\0"
    raw = bytearray(attributes.ljust(len(record.raw), b"\0"))
    raw[24:28] = len(attributes).to_bytes(4, "little")
    return raw


@pytest.mark.parametrize("target", ["itself", "another", "beyond", "free"])
def test_attribute_lists_that_lead_astray(victim: Victim, target: str) -> None:
    mft = victim.healthy.mft
    number = next(one for one in range(30, mft.count) if victim.healthy.mft.read(np.array([one])).in_use[0])
    record = mft.record(number)
    free = next(one for one in range(12, 24) if not mft.read(np.array([one])).in_use[0])
    leads = {"itself": number, "another": Number.ROOT, "beyond": 1 << 47, "free": free}[target]
    entries = list_entry(0x10, record.reference) + list_entry(0x80, leads) * 15
    victim.write(number, with_list(record, entries))
    with pytest.raises(FilesystemDamaged):
        victim.opened().mft.assembled(number)
    victim.everything()


def test_the_attribute_list_of_the_mft_leads_into_itself(victim: Victim) -> None:
    """A further piece of $MFT can stand only where the pieces before it lead to."""
    victim.map(Number.MFT, AttributeType.DATA, [(0, victim.healthy.boot.mft_lcn, 20)])
    data = victim.opened().mft.record(0).find(AttributeType.DATA)
    assert data is not None
    entries = list_entry(0x80, 0) + list_entry(0x80, 19, 20) + list_entry(0x80, 1 << 40, 99)
    listed = with_list(victim.healthy.mft.record(0), entries)
    end = int.from_bytes(listed[24:28], "little") - 8
    listed[end : end + len(data.raw) + 8] = data.raw + b"\xff\xff\xff\xff\0\0\0\0"
    listed[24:28] = (end + len(data.raw) + 8).to_bytes(4, "little")
    victim.write(0, listed)
    filesystem = victim.opened()
    assert any("$MFT is not complete" in note for note in filesystem.info.notes)
    assert filesystem.mft.count == 20
    victim.everything()


@pytest.mark.parametrize("size", [0, 100, 1024, 5000, 1 << 16])
def test_any_bytes_as_log(size: int) -> None:
    chance = random.Random(size)
    assert log_state(MemoryVolume(bytes(size))) is Log.DAMAGED
    for _ in range(200):
        raw = bytearray(chance.randbytes(size))
        raw[:8] = b"RSTR\x1e\0\x09\0"[: len(raw)]
        for at in (16, 20, 24, 26, 28):
            if size > 100:
                raw[at : at + 4] = chance.choice([0, 48, 512, 4096, 65536, 1 << 31]).to_bytes(4, "little")
        assert log_state(MemoryVolume(bytes(raw))) is Log.DAMAGED


def test_memory_is_bounded(victim: Victim) -> None:
    """With every bit of $Bitmap flipped at random, and sizes that claim everything."""
    chance = np.random.default_rng(1)
    for start, end in next(area for area in victim.healthy.system_areas() if area.name == "bitmap").extents:
        victim.volume.write(start, chance.bytes(end - start))
    victim.change(Number.BAD_CLUS, AttributeType.DATA, 40, b"\xff" * 7 + b"\x7f", "$Bad")
    tracemalloc.start()
    victim.everything()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MEMORY
