"""Hostile boot sectors, tables and directories: typed errors only, and a bounded amount read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from fatmaker import MATRIX, Recipe, make_partition
from fattable import WholeTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inpart.contracts import EntryType
from inpart.errors import InpartError
from inpart.units import MIB
from inpart.volume import CountingVolume, MemoryVolume
from inpart_fat.directory import Slots
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.inventory import MAX_DEPTH
from inpart_fat.provider import FatProvider
from inpart_fat.structs import DIR

Filled = Callable[[Recipe], tuple[Path, dict[str, bytes]]]
SETTINGS = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SMALL = {recipe.name: recipe for recipe in MATRIX if recipe.name in {"fat12-1m", "fat16-fewest-clusters"}}
MOST = 8
"""Times the size of the partition that everything together may read."""
NASTY = st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xE5, 0xF7, 0xF8, 0xFF]) | st.integers(0, 255)


def use(memory: MemoryVolume) -> None:
    """Do everything that reads, and read no more than a small multiple of what there is."""
    reads: list[int] = []
    volume = CountingVolume(memory, reads.append)
    FatProvider().probe(volume)
    with suppress(InpartError):
        filesystem = FatProvider().open(volume)
        for action in (
            lambda: filesystem.info,
            filesystem.allocated,
            lambda: list(filesystem.check()),
            filesystem.slack,
            filesystem.dispensable,
            filesystem.reserved_places,
            lambda: list(filesystem.owners(filesystem.allocated())),
        ):
            with suppress(InpartError):
                action()
        for entry in list(filesystem.walk())[:200]:
            with suppress(InpartError):
                filesystem.runs(entry.path)
            with suppress(InpartError):
                if entry.type is EntryType.FILE:
                    sum(map(len, filesystem.read(entry.path)))
    assert sum(reads) < MOST * memory.size


@given(changes=st.dictionaries(st.integers(3, 95), NASTY, min_size=1, max_size=6))
@SETTINGS
def test_boot_sectors(changes: dict[int, int], filled: Filled) -> None:
    volume = MemoryVolume(filled(SMALL["fat12-1m"])[0].read_bytes())
    for offset, value in changes.items():
        volume.data[offset] = value
    use(volume)


@given(raw=st.binary(min_size=96, max_size=96))
@SETTINGS
def test_boot_sectors_of_random_fields(raw: bytes) -> None:
    volume = MemoryVolume(MIB)
    sound = bytearray(raw)
    sound[11:13], sound[13], sound[14:16], sound[16], sound[21] = b"\x00\x02", 1 << raw[13] % 8, b"\x01\x00", 1, 0xF8
    volume.write(0, sound)
    volume.write(510, b"\x55\xaa\xf8\xff\xff\xff")
    use(volume)


@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.01, 0.2, 1.0]))
@SETTINGS
def test_tables(seed: int, share: float, filled: Filled) -> None:
    volume = MemoryVolume(filled(SMALL["fat16-fewest-clusters"])[0].read_bytes())
    filesystem = FatFilesystem(volume)
    geometry, table = filesystem.geometry, WholeTable.of(filesystem)
    chance = np.random.default_rng(seed)
    chosen = np.flatnonzero(chance.random(geometry.entry_count) < share)[2:]
    marks = np.array([0, 1, 0xFFF7, 0xFFFF, geometry.entry_count, 0xFFF0])
    values = chance.integers(2, geometry.entry_count, len(chosen))
    rubbish = chance.random(len(chosen)) < 0.3
    values[rubbish] = chance.choice(marks, int(rubbish.sum()))
    table.set(chosen, values)
    table.write(volume)
    use(volume)


@given(data=st.data(), path=st.sampled_from(["/", "/many", "/sub", "/sub/deep"]))
@SETTINGS
def test_directories(data: st.DataObject, path: str, filled: Filled) -> None:
    volume = MemoryVolume(filled(SMALL["fat12-1m"])[0].read_bytes())
    start = FatFilesystem(volume).runs(path).extents().start
    for offset, value in data.draw(st.dictionaries(st.integers(0, 511), NASTY, min_size=1, max_size=20)).items():
        volume.data[start + offset] = value
    use(volume)


@given(data=st.binary(max_size=640), fat32=st.booleans())
@settings(max_examples=200, deadline=None)
def test_slots_of_any_bytes(data: bytes, fat32: bool) -> None:
    slots = Slots(data, fat32=fat32)
    entries = list(slots.entries())
    assert len(entries) == len(slots.files)
    for entry in entries:
        assert 0 <= entry.first_slot <= entry.slot < slots.end <= slots.count
        assert entry.name
        assert "/" not in entry.name
        assert entry.name not in {".", ".."}
    assert not set(slots.stray.tolist()) & {entry.slot for entry in entries}


def test_directories_that_contain_each_other(tmp_path: Path) -> None:
    """2 MiB of directory entries that all lead to directories made of the same clusters."""
    recipe = Recipe("fat16", 16 * MIB, ("-F16", "-s2"))
    volume = MemoryVolume(make_partition(tmp_path / "p.img", recipe).read_bytes())
    filesystem = FatFilesystem(volume)
    geometry, table = filesystem.geometry, WholeTable.of(filesystem)
    clusters = np.arange(2, 2 + 2 * MIB // geometry.cluster_size)
    table.set(clusters, np.append(clusters[1:], -1))
    table.write(volume)
    slots = np.zeros(65536, dtype=DIR)
    slots["DIR_Name"] = np.frombuffer(b"".join(b"%08d   " % number for number in range(65536)), "u1").reshape(-1, 11)
    slots["DIR_Attr"] = 0x10
    slots["DIR_FstClusLO"] = clusters[np.arange(65536) % len(clusters)]
    volume.write(geometry.data_start, slots.tobytes())
    volume.write(geometry.root_start, slots[:512].tobytes())
    reads: list[int] = []
    filesystem = FatFilesystem(CountingVolume(volume, reads.append))
    assert sum(1 for _ in filesystem.walk()) <= 512 + 65536
    assert any(finding.code == "fat.cross-link" for finding in filesystem.check())
    assert sum(reads) < MOST * volume.size


def test_a_chain_of_nested_directories(tmp_path: Path) -> None:
    """Each cluster a directory with one directory in it, deeper than any path can be."""
    recipe = Recipe("fat12", 4 * MIB, ("-F12", "-s2"))
    volume = MemoryVolume(make_partition(tmp_path / "p.img", recipe).read_bytes())
    filesystem = FatFilesystem(volume)
    geometry, table = filesystem.geometry, WholeTable.of(filesystem)
    clusters = np.arange(2, geometry.entry_count)
    table.set(clusters, -1)
    table.write(volume)
    slot = np.zeros(1, dtype=DIR)
    slot["DIR_Name"] = np.frombuffer(b"NESTED     ", "u1")
    slot["DIR_Attr"] = 0x10
    for cluster in clusters.tolist():
        slot["DIR_FstClusLO"] = cluster
        volume.write(geometry.root_start if cluster == 2 else geometry.offset(cluster - 1), slot.tobytes())
    reads: list[int] = []
    filesystem = FatFilesystem(CountingVolume(volume, reads.append))
    assert sum(1 for _ in filesystem.walk()) == MAX_DEPTH
    assert len(list(filesystem.owners(filesystem.allocated()))) == len(clusters) + 1
    assert list(filesystem.check())
    assert sum(reads) < MOST * volume.size
