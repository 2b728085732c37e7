"""Where $MFTMirr repeats more than four records, ntfs-3g mounts after every power cut, and finds every file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from inpart.contracts import Claim, Severity
from inpart.extents import Extents, Runs
from inpart.testing.powercut import Sample, run_power_cuts
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume, Volume
from inpart_ntfs.editor import NtfsEditor
from ntfsjudge import HIDDEN, judge, mounted, snapshot, tolerable
from ntfsmaker import Recipe, make_partition

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("8k", 8 * KIB, size=10 * MIB),
        Recipe("16k", 16 * KIB, size=12 * MIB),
        Recipe("64k", 64 * KIB, size=40 * MIB),
        Recipe("64k-s4k", 64 * KIB, 4096, size=48 * MIB),
        Recipe("128k", 128 * KIB, size=64 * MIB),
    )
}
SAMPLE = ("8k", "64k")
CASES = [
    pytest.param(name, 14 if sampled else 1000, marks=[] if sampled and name in SAMPLE else pytest.mark.exhaustive)
    for name in RECIPES
    for sampled in (True, False)
]
Work = Callable[[NtfsEditor, Transaction], object]


def make(path: Path, recipe: Recipe) -> None:
    """A volume with few free records: the root directory has blocks, and a large file stands in one piece."""
    make_partition(path, recipe)
    with mounted(path) as root:
        (root / "folder").mkdir()
        (root / "large").write_bytes(bytes(range(256)) * (recipe.size // 1024))
        for number in range(60):
            (root / f"file number {number}").write_bytes(bytes(100 * number))


def claims_in(fs: NtfsEditor, names: list[str]) -> list[Claim]:
    """A claim of one cluster or two for each name."""
    size = fs.boot.cluster_size
    places = iter(fs.free().split(size)[::-2, 0].tolist())
    runs = [Runs([(next(places), size) for _ in range(1 + (len(names) < 9))]) for _ in names]
    return [Claim(name, one, one.total) for name, one in zip(names, runs, strict=True)]


def commit(volume: Volume, *changes: Work) -> None:
    tx = Transaction(volume)
    for change in changes:
        change(NtfsEditor(tx.view), tx)
    tx.commit(None)


def claiming(names: list[str]) -> Work:
    return lambda fs, tx: fs.claim(claims_in(fs, names), tx, directory=Runs())


def releasing(names: list[str]) -> Work:
    return lambda fs, tx: fs.release(names, tx)


def vacating(low: float, high: float) -> Work:
    def change(fs: NtfsEditor, tx: Transaction) -> None:
        ends = [int(fs.boot.clusters * share) * fs.boot.cluster_size for share in (low, high)]
        fs.vacate(Extents.span(*ends), tx, avoid=Extents())

    return change


FIRST = ["journal", "image"]
MANY = [f"many {number}" for number in range(70)]
WORK: dict[str, tuple[list[Work], list[Work]]] = {
    "first claim": ([], [claiming(FIRST)]),
    "growth": ([claiming(FIRST)], [claiming(MANY)]),
    "first claim and growth": ([], [claiming(MANY)]),
    "release of all": ([claiming(FIRST)], [releasing(FIRST)]),
    "claim and release": ([claiming(FIRST)], [claiming(["toc"]), releasing(FIRST)]),
    "vacate the front": ([claiming(FIRST)], [vacating(0, 0.3)]),
    "vacate the middle": ([claiming(FIRST)], [vacating(0.3, 0.7)]),
}


@pytest.mark.parametrize("what", WORK)
@pytest.mark.parametrize(("name", "count"), CASES)
def test_mounted_after_every_cut(tmp_path: Path, name: str, count: int, what: str) -> None:
    path = tmp_path / "p.img"
    make(path, RECIPES[name])
    before, changes = WORK[what]
    sector = RECIPES[name].sector
    volume = MemoryVolume(path.read_bytes(), sector_size=sector)
    for change in before:
        commit(volume, change)
    path.write_bytes(volume.data)
    start, facts = bytes(volume.data), snapshot(path)
    with mounted(path, "ro") as root:
        had = names_of(root)

    def check(disk: MemoryVolume) -> None:
        path.write_bytes(disk.data)
        assert [text for text in judge(path) if not tolerable(text)] == []
        assert snapshot(path) == facts
        with mounted(path, "ro") as root:
            shown.add(names_of(root))
        if disk.data == volume.data:
            assert [one for one in NtfsEditor(disk).check() if one.severity is Severity.ERROR] == []

    shown: set[frozenset[str]] = set()
    commit(volume, *changes)
    fresh = partial(MemoryVolume, start, sector_size=sector)
    run_power_cuts(fresh, lambda one: commit(one, *changes), check, Sample(count, seed=1))
    path.write_bytes(volume.data)
    assert judge(path) == []
    assert list(NtfsEditor(volume).check()) == []
    with mounted(path, "ro") as root:
        assert shown <= {had, names_of(root)} | ({had | names_of(root)} if len(changes) > 1 else set())


def names_of(root: Path) -> frozenset[str]:
    """The files in /.inpart."""
    return frozenset(file.name for file in (root / HIDDEN).iterdir()) if (root / HIDDEN).exists() else frozenset()
