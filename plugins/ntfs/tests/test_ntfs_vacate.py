"""Vacating: whatever lies in a region leaves it, and for the NTFS tools nothing else has changed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from inpart.contracts import Claim
from inpart.errors import FilesystemDamaged, NoSpace
from inpart.extents import Extents, Runs
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.editor.drafts import load
from inpart_ntfs.editor.editor import NtfsEditor
from inpart_ntfs.editor.ownership import fixed_clusters
from inpart_ntfs.editor.vacate import Vacater
from inpart_ntfs.runs import HOLE, byte_extents
from ntfsediting import Bench, some_region
from ntfsjudge import mounted
from ntfsmaker import MATRIX, SMALL, Recipe, fill_up, make_partition, populate

Filled = Callable[[Recipe], tuple[Path, dict[str, bytes]]]

MIRRORED = Recipe("mirrored", 32 * KIB, size=16 * MIB, entries=20, pieces=8)
"""$MFTMirr repeats 32 records, those of the first files among them."""
RECIPES = {recipe.name: recipe for recipe in (*MATRIX, SMALL, MIRRORED) if recipe.name != "c2m"}
SAMPLE = ("c512", "c4k-torn-mft", "s4k", "small")
CASES = [
    pytest.param(name, seed, marks=[] if seed == 0 and name in SAMPLE else pytest.mark.exhaustive)
    for name in RECIPES
    for seed in range(4)
]

CUTS = [
    pytest.param(12, id="sample"),
    pytest.param(1000, id="many", marks=pytest.mark.exhaustive),
]


@pytest.fixture
def bench(filled: Filled, tmp_path: Path) -> Callable[[str], Bench]:
    """A function that makes a bench of a recipe."""

    def make(name: str) -> Bench:
        path, _ = filled(RECIPES[name])
        return Bench.of(path, tmp_path / "partition.img", RECIPES[name].sector)

    return make


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_regions_of_all_volumes(bench: Callable[[str], Bench], name: str, seed: int) -> None:
    one = bench(name)
    region, avoid = some_region(one, seed), one.part(0.5, 0.55)
    kept = (avoid - region) - one.fs().used
    one.vacate(region, avoid)
    one.expect_same(region)
    assert not one.fs().used & kept, "clusters that were to be avoided are in use"


def test_system_files_change_places_by_one_sector(bench: Callable[[str], Bench]) -> None:
    one = bench("c4k-torn-mft")
    before, old = one.fs().boot, bytes(one.volume.data)
    lcns = {number: load(one.fs().mft, number).find(AttributeType.DATA) for number in (0, 1, 2)}
    places = [byte_extents(data.runs[:, 1], data.runs[:, 2], before.cluster_size) for data in lcns.values() if data]
    region = places[0] | places[1] | places[2]
    assert one.batch(region)[0] == region.total
    boot = one.fs().boot
    assert boot.mft_lcn != before.mft_lcn
    assert boot.mftmirr_lcn != before.mftmirr_lcn
    assert one.volume.data[:512] == one.volume.data[boot.backup_offset : boot.backup_offset + 512]
    assert one.volume.data[:48] + one.volume.data[64:512] == old[:48] + old[64:512]
    one.expect_same(region)


def test_each_special_file_moves(bench: Callable[[str], Bench]) -> None:
    for number in (Number.BITMAP, Number.SECURE, Number.UPCASE, Number.ATTR_DEF, Number.ROOT, Number.LOG_FILE):
        one = bench("c4k-secure")
        draft = load(one.fs().mft, number)
        rows = np.concatenate([attribute.runs for attribute in draft.attributes])
        region = byte_extents(rows[:, 1], rows[:, 2], one.fs().boot.cluster_size)
        assert region, f"record {number} lies in no cluster"
        one.vacate(region)
        one.expect_same(region)


def test_compressed_files_keep_their_units(bench: Callable[[str], Bench]) -> None:
    one = bench("c1k")
    fs = one.fs()
    numbers = [window.numbers[window.in_use & ~window.is_extension] for window in fs.mft.windows()]
    shapes = {}
    for number in np.concatenate(numbers).tolist():
        for attribute in load(fs.mft, number).attributes:
            if attribute.compression_unit:
                shapes[number] = (_shape(attribute.runs), attribute.runs)
    assert len(shapes) >= 5
    rows = np.concatenate([rows for _, rows in shapes.values()])
    region = byte_extents(rows[:, 1], rows[:, 2], fs.boot.cluster_size)
    one.vacate(region)
    one.expect_same(region)
    for number, (shape, _) in shapes.items():
        content = load(one.fs().mft, number).find(AttributeType.DATA)
        assert content is not None
        assert np.array_equal(_shape(content.runs), shape)


def _shape(rows: np.ndarray) -> np.ndarray:
    """Which vcns are stored."""
    return np.repeat(rows[:, 1] != HOLE, rows[:, 2])


def scattered(path: Path, recipe: Recipe) -> None:
    """A volume whose free clusters lie apart, and a large file in one piece at its front."""
    make_partition(path, recipe)
    chance = random.Random(5)
    with mounted(path) as root:
        (root / "one piece.bin").write_bytes(chance.randbytes(900 * recipe.cluster))
        os.setxattr(root / "one piece.bin", "user.stream", chance.randbytes(60_000))
        (root / "small").mkdir()
        number = 0
        while os.statvfs(root).f_bfree > 40:
            (root / "small" / f"{number}").write_bytes(chance.randbytes(recipe.cluster))
            number += 1
        for gone in range(0, number, 2):
            (root / "small" / f"{gone}").unlink()


def test_a_run_list_that_outgrows_its_record(tmp_path: Path) -> None:
    source = tmp_path / "scattered.img"
    scattered(source, Recipe("scattered", 2 * KIB, size=12 * MIB))
    one = Bench.of(source, tmp_path / "partition.img")
    file = next(path for path in one.before if path.endswith("one piece.bin"))
    number = one.before[file][0][0]  # type: ignore[index]
    draft = load(one.fs().mft, number)
    assert len(draft.records) == 1
    content = draft.find(AttributeType.DATA)
    assert content is not None
    region = byte_extents(content.runs[:, 1], content.runs[:, 2], 2 * KIB)
    one.vacate(region)
    one.expect_same(region)
    draft = load(one.fs().mft, number)
    assert len(draft.records) > 1, "there was no need for an attribute list"
    assert draft.listing is not None
    lists = draft.listing.rows
    if len(lists):
        region = byte_extents(lists[:, 1], lists[:, 2], 2 * KIB)
        one.vacate(region)
        one.expect_same(region)


def test_mft_in_more_pieces_than_its_record_holds(filled: Filled, tmp_path: Path) -> None:
    recipe = Recipe("much-mft", 512, size=12 * MIB, entries=400, pieces=10)
    one = Bench.of(filled(recipe)[0], tmp_path / "partition.img")
    fs = one.fs()
    size = fs.boot.cluster_size
    content = load(fs.mft, Number.MFT).find(AttributeType.DATA)
    assert content is not None
    region = byte_extents(content.runs[:, 1], content.runs[:, 2], size) | one.part(0, 0.02)
    free = fs.used.complement(0, fs.boot.data_end) - region
    lone = Extents.from_starts(np.arange(free.start, fs.boot.data_end, 2 * size), size)
    head = Extents.span(int(free.array[-1, 1]) - 300 * size, int(free.array[-1, 1]))
    one.vacate(region, free - (lone | head))
    one.expect_same(region)
    draft = load(one.fs().mft, Number.MFT)
    assert len(draft.records) > 1, "there was no need for an attribute list"
    assert max(draft.records) < 24


@pytest.mark.parametrize("cuts", CUTS)
def test_mft_grows_when_no_record_is_free(filled: Filled, tmp_path: Path, cuts: int) -> None:
    recipe = Recipe("no-record", KIB, size=12 * MIB, entries=10, pieces=300)
    source = tmp_path / "source.img"
    volume = MemoryVolume(filled(recipe)[0].read_bytes())
    tx = Transaction(volume)
    fs = NtfsEditor(tx.view)
    free = sum(int((~window.in_use & (window.numbers >= 24)).sum()) for window in fs.mft.windows())
    places = fs.free().split(KIB)[1 - free :, 0].tolist()
    fs.claim([Claim(f"{place}", Runs([(place, KIB)]), KIB) for place in places], tx, directory=Runs())
    tx.commit(None)
    source.write_bytes(volume.data)
    one = Bench.of(source, tmp_path / "partition.img")
    count = one.fs().mft.count
    region = one.part(0, 0.35)
    one.vacate_under_cuts(region, cuts)
    one.expect_same(region)
    assert one.fs().mft.count > count


def test_large_files_move_in_parts(bench: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench("c512")
    monkeypatch.setattr("inpart_ntfs.editor.mover._STEP", 64 * KIB)
    monkeypatch.setattr("inpart_ntfs.editor.relocation.MAX_ROWS", 90)
    region = one.part(0.15, 0.4)
    assert one.vacate(region) > 8
    one.expect_same(region)


def test_several_calls_in_one_transaction(bench: Callable[[str], Bench]) -> None:
    one = bench("c512")
    tx = Transaction(one.volume)
    for low, high in ((0, 0.1), (0.5, 0.6), (0.15, 0.25), (0, 0.05)):
        region = one.part(low, high)
        while Vacater(tx, region, Extents()).run().remaining:
            pass
    tx.commit(None)
    one.expect_same(region)


def test_no_room_is_said_with_numbers(bench: Callable[[str], Bench]) -> None:
    one = bench("small")
    old = bytes(one.volume.data)
    with pytest.raises(NoSpace, match=r"\d+ clusters \(.*\) have to move, but only 0 \(0 B\) are free elsewhere"):
        one.batch(one.part(0, 1))
    assert bytes(one.volume.data) == old


def take_for_nobody(one: Bench) -> Extents:
    """Mark the first cluster of the last free run as used; its bytes."""
    fs = one.fs()
    size, free = fs.boot.cluster_size, fs.used.complement(0, fs.boot.data_end).array[-1]
    content = load(fs.mft, Number.BITMAP).find(AttributeType.DATA)
    assert content is not None
    cluster = int(free[0]) // size
    one.volume.data[int(content.runs[0, 1]) * size + cluster // 8] ^= 1 << (cluster % 8)
    return Extents.span(int(free[0]), int(free[0]) + size)


def test_clusters_of_nobody_are_given_back(bench: Callable[[str], Bench]) -> None:
    one = bench("small")
    lost = take_for_nobody(one)
    region = Extents.span(lost.start - 100 * KIB, lost.end + 10 * KIB)
    one.vacate(region)
    one.expect_same(region)


def test_clusters_of_nobody_are_damage_if_a_record_cannot_be_read(bench: Callable[[str], Bench]) -> None:
    one = bench("small")
    lost = take_for_nobody(one)
    fs = one.fs()
    number = max(int(window.numbers[window.in_use][-1]) for window in fs.mft.windows() if window.in_use.any())
    place = next(iter(fs.mft.stream.runs.slice(number * 1024, 4)))[0]
    one.volume.data[place : place + 4] = b"BAAD"
    with pytest.raises(FilesystemDamaged, match=r"clusters belong to no file, and 1 records cannot be read"):
        one.batch(Extents.span(lost.start - 100 * KIB, lost.end))


@pytest.mark.parametrize("count", CUTS)
@pytest.mark.parametrize(
    ("name", "low", "high"), [("small", 0, 0.12), ("small", 0.5, 0.8), ("c512", 0.1, 0.5), ("mirrored", 0.1, 0.4)]
)
def test_power_cuts(bench: Callable[[str], Bench], name: str, low: float, high: float, count: int) -> None:
    one = bench(name)
    region = one.part(low, high)
    one.vacate_under_cuts(region, count)
    one.expect_same(region)


@pytest.mark.exhaustive
def test_a_full_and_fragmented_volume(tmp_path: Path) -> None:
    recipe = Recipe("full", size=300 * MIB, entries=50_000, pieces=800)
    source = tmp_path / "full.img"
    make_partition(source, recipe)
    with mounted(source, "compression") as root:
        populate(root, recipe)
        fill_up(root, 0.8, recipe.cluster)
    one = Bench.of(source, tmp_path / "partition.img")
    fs = one.fs()
    assert fs.used.total > 0.79 * fs.boot.data_end
    for low, high in ((0.86, 1), (0, 0.12), (0.4, 0.55)):
        region = one.part(low, high)
        one.vacate(region)
        one.expect_same(region)
    assert not (one.fs().used & region) - fixed_clusters(one.fs())
