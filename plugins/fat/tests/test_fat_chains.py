"""The allocation table: packing, and chains against a plain cluster-by-cluster reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.errors import FilesystemDamaged
from inpart.volume import MemoryVolume
from inpart_fat.chains import Links
from inpart_fat.follow import Ending
from inpart_fat.geometry import Geometry
from inpart_fat.table import AllocationTable, pack, packed_size, unpack

GEOMETRY = Geometry(
    sector_size=512,
    cluster_size=1024,
    fat_bits=16,
    reserved_bytes=512,
    fat_starts=(512,),
    fat_bytes=1024,
    root_start=1536,
    root_bytes=512,
    root_cluster=0,
    data_start=2048,
    cluster_count=30,
    data_clusters=30,
    total_sectors=64,
    mirrored=True,
    active_fat=0,
    media=0xF8,
    boot_offset=0,
    backup_offset=0,
    fsinfo_offset=0,
)
MARKS = (0, 0xFFFF, 0xFFF8, 0xFFF7, 1, 40, 0xFFF0)


def table_of(geometry: Geometry, entries: list[int]) -> AllocationTable:
    """A table on a volume that holds nothing else."""
    packed = pack(np.array(entries, dtype=np.uint32), geometry.fat_bits)
    return AllocationTable(MemoryVolume(bytes(512) + packed.ljust(1024, b"\0")), geometry)


@st.composite
def tables(draw: st.DrawFn) -> list[int]:
    """Entries of a table of 30 clusters: steps, jumps, marks and rubbish."""
    kinds = st.one_of(st.just(-1), st.integers(2, 31), st.sampled_from(MARKS))
    drawn = draw(st.lists(kinds, min_size=30, max_size=30))
    return [0xFFF8, 0xFFFF] + [min(index + 3, 31) if value == -1 else value for index, value in enumerate(drawn)]


def followed(entries: list[int], start: int) -> tuple[list[int], Ending]:
    """The chain from ``start`` on, cluster by cluster."""
    chain: list[int] = []
    at = start
    while True:
        if not 2 <= at < len(entries):
            return chain, Ending.OUT_OF_RANGE
        if entries[at] == 0:
            return chain, Ending.FREE
        if entries[at] == 0xFFF7:
            return chain, Ending.BAD
        if at in chain:
            return chain, Ending.LOOP
        chain.append(at)
        if entries[at] >= 0xFFF8:
            return chain, Ending.END
        at = entries[at]


@pytest.mark.parametrize("bits", [12, 16, 32])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_pack_is_the_inverse_of_unpack(bits: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=50))
    packed = pack(np.array(values, dtype=np.uint32), bits)
    assert len(packed) == packed_size(len(values), bits)
    assert unpack(packed, bits, len(values)).tolist() == values


def test_twelve_bit_entries_lie_as_documented() -> None:
    assert unpack(bytes.fromhex("f8ffff03f0ff"), 12, 4).tolist() == [0xFF8, 0xFFF, 0x003, 0xFFF]
    assert pack(np.array([0x123, 0x456, 0x789], dtype=np.uint32), 12) == bytes.fromhex("23614589 07".replace(" ", ""))


@given(entries=tables())
@settings(max_examples=150, deadline=None)
def test_chains_are_those_of_the_reference(entries: list[int]) -> None:
    table = table_of(GEOMETRY, entries)
    for start in range(33):
        chain, ending = followed(entries, start) if start else ([], Ending.END)
        found = table.chain(start, strict=False).tolist()
        assert found == chain
        assert table.chain(start, limit=3, strict=False).tolist() == found[:3]
        if ending is not Ending.END:
            with pytest.raises(FilesystemDamaged):
                table.chain(start)


@given(entries=tables(), heads=st.lists(st.integers(2, 31), max_size=6), width=st.sampled_from([2, 3, 8, 32]))
@settings(max_examples=150, deadline=None)
def test_all_chains_at_once(entries: list[int], heads: list[int], width: int) -> None:
    table = np.array(entries, dtype=np.uint32)
    windows = [(first, table[first : first + width]) for first in range(0, 32, width)]
    links = Links(lambda: iter(windows), GEOMETRY, np.array(heads, dtype=np.int64))
    stretch = links.index(np.array(heads, dtype=np.int64))
    assert (links.starts[stretch] == heads).all()
    marked = np.zeros(links.count, dtype=bool)
    marked[stretch] = True
    downstream = links.downstream(marked) & ~links.hollow
    held = {
        cluster
        for index in np.flatnonzero(downstream).tolist()
        for cluster in range(links.starts[index], links.lasts[index] + 1)
    }
    chains = [followed(entries, head) for head in heads]
    assert held == {cluster for chain, _ in chains for cluster in chain}
    for head, index, (chain, ending) in zip(heads, stretch.tolist(), chains, strict=True):
        assert links.reach.endings[index] == ending
        if ending is not Ending.LOOP:
            assert links.reach.clusters[index] == len(chain)
        if ending is Ending.END:
            assert links.lasts[links.reach.finals[index]] == chain[-1]
        for target in range(2, 32):
            where = links.index(np.array([target]))[0]
            if where >= 0 and not links.hollow[where]:
                hit = np.zeros(links.count, dtype=bool)
                hit[where] = True
                stretch_clusters = range(links.starts[where], links.lasts[where] + 1)
                assert links.upstream(hit)[index] == any(cluster in chain for cluster in stretch_clusters), head


@given(
    entries=st.lists(st.integers(0, 0xFFFF), min_size=32, max_size=32),
    clusters=st.lists(st.integers(0, 31), max_size=20),
)
@settings(max_examples=50, deadline=None)
def test_single_entries_are_those_of_the_table(entries: list[int], clusters: list[int]) -> None:
    table = table_of(GEOMETRY, entries)
    found = table.at(np.array(clusters, dtype=np.int64))
    assert found.tolist() == [entries[cluster] for cluster in clusters]


def test_reserved_bits_of_fat32_are_no_part_of_an_entry() -> None:
    geometry = replace(GEOMETRY, fat_bits=32)
    table = table_of(geometry, [0xFFFFFFF8, 0xFFFFFFFF, 0xA0000003, 0xAFFFFFFF] + [0xA0000000] * 28)
    assert table.raw(2, 3).tolist() == [0xA0000003, 0xAFFFFFFF, 0xA0000000]
    assert table.fetch(2, 3).tolist() == table.at(np.array([2, 3, 4])).tolist() == [3, 0x0FFFFFFF, 0]
    assert table.chain(2).tolist() == [2, 3]


def test_a_changed_entry_is_seen_when_the_old_one_is_forgotten() -> None:
    table = table_of(GEOMETRY, [0xFFF8, 0xFFFF] + [0] * 30)
    assert table.fetch(5, 1)[0] == 0
    table.volume.write(512 + 5 * 2, b"\x06\x00")
    table.forget(4, 6)
    assert table.fetch(5, 1)[0] == table.at(np.array([5]))[0] == 6
