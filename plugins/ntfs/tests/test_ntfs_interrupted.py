"""A power cut and no resume: ntfs-3g mounts the volume and finds all files, check() no damage, and work goes on."""

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
from inpart_ntfs.editor.files import Maker
from ntfsjudge import judge, mounted, snapshot, tolerable
from ntfsmaker import SMALL, Recipe

Filled = Callable[[Recipe], tuple[Path, dict[str, bytes]]]
Work = Callable[[NtfsEditor, Transaction], object]

RECIPES = {
    recipe.name: recipe
    for recipe in (
        SMALL,
        Recipe("c512", 512, size=12 * MIB, pieces=600),
        Recipe("mirrored", 32 * KIB, size=20 * MIB, entries=20, pieces=8),
        Recipe("s4k", 4 * KIB, 4096, size=24 * MIB, pieces=400),
    )
}


def commit(volume: Volume, change: Work) -> None:
    tx = Transaction(volume)
    change(NtfsEditor(tx.view), tx)
    tx.commit(None)


def claiming(*pieces: int, prefix: str = "image") -> Work:
    """Files of so many clusters each, or fewer, that lie apart."""

    def change(fs: NtfsEditor, tx: Transaction) -> None:
        size = fs.boot.cluster_size
        free = fs.free().split(size)[::-2, 0].tolist()
        most = len(free) // len(pieces) // 2
        places = iter(free)
        runs = [Runs([(next(places), size) for _ in range(min(count, most))]) for count in pieces]
        claims = [Claim(f"{prefix} {number}", one, one.total) for number, one in enumerate(runs)]
        fs.claim(claims, tx, directory=Runs())

    return change


def exchanging(fs: NtfsEditor, tx: Transaction) -> None:
    """Two files take each other's clusters."""
    one, other = fs.claims()[:2]
    fs.claim([Claim(one.name, other.runs, other.size), Claim(other.name, one.runs, one.size)], tx, directory=Runs())


def releasing(fs: NtfsEditor, tx: Transaction) -> None:
    fs.release([claim.name for claim in fs.claims()], tx)


def vacating(low: float, high: float) -> Work:
    def change(fs: NtfsEditor, tx: Transaction) -> None:
        fs.vacate(part(fs, low, high), tx, avoid=Extents())

    return change


def part(fs: NtfsEditor, low: float, high: float) -> Extents:
    """A share of the clusters, in bytes."""
    size = fs.boot.cluster_size
    return Extents.span(int(fs.boot.clusters * low) * size, int(fs.boot.clusters * high) * size)


def errors(volume: Volume) -> list[object]:
    return [one for one in NtfsEditor(volume).check() if one.severity is Severity.ERROR]


def go_on(disk: MemoryVolume) -> None:
    """What a create does: claim, empty a region, claim again; nothing refuses and nothing is damaged then."""
    commit(disk, claiming(2, prefix="journal"))
    region = part(NtfsEditor(disk), 0.75, 0.95)
    for _ in range(100):
        tx = Transaction(disk)
        done = NtfsEditor(tx.view).vacate(region, tx, avoid=Extents())
        tx.commit(None)
        assert done.moved or not done.remaining
        if not done.remaining:
            break
    commit(disk, claiming(3, 2, prefix="new"))
    assert errors(disk) == []


WORK: dict[str, tuple[Work | None, Work]] = {
    "claim": (None, claiming(2, 300, 3)),
    "exchange": (claiming(200, 2), exchanging),
    "release": (claiming(300, 2), releasing),
    "vacate the end": (claiming(5), vacating(0.75, 1)),
    "vacate the middle": (None, vacating(0.4, 0.65)),
}


SAMPLE = (("small", "claim"), ("small", "exchange"), ("c512", "claim"), ("c512", "vacate the end"))
CASES = [pytest.param(*case, 6, False, id="-".join(case)) for case in SAMPLE]
CASES += [
    pytest.param(name, what, 1000, own, id=f"{name}-{what}-all-{own}", marks=pytest.mark.exhaustive)
    for name in RECIPES
    for what in WORK
    for own in (True, False)
]


@pytest.mark.parametrize(("name", "what", "count", "own"), CASES)
def test_nobody_resumes(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str, count: int, own: bool
) -> None:
    if own:
        monkeypatch.setattr(Maker, "like", lambda *others: Maker(0))
    path, sector = tmp_path / "p.img", RECIPES[name].sector
    volume = MemoryVolume(filled(RECIPES[name])[0].read_bytes(), sector_size=sector)
    before, change = WORK[what]
    if before is not None:
        commit(volume, before)
    start = bytes(volume.data)
    path.write_bytes(start)
    facts = snapshot(path)

    def check(disk: MemoryVolume) -> None:
        path.write_bytes(disk.data)
        with mounted(path) as root:
            (root / "later").write_bytes(bytes(9000))
            (root / "later").unlink()
        assert snapshot(path) == facts
        disk.data[:] = path.read_bytes()
        assert errors(disk) == []
        go_on(disk)
        path.write_bytes(disk.data)
        assert [text for text in judge(path) if not tolerable(text)] == []
        assert snapshot(path) == facts

    fresh = partial(MemoryVolume, start, sector_size=sector)
    run_power_cuts(fresh, lambda disk: commit(disk, change), check, Sample(count, seed=2))
