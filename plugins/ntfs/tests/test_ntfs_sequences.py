"""Random changes one after another in a single transaction: claims, exchanges, releases, moved files."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from inpart.contracts import Claim, Severity
from inpart.errors import NoSpace
from inpart.extents import Extents, Runs
from inpart.testing.powercut import Sample, run_power_cuts
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume, Volume
from inpart_ntfs.editor import NtfsEditor
from ntfsjudge import judge, snapshot, tolerable
from ntfsmaker import SMALL, Recipe

Filled = Callable[[Recipe], tuple[Path, dict[str, bytes]]]

RECIPES = {
    recipe.name: recipe
    for recipe in (
        SMALL,
        Recipe("c512", 512, size=12 * MIB, pieces=600),
        Recipe("c64k", 64 * KIB, size=48 * MIB, pieces=40),
    )
}
SOME, MANY = {"small": 16, "c512": 5, "c64k": 4}, {"small": 200, "c512": 60, "c64k": 60}
CASES = [
    pytest.param(name, seed, marks=[] if seed < SOME[name] else pytest.mark.exhaustive)
    for name, count in MANY.items()
    for seed in range(count)
]


class Sequence:
    """One transaction, and what ``/.inpart`` should hold after it."""

    def __init__(self, volume: Volume, chance: random.Random, *, lasting: bool = False) -> None:
        """``lasting``: no file is released that this transaction has claimed."""
        self.tx = Transaction(volume)
        self.chance = chance
        self.expected = {claim.name: claim for claim in NtfsEditor(volume).claims()}
        self.lasting: set[str] | None = set() if lasting else None
        self.freed = Extents()
        self.steps: list[str] = []

    def step(self) -> None:
        """One more change."""
        chosen = self.chance.choice((self.claim, self.claim, self.exchange, self.release, self.vacate, self.empty))
        self.steps.append(chosen.__name__)
        chosen()

    def claim(self) -> None:
        """New files, and files of the same name elsewhere."""
        fs = NtfsEditor(self.tx.view)
        size = fs.boot.cluster_size
        pieces = (fs.free() - self.freed).split(size * self.chance.randrange(1, 5)).tolist()
        self.chance.shuffle(pieces)
        names = self.chance.sample([f"file {number}" for number in range(12)], self.chance.randrange(1, 6))
        claims = []
        for name in names:
            count = min(self.chance.choice((0, 1, 3, 100)), len(pieces) // 8)
            runs = Runs([(start, end - start) for start, end in (pieces.pop() for _ in range(count))])
            claims.append(Claim(name, runs, max(0, runs.total - self.chance.randrange(size))))
        before = self.owned()
        fs.claim(claims, self.tx, directory=Runs())
        self.expected |= {claim.name: claim for claim in claims}
        self._last(names)
        self.freed |= before - self.owned()

    def exchange(self) -> None:
        """Files take each other's clusters."""
        some = self.chance.sample(sorted(self.expected), min(len(self.expected), 3))
        turned = [self.expected[name] for name in (*some[1:], *some[:1])]
        claims = [Claim(name, one.runs, one.size) for name, one in zip(some, turned, strict=True)]
        NtfsEditor(self.tx.view).claim(claims, self.tx, directory=Runs())
        self.expected |= {claim.name: claim for claim in claims}
        self._last(some)

    def _last(self, names: list[str]) -> None:
        if self.lasting is not None:
            self.lasting.update(names)

    def release(self) -> None:
        """Some files or all of them."""
        known = sorted(self.expected.keys() - (self.lasting or set()))
        if not known:
            return
        names = self.chance.sample(known, self.chance.randrange(1, len(known) + 1))
        before = self.owned()
        NtfsEditor(self.tx.view).release(names, self.tx)
        for name in names:
            del self.expected[name]
        self.freed |= before - self.owned()

    def vacate(self) -> None:
        """A batch out of some region; claimed files move like any other."""
        fs = NtfsEditor(self.tx.view)
        low = self.chance.uniform(0, 0.8)
        size, clusters = fs.boot.cluster_size, fs.boot.clusters
        region = Extents.span(int(clusters * low) * size, int(clusters * (low + 0.2)) * size)
        fs.vacate(region, self.tx, avoid=Extents())
        self.expected = {claim.name: claim for claim in NtfsEditor(self.tx.view).claims()}

    def empty(self) -> None:
        """All batches out of some region, as a restore does."""
        fs = NtfsEditor(self.tx.view)
        low, size = self.chance.uniform(0, 0.9), fs.boot.cluster_size
        region = Extents.span(int(fs.boot.clusters * low) * size, int(fs.boot.clusters * (low + 0.1)) * size)
        while NtfsEditor(self.tx.view).vacate(region, self.tx, avoid=region).remaining:
            pass
        self.expected = {claim.name: claim for claim in NtfsEditor(self.tx.view).claims()}

    def owned(self) -> Extents:
        """The clusters of all files."""
        return Extents.union(claim.runs.extents() for claim in self.expected.values())


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_in_one_transaction(filled: Filled, tmp_path: Path, name: str, seed: int) -> None:
    path, chance = tmp_path / "p.img", random.Random(seed)
    volume = MemoryVolume(filled(RECIPES[name])[0].read_bytes())
    path.write_bytes(volume.data)
    facts = snapshot(path)
    for _ in range(3):
        sequence = Sequence(volume, chance)
        try:
            for _ in range(chance.randrange(2, 6)):
                sequence.step()
        except NoSpace:
            continue
        except BaseException as error:
            error.add_note(f"after {sequence.steps}")
            raise
        sequence.tx.commit(None)
        path.write_bytes(volume.data)
        assert judge(path) == [], sequence.steps
        fs = NtfsEditor(volume)
        assert list(fs.check()) == [], sequence.steps
        assert list(fs.claims()) == [sequence.expected[one] for one in sorted(sequence.expected)], sequence.steps
        assert snapshot(path) == facts, sequence.steps


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[] if seed < 5 else pytest.mark.exhaustive) for seed in range(100)]
)
def test_cuts_in_one_transaction(filled: Filled, tmp_path: Path, seed: int) -> None:
    """Nobody resumes: at worst clusters are taken and unused."""
    path = tmp_path / "p.img"
    volume = MemoryVolume(filled(SMALL)[0].read_bytes())
    first = Sequence(volume, random.Random(seed))
    first.claim()
    first.tx.commit(None)
    start = bytes(volume.data)
    path.write_bytes(start)
    facts = snapshot(path)

    def work(disk: Volume) -> None:
        chance = random.Random(seed)
        sequence = Sequence(disk, chance, lasting=True)
        with suppress(NoSpace):
            for _ in range(chance.randrange(2, 5)):
                chance.choice((sequence.claim, sequence.release, sequence.exchange))()
            sequence.tx.commit(None)

    def check(disk: MemoryVolume) -> None:
        path.write_bytes(disk.data)
        assert [text for text in judge(path) if not tolerable(text)] == []
        assert snapshot(path) == facts
        assert [one for one in NtfsEditor(disk).check() if one.severity is Severity.ERROR] == []

    run_power_cuts(partial(MemoryVolume, start), work, check, Sample(8, seed=seed))
