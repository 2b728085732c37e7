"""NTFS 1.2 and 3.0: new files are as that version has them, and the NTFS tools are content."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest
from inpart.contracts import Claim
from inpart.extents import Extents, Runs
from inpart.testing.powercut import Sample, run_power_cuts
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume, Volume
from inpart_ntfs.codes import AttributeType
from inpart_ntfs.editor import NtfsEditor
from inpart_ntfs.structs import HEADER_SIZE_OLD
from ntfsjudge import HIDDEN, judge, mounted, ntfsclone_used, ntfsinfo_used, snapshot, tolerable
from ntfsmaker import Recipe, fill_folder, make_partition, tear
from ntfsold import age

OLD_INFORMATION = 48
"""Bytes of STANDARD_INFORMATION without a security id."""
VERSIONS = [(1, 2), (3, 0)]
RECIPE = Recipe("old", KIB, size=12 * MIB, pieces=200)


@pytest.fixture(params=VERSIONS, ids=["1.2", "3.0"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, tuple[int, int]]:
    path = make_partition(tmp_path / "old.img", RECIPE)
    with mounted(path) as root:
        tear(root / "fragments", RECIPE.cluster, RECIPE.pieces, random.Random(1))
        fill_folder(root / "many", 150)
        (root / "hard link").hardlink_to(root / "many" / "entry number 00005 with a longer name.txt")
    age(path, request.param)
    return path, request.param


def commit(volume: Volume, *changes: object) -> None:
    for change in changes:
        tx = Transaction(volume)
        change(NtfsEditor(tx.view), tx)  # type: ignore[operator]
        tx.commit(None)


def claiming(fs: NtfsEditor, tx: Transaction) -> None:
    places = fs.free().split(KIB)[::-2, 0].tolist()
    runs = [Runs([(place, KIB) for place in part]) for part in (places[:200], places[200:203])]
    fs.claim([Claim(f"image {one.total}", one, one.total) for one in runs], tx, directory=Runs())


def vacating(fs: NtfsEditor, tx: Transaction) -> None:
    fs.vacate(Extents.span(fs.boot.data_end // 2, fs.boot.data_end), tx, avoid=Extents())


def test_used_clusters_are_those_of_the_tools(old: tuple[Path, tuple[int, int]]) -> None:
    path, version = old
    fs = NtfsEditor(MemoryVolume(path.read_bytes()))
    assert fs.state.version == version
    assert list(fs.check()) == []
    assert fs.used.total == ntfsinfo_used(path)
    assert fs.used == ntfsclone_used(path).clip(0, fs.boot.data_end)
    assert judge(path) == []


def test_claimed_and_vacated(old: tuple[Path, tuple[int, int]]) -> None:
    path, version = old
    facts, volume = snapshot(path), MemoryVolume(path.read_bytes())
    commit(volume, claiming, vacating, vacating)
    path.write_bytes(volume.data)
    assert judge(path) == []
    assert list(NtfsEditor(volume).check()) == []
    assert snapshot(path) == facts
    with mounted(path, "ro") as root:
        numbers = [file.stat().st_ino for file in (root / HIDDEN, *(root / HIDDEN).iterdir())]
    assert len(numbers) == 3
    for number in numbers:
        record = NtfsEditor(volume).mft.assembled(number)
        information = record.stream(AttributeType.STANDARD_INFORMATION)
        assert information is not None
        own = record.stream(AttributeType.SECURITY_DESCRIPTOR) is not None
        assert own == (len(information.value) == OLD_INFORMATION)
        assert own or version >= (3, 0)
        assert record.base.raw[4] == HEADER_SIZE_OLD
    with mounted(path) as root:
        (root / "later").write_bytes(bytes(70_000))
        (root / HIDDEN / "image 3072").unlink()
    assert judge(path) == []
    assert list(NtfsEditor(MemoryVolume(path.read_bytes())).check()) == []


@pytest.mark.parametrize("change", [claiming, vacating])
def test_cuts(old: tuple[Path, tuple[int, int]], change: object) -> None:
    path, _ = old
    start, facts = path.read_bytes(), snapshot(path)

    def check(disk: MemoryVolume) -> None:
        path.write_bytes(disk.data)
        assert [text for text in judge(path) if not tolerable(text)] == []
        assert snapshot(path) == facts

    run_power_cuts(partial(MemoryVolume, start), lambda disk: commit(disk, change), check, Sample(6, seed=1))
