"""Hostile partition tables: whatever the sectors say, a table, None or a typed error, soon and in little memory."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import tempfile
import tracemalloc
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.errors import InpartError, PartitionTableDamaged
from inpart.partitions import (
    PartitionTable,
    SavedAreas,
    apply_repair,
    read_table,
    repair_entry,
    repair_table,
    save_table,
    saved_table,
)
from inpart.partitions.gpt import ENTRY_SIZE, GPT_SIGNATURE, MAX_ARRAY_SIZE, GptHeader, unpack_header
from inpart.volume import CountingVolume, MemoryVolume

SECTORS = 256
SIZE = SECTORS * 512
hostile = settings(max_examples=150, deadline=None, derandomize=True)

byte = st.one_of(st.sampled_from([0, 0x05, 0x0F, 0x80, 0x83, 0xEE]), st.integers(0, 255))
lba = st.one_of(st.integers(0, SECTORS + 2), st.sampled_from([0xFFFFFFFF, 0x80000000]), st.integers(0, 0xFFFFFFFF))
row = st.builds(
    lambda flag, kind, start, count: struct.pack("<B3xB3xII", flag, kind, start, count),
    st.sampled_from([0, 0, 0, 0x80, 0x80, 7]),
    byte,
    lba,
    lba,
)
record = st.lists(row, min_size=4, max_size=4).map(lambda rows: bytes(446) + b"".join(rows) + b"\x55\xaa")
wide = st.one_of(
    st.integers(0, SECTORS + 2), st.sampled_from([(1 << 64) - 1, 1 << 63, 1 << 52]), st.integers(0, 1 << 63)
)
FIELDS: dict[str, st.SearchStrategy[int]] = {
    "header_size": st.sampled_from([92, 128, 512, 0, 513, 1 << 31]),
    "my_lba": wide,
    "alternate_lba": wide,
    "first_usable_lba": wide,
    "last_usable_lba": wide,
    "partition_entry_lba": wide,
    "number_of_partition_entries": st.sampled_from([128, 16, 1, 0, 1 << 15, (1 << 32) - 1]),
    "size_of_partition_entry": st.sampled_from([128, 256, 0, 7, 136, 1 << 31, (1 << 32) - 1]),
}
entry = st.builds(
    lambda kind, first, last, name: struct.pack("<16s16sQQQ72s", kind, b"u" * 16, first, last, 4, name),
    st.sampled_from([bytes(16), b"t" * 16]),
    wide,
    wide,
    st.binary(max_size=72),
)


MBR_SCRIPT = (
    "label: dos\nunit: sectors\ngrain: 512\nstart=2,size=20,type=c,bootable\nstart=30,size=200,type=5\n"
    "start=232,size=6\nstart=40,size=10\nstart=60,size=20\nstart=90,size=30\nstart=130,size=40\n"
)
GPT_SCRIPT = "label: gpt\nunit: sectors\ngrain: 512\nstart=40,size=20\nstart=80,size=10,name=two\nstart=120,size=60\n"
CHAIN = (0, 30, 59, 89, 129)
PRIMARY, BACKUP = 1, SECTORS - 1


@cache
def made_by_sfdisk(script: str) -> bytes:
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(SIZE)
        subprocess.run(["sfdisk", "--quiet", file.name], input=script, text=True, check=True)
        return file.read()


def sealed(made: GptHeader, array: bytes) -> bytes:
    """The header with right checksums, as an attacker would write it."""
    if not 92 <= made.header_size <= 512:
        return made._replace(header_size=92).pack()
    return made.sealed(array[: made.array_size]).pack()


class Content:
    """The bytes of a disk, with a short name for the reports of hypothesis."""

    def __init__(self, content: bytes) -> None:
        self.bytes = content

    def __repr__(self) -> str:
        used = [f"{at}: {self.bytes[at : at + 16].hex()}" for at in range(0, SIZE, 16) if any(self.bytes[at : at + 16])]
        return "\n".join(used[:400])


@st.composite
def mbr_disks(draw: st.DrawFn) -> Content:
    """A sound chain in which some fields, entries or whole records are replaced."""
    content = bytearray(made_by_sfdisk(MBR_SCRIPT))
    for place in draw(st.lists(st.sampled_from(CHAIN), max_size=3, unique=True)):
        slot = 446 + 16 * draw(st.integers(0, 3))
        content[place * 512 + slot : place * 512 + slot + 16] = draw(row)
    for place in draw(st.lists(st.integers(0, SECTORS - 1), max_size=2)):
        content[place * 512 : (place + 1) * 512] = draw(record)
    for at in draw(st.lists(st.tuples(st.sampled_from(CHAIN), st.integers(440, 511)), max_size=3)):
        content[at[0] * 512 + at[1]] = draw(byte)
    return Content(bytes(content))


@st.composite
def gpt_disks(draw: st.DrawFn) -> Content:
    """A sound GPT with other entries, or another header, under right checksums; and perhaps damage."""
    content = bytearray(made_by_sfdisk(GPT_SCRIPT))
    array = bytearray(content[1024 : 1024 + 16384])
    for index in draw(st.lists(st.integers(0, 5), max_size=3)):
        array[index * 128 : (index + 1) * 128] = draw(entry)
    changes = draw(st.dictionaries(st.sampled_from(list(FIELDS)), st.none(), max_size=2))
    for place, at in ((PRIMARY, 2), (BACKUP, SECTORS - 33)):
        found = unpack_header(bytes(content[place * 512 : (place + 1) * 512]))
        assert found is not None
        other = GptHeader(**(found._asdict() | {name: draw(FIELDS[name]) for name in changes}))
        raw = sealed(other, bytes(array))
        content[place * 512 : place * 512 + len(raw)] = raw
        content[at * 512 : at * 512 + len(array)] = array
    for at in draw(st.lists(st.sampled_from([0, 510, 600, 1030, SIZE - 512, SIZE - 16000]), max_size=2)):
        content[at] = draw(byte)
    if draw(st.booleans()):
        content[:512] = draw(record)
    return Content(bytes(content))


disks = st.one_of(mbr_disks(), gpt_disks())


def read(content: bytes) -> PartitionTable | None:
    with contextlib.suppress(InpartError):
        return read_table(MemoryVolume(content))
    return None


@hostile
@given(disks)
def test_any_table_is_read_or_refused(content: Content) -> None:
    table = read(content.bytes)
    if table is None:
        return
    assert table.extents().end <= SIZE
    assert len(table.notes) < 100
    numbers = [made.number for made in table.entries]
    assert len(set(numbers)) == len(numbers)
    for made in table.entries:
        assert made.start >= 0
        assert made.size >= 0
        assert made.describe().startswith(f"#{made.number} at {made.start}")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(mbr_disks())
def test_damaged_chains_are_numbered_as_by_libblkid(content: Content) -> None:
    table = read(content.bytes)
    with tempfile.NamedTemporaryFile() as file:
        file.write(content.bytes)
        file.flush()
        command = ["partx", "--show", "--noheadings", "--bytes", "--output", "NR,START,SECTORS", file.name]
        answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    wanted = [tuple(int(field) for field in line.split()) for line in answer.splitlines()]
    found = [(made.number, made.start // 512, made.size // 512) for made in table.entries] if table else []
    # libblkid counts in 32 bits, and leaves out what starts where another partition does.
    wraps = any(start + size >= 1 << 32 for _, start, size in (*found, *wanted))
    assert found == wanted or wraps or len({start for _, start, _ in found}) < len(found)


@hostile
@given(disks, disks)
def test_what_was_saved_of_any_table_never_harms_another(first: Content, second: Content) -> None:
    """A repair is refused with a typed error, or it adds what it says and leaves the other partitions alone."""
    table = read(first.bytes)
    if table is None:
        return
    with contextlib.suppress(InpartError):
        saved = save_table(MemoryVolume(first.bytes), table)
        before = read(second.bytes)
        for made in table.partitions[:3]:
            with contextlib.suppress(InpartError):
                check_repair(second.bytes, saved, made.start, before)
        with contextlib.suppress(InpartError):
            repair_table(MemoryVolume(second.bytes), saved)


def check_repair(content: bytes, saved: SavedAreas, start: int, before: PartitionTable | None) -> None:
    volume = MemoryVolume(content)
    repair = repair_entry(volume, saved, start)
    assert bytes(volume.data) == content
    apply_repair(volume, repair)
    after = read_table(volume)
    assert after == repair.table
    assert after.starting_at(start) is not None
    if before is not None and before.kind == after.kind:
        places = {(made.start, made.size) for made in after.entries}
        gone = [made for made in before.partitions if (made.start, made.size) not in places]
        assert all(made.start == start for made in gone)


@hostile
@given(
    st.dictionaries(
        st.sampled_from(["mbr", "gpt-header", "gpt-entries", "ebr-1", "x"]),
        st.tuples(st.one_of(wide, st.integers(-5, 5000)), st.one_of(record, st.binary(max_size=600))),
    )
)
def test_any_saved_areas_are_understood_or_refused(saved: SavedAreas) -> None:
    with contextlib.suppress(InpartError):
        saved_table(saved)
    with contextlib.suppress(InpartError):
        repair_table(MemoryVolume(SIZE), saved)


@hostile
@given(st.binary(min_size=512, max_size=2048))
def test_any_sector_is_a_table_or_not(content: bytes) -> None:
    read(content)
    read(content[:510] + b"\x55\xaa" + content[512:])


def disk_of_many_entries(count: int, array: bytes) -> MemoryVolume:
    size = 16 << 20
    plain = GptHeader(
        GPT_SIGNATURE, 0x10000, 92, 0, 0, 1, size // 512 - 1, 34, 20000, b"g" * 16, 2, count, ENTRY_SIZE, 0
    )  # fmt: skip
    disk = MemoryVolume(size)
    disk.write(446, struct.pack("<B3xB3xII", 0, 0xEE, 1, 0xFFFFFFFF))
    disk.write(510, b"\x55\xaa")
    disk.write(512, plain.sealed(array).pack())
    disk.write(1024, array)
    return disk


def test_the_largest_entry_array_costs_little() -> None:
    array = (b"t" * 32 + struct.pack("<QQQ72x", 40, 50, 0)) * (MAX_ARRAY_SIZE // ENTRY_SIZE)
    disk = disk_of_many_entries(MAX_ARRAY_SIZE // ENTRY_SIZE, array)
    reads: list[int] = []
    table = read_table(CountingVolume(disk, reads.append))
    assert sum(reads) < 4 * len(array)
    assert table is not None
    assert len(table.entries) == 1 << 15
    assert len(table.notes) < 100


def test_a_larger_entry_array_is_refused_before_anything_is_allocated() -> None:
    disk = disk_of_many_entries((1 << 32) - 1, bytes(512))
    tracemalloc.start()
    with pytest.raises(PartitionTableDamaged, match="it has 4294967295 entries"):
        read_table(disk)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
