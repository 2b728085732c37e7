"""$MFT grows on full and torn volumes: ntfs-3g mounts after every power cut, or nothing is changed at all."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from inpart.contracts import Claim, Severity
from inpart.errors import NoSpace
from inpart.extents import Runs
from inpart.testing.powercut import Sample, run_power_cuts
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import Access, FileVolume, MemoryVolume, Volume
from inpart_ntfs.codes import Number
from inpart_ntfs.editor import NtfsEditor
from inpart_ntfs.editor.drafts import load
from ntfsjudge import judge, mounted, snapshot, tolerable
from ntfsmaker import Recipe, fill_folder, make_partition


def tear_up(root: Path, cluster: int, hole: int) -> None:
    """Leave free holes of ``hole`` clusters only."""
    one, other = root / "going", root / "staying"
    with suppress(OSError), open(one, "wb", 0) as first, open(other, "wb", 0) as second:
        while True:
            first.write(bytes(hole * cluster))
            second.write(b"\x22" * cluster)
    one.unlink()


def make(path: Path, recipe: Recipe, hole: int, *, names: int = 0) -> None:
    """A volume with free holes of one size; ``names`` files let $MFT grow there before."""
    make_partition(path, recipe)
    with mounted(path) as root:
        tear_up(root, recipe.cluster, hole)
    if names:
        with mounted(path) as root:
            fill_folder(root / "many", names)
    with FileVolume(path, Access.WRITE) as volume:
        fill_holes(volume, hole)


def fill_holes(volume: Volume, hole: int) -> None:
    """Claim what is longer than ``hole`` clusters, but for the holes that are to be."""
    tx = Transaction(volume)
    fs = NtfsEditor(tx.view)
    size = fs.boot.cluster_size
    rows = [(start + hole * size, end - start - hole * size) for start, end in fs.free() if end - start > hole * size]
    runs = Runs(rows)
    fs.claim([Claim("longer", runs, runs.total)], tx, directory=Runs())
    tx.commit(None)


def change(volume: Volume, names: int) -> None:
    """Claim one cluster for each of so many new files."""
    tx = Transaction(volume)
    fs = NtfsEditor(tx.view)
    size = fs.boot.cluster_size
    places = fs.free().split(size)[-2 * names :: 2, 0].tolist()
    claims = [Claim(f"file {place}", Runs([(place, size)]), size) for place in places]
    fs.claim(claims, tx, directory=Runs())
    tx.commit(None)


CASES = {
    "single-clusters": (Recipe("single", size=6 * MIB), 1, 0, 1),
    "pieces-of-a-mirror": (Recipe("pieces", 512, size=5 * MIB), 8, 0, 1),
    "attribute-list": (Recipe("listed", KIB, size=10 * MIB), 4, 2600, 3),
}


@pytest.mark.parametrize(
    ("what", "count"),
    [
        *[(what, 4 if what == "attribute-list" else 16) for what in CASES],
        *[pytest.param(what, 1000, marks=pytest.mark.exhaustive) for what in CASES],
    ],
)
def test_every_cut_leaves_a_volume_that_mounts(tmp_path: Path, what: str, count: int) -> None:
    path = tmp_path / "p.img"
    recipe, hole, names, records = CASES[what]
    make(path, recipe, hole, names=names)
    start, facts = path.read_bytes(), snapshot(path)
    fs = NtfsEditor(MemoryVolume(start))
    before = fs.mft.count
    assert len(load(fs.mft, Number.MFT).records) == records

    def check(disk: MemoryVolume) -> None:
        path.write_bytes(disk.data)
        assert [text for text in judge(path) if not tolerable(text)] == []
        assert snapshot(path) == facts
        assert [one for one in NtfsEditor(disk).check() if one.severity is Severity.ERROR] == []

    work = partial(change, names=70)
    run_power_cuts(partial(MemoryVolume, start), work, check, Sample(count, seed=2))
    volume = MemoryVolume(start)
    work(volume)
    path.write_bytes(volume.data)
    assert NtfsEditor(volume).mft.count > before
    assert judge(path) == []
    assert list(NtfsEditor(volume).check()) == []


def test_refused_without_a_place_for_the_mirror(tmp_path: Path) -> None:
    """Four records of 1 KiB need eight clusters of 512 bytes side by side, twice."""
    path = tmp_path / "p.img"
    make(path, Recipe("torn", 512, size=5 * MIB), 7)
    volume = MemoryVolume(path.read_bytes())
    with pytest.raises(NoSpace, match="needs 4096 free bytes in one piece, and there are 3584"):
        change(volume, 70)
    assert bytes(volume.data) == path.read_bytes()
