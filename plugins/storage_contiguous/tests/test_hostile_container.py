"""Bytes that somebody made up: every field tampered with and sealed again, forged structures by the thousand."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.checksums import crc32c
from inpart.contracts import Search, SearchMethod
from inpart.errors import InpartError, IntegrityError
from inpart.units import KIB, MIB
from inpart.volume import CountingVolume, MemoryVolume
from inpart_storage_contiguous.headers import SegmentHeader, TableHeader
from inpart_storage_contiguous.structs import FAMILY, SEGMENT_HEADER, TABLE_HEADER
from inpart_storage_contiguous.tables import Table, read_table
from partition_rig import LAYOUT, Partition, stream_of

EXTREMES = (0, 1, 2, 3, 255, 511, 65535, 2**31 - 1, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
SEGMENT_FIELDS = {
    "version_major": (8, 2), "own_offset": (64, 8), "stream_offset": (72, 8), "payload_length": (80, 8),
    "sequence": (88, 4), "payload_crc32c": (92, 4), "flags": (96, 2), "state": (98, 2), "run_count": (100, 2),
    "name_length": (102, 2), "segment_size": (104, 8), "file_limit": (112, 8), "stream_size": (120, 8),
    "image_bytes": (128, 8), "created": (136, 8), "first run start": (512, 8), "first run length": (520, 8),
    "areas_length": (2048, 2), "area_count": (2050, 2), "areas_size": (2052, 4), "areas": (2056, 8),
}  # fmt: skip
TABLE_FIELDS = {
    "version_major": (8, 2), "own_offset": (64, 8), "generation": (72, 8), "container_offset": (80, 8),
    "container_size": (88, 8), "toc_begin_offset": (96, 8), "created": (104, 8), "checksum": (112, 8),
    "entry_count": (144, 4), "directory_offset": (148, 4), "table_length": (152, 4), "body_crc32c": (156, 4),
    "kind": (160, 1), "slot": (161, 1), "room_count": (162, 2), "inter_number": (164, 4),
}  # fmt: skip
GEOMETRY_FIELDS = {
    "partition_size": (208, 8), "data_start": (216, 8), "data_end": (224, 8), "cluster_size": (232, 4),
    "slot_size": (236, 4), "toc_end_offset": (240, 8), "toc_end_size": (248, 8),
}  # fmt: skip
ENTRY_FIELDS = {
    "entry_length": (4, 4), "flags": (12, 2), "name_length": (14, 2), "image_offset": (80, 8), "stream_size": (88, 8),
    "image_bytes": (96, 8), "created": (104, 8), "segment_size": (128, 8), "segment_count": (136, 4),
    "run_count": (140, 4), "file_count": (144, 4), "segments_crc32c": (148, 4), "blob_length": (152, 4),
    "blob_size": (156, 4), "inter_number": (160, 4), "stem_length": (164, 2), "area_count": (166, 2),
    "inter_offset": (168, 8), "allocated": (176, 8),
}  # fmt: skip


@pytest.fixture(scope="module")
def part() -> Partition:
    made = Partition(MemoryVolume(8 * MIB))
    made.create(stream_of(400_000), "one", "factory")
    made.create(stream_of(50_000, 2), "two")
    return made


def segment_of(part: Partition) -> bytes:
    return part.volume.read(int(part.store().found[0].entry.placement.places[0]), SEGMENT_HEADER)


def table_of(part: Partition) -> bytes:
    offset = part.store().table.own_offset
    return part.volume.read(offset, TableHeader.unpack(part.volume.read(offset, TABLE_HEADER)).table_length)


def reseal(header: bytearray) -> bytes:
    struct.pack_into("<I", header, 12, crc32c(memoryview(header)[16:]))
    return bytes(header)


def reseal_table(table: bytearray, entry: int | None = None) -> bytes:
    """All checksums put right: of an entry, of the body, of the header."""
    if entry is not None:
        length = struct.unpack_from("<I", table, entry + 4)[0]
        if 12 <= length <= len(table) - entry:
            struct.pack_into("<I", table, entry + 8, crc32c(memoryview(table)[entry + 12 : entry + length]))
    struct.pack_into("<I", table, 156, crc32c(memoryview(table)[TABLE_HEADER:]))
    return reseal(bytearray(table[:TABLE_HEADER])) + bytes(table[TABLE_HEADER:])


def tampered(data: bytes, fields: dict[str, tuple[int, int]], at: int = 0, step: int = 1) -> Iterator[bytearray]:
    for offset, size in fields.values():
        for value in EXTREMES[::step]:
            changed = bytearray(data)
            changed[at + offset : at + offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
            yield changed


def test_each_byte_of_a_segment_header_is_guarded(part: Partition) -> None:
    good = segment_of(part)
    assert SegmentHeader.unpack(good).pack() == good
    for at in range(SEGMENT_HEADER):
        bad = bytearray(good)
        bad[at] ^= 0x10
        if at in (10, 11):
            assert SegmentHeader.unpack(bad) == SegmentHeader.unpack(good)
        else:
            with pytest.raises(IntegrityError):
                SegmentHeader.unpack(bad)


def test_each_byte_of_a_table_is_guarded(part: Partition) -> None:
    good = table_of(part)
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 0x10
        if at not in (10, 11):
            with pytest.raises(IntegrityError):
                Table.unpack(TableHeader.unpack(bad[:TABLE_HEADER]), bad)


def test_a_tampered_segment_header_is_refused_or_possible(part: Partition) -> None:
    refused = 0
    for bad in tampered(segment_of(part), SEGMENT_FIELDS | GEOMETRY_FIELDS):
        try:
            header = SegmentHeader.unpack(reseal(bad))
        except IntegrityError:
            refused += 1
        else:
            assert header.payload_length <= header.allocated
            assert header.own_offset + header.allocated <= header.geometry.data_end
    assert refused > 100


def test_a_tampered_table_is_refused_or_possible(part: Partition) -> None:
    good = table_of(part)
    entries = struct.unpack_from("<2I", good, TABLE_HEADER)
    cases = [(bad, None) for bad in tampered(good, TABLE_FIELDS | GEOMETRY_FIELDS)]
    cases += [(bad, entry) for entry in entries for bad in tampered(good, ENTRY_FIELDS, entry)]
    cases += [(bad, None) for bad in tampered(good, {"offset": (0, 4), "other": (4, 4), "room": (8, 8)}, TABLE_HEADER)]
    refused = 0
    for bad, entry in cases:
        sealed = reseal_table(bad, entry)
        try:
            table = Table.unpack(TableHeader.unpack(sealed[:TABLE_HEADER]), sealed)
        except IntegrityError:
            refused += 1
        else:
            assert table.extents().end <= table.geometry.data_end
            for one in table.entries:
                assert one.placement.stream().total == one.summary.stream_size
    assert refused > len(cases) // 2


def test_a_tampered_table_on_the_disk_never_ends_in_a_traceback(part: Partition) -> None:
    good, offset = table_of(part), part.store().table.own_offset
    before = bytes(part.volume.data)
    claims = tuple(part.claims.values())
    for bad in tampered(good, TABLE_FIELDS | GEOMETRY_FIELDS, step=5):
        part.volume.write(offset, reseal_table(bad)[:4096])
        for method in (SearchMethod.CLAIMS, SearchMethod.FIXED):
            for store in LAYOUT.locate(part.volume, Search(method, claims=claims)):
                assert store.findings is not None
                for image in store.images:
                    try:
                        store.open(image.summary.image_id).read(0, 4096)
                    except InpartError:
                        continue
    part.volume.write(0, before)


@pytest.mark.parametrize("size", [2**20, 2**30])
def test_a_compressed_blob_is_not_expanded_beyond_its_bound(part: Partition, size: int) -> None:
    good = bytearray(table_of(part))
    entry = struct.unpack_from("<I", good, TABLE_HEADER)[0]
    names = sum(struct.unpack_from("<H", good, entry + at)[0] for at in (14, 164))
    room = struct.unpack_from("<I", good, entry + 152)[0]
    bomb = zlib.compress(bytes(room * 600), 9)[:room]
    good[entry + 192 + names : entry + 192 + names + len(bomb)] = bomb
    struct.pack_into("<I", good, entry + 156, size)
    sealed = reseal_table(good, entry)
    tracemalloc.start()
    with pytest.raises(IntegrityError):
        Table.unpack(TableHeader.unpack(sealed[:TABLE_HEADER]), sealed)
    assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    tracemalloc.stop()


@given(st.binary(max_size=6000), st.integers(0, 3), st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_bytes_behind_a_signature_are_survived(noise: bytes, kind: int, sealed: bool) -> None:
    header = bytearray(FAMILY + (b"sg", b"tb", b"pb", b"xx")[kind] + b"\1\0\0\0" + noise.ljust(8192, b"\7"))
    size = SEGMENT_HEADER if kind == 0 else TABLE_HEADER
    if sealed:
        header[:size] = reseal(header[:size])
    volume = MemoryVolume(bytes(1024) + header)
    for method in SearchMethod:
        for store in LAYOUT.locate(volume, Search(method, places=(0, 1 << 70))):
            assert isinstance(store.images, tuple)
            assert isinstance(store.findings, tuple)
    with pytest.raises(IntegrityError):
        read_table(volume, 1024)


def test_a_disk_full_of_forged_signatures_costs_one_reading_of_each() -> None:
    volume = MemoryVolume(32 * MIB)
    for at in range(0, volume.size, 512):
        volume.data[at : at + 10] = FAMILY + b"sg\1\0"
    reads: list[int] = []
    assert not LAYOUT.locate(CountingVolume(volume, reads.append), Search(SearchMethod.PARTITION))
    assert sum(reads) <= 10 * volume.size


def test_a_disk_full_of_valid_headers_is_searched_in_bounded_memory(part: Partition) -> None:
    volume = MemoryVolume(32 * MIB)
    good = segment_of(part)
    for at in range(0, volume.size, SEGMENT_HEADER):
        bad = bytearray(good)
        struct.pack_into("<Q", bad, 64, at)
        struct.pack_into("<QQ", bad, 512, at, 64 * KIB)
        bad[48:64] = at.to_bytes(16, "little")
        struct.pack_into("<QQQ", bad, 208, 1 << 40, 0, 1 << 40)
        volume.data[at : at + SEGMENT_HEADER] = reseal(bad)
    tracemalloc.start()
    reads: list[int] = []
    for store in LAYOUT.locate(CountingVolume(volume, reads.append), Search(SearchMethod.DISK)):
        assert len(store.images) <= 4096
    assert sum(reads) <= 10 * volume.size
    assert tracemalloc.get_traced_memory()[1] < 150 * MIB
    tracemalloc.stop()
