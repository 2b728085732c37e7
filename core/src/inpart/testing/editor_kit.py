"""Conformance of a file system at level 3, the editor: behaviours E1 to E11 of docs/PLUGINS.md.

Every change is committed through a real transaction without a journal, so that only the order of its stages protects
the file system, and is followed by the reference checker and a comparison of all that the user has.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar, cast

import pytest

from inpart.contracts import Claim, Edits, Entry, EntryType, FilesystemEditor, Place
from inpart.errors import InpartError, NoSpace
from inpart.extents import Extents, Runs
from inpart.testing.kit import noting
from inpart.testing.powercut import Sample, run_power_cuts
from inpart.testing.tree_kit import FilesystemTreeKit
from inpart.transaction import Transaction
from inpart.volume import MemoryVolume, Volume

T = TypeVar("T")
Change = Callable[[FilesystemEditor, Edits], T]

DIRECTORY = "/.inpart"
ROUNDS = 3
_BATCHES = 1000


class FilesystemEditorKit(FilesystemTreeKit):
    """What levels 1 and 2 ask for, and ``tolerable``.

    ``stable_records`` declares whether a file keeps its record number when it is moved. ``cuts`` is the number of
    power cuts that are tried with each change of each variant. ``directory_clusters`` is how many clusters are
    offered for the hidden directory. ``editor_variants`` are those that are changed, where they are not ``variants``:
    changes take their time, and levels 1 and 2 may have a class of tests to themselves.
    """

    stable_records: ClassVar[bool] = True
    cuts: ClassVar[int] = 16
    directory_clusters: ClassVar[int] = 4
    editor_variants: ClassVar[Sequence[str]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test that wants a variant once for every one of its level."""
        if "variant" in metafunc.fixturenames:
            editing = metafunc.function.__name__.startswith("test_e")
            metafunc.parametrize("variant", (editing and self.editor_variants) or self.variants)

    def tolerable(self, complaint: str) -> bool:
        """True for what a cut may leave behind: clusters allocated and unused, counters that lag behind."""
        return False

    def editor(self, volume: Volume) -> FilesystemEditor:
        """The file system on ``volume`` at this level."""
        return cast("FilesystemEditor", self.provider.open(volume))

    def test_e1_free_is_what_may_be_used(self, variant: str) -> None:
        """E1: free clusters are whole clusters of the data area, not allocated, as many as info says."""
        fs = self.editor(self.specimen(variant).frozen())
        info, free = fs.info, fs.free()
        assert Extents.span(info.data_start, info.data_end).covers(free), "E1: free bytes outside the data area"
        assert free.total == info.free_bytes, f"E1: {free.total} bytes are free, info says {info.free_bytes}"
        assert not free & fs.allocated(), "E1: allocated bytes are free"
        assert not free & fs.immovable(), "E1: immovable bytes are free"
        ragged = (free.array - info.data_start) % info.cluster_size
        assert not ragged.any(), "E1: free bytes are not whole clusters"

    def test_e2_immovable_is_named(self, variant: str) -> None:
        """E2: immovable bytes lie in the data area; bad clusters are among them."""
        specimen = self.specimen(variant)
        fs = self.editor(specimen.frozen())
        assert Extents.span(fs.info.data_start, fs.info.data_end).covers(fs.immovable()), "E2: outside the data area"
        assert fs.immovable().covers(specimen.bad), f"E2: {specimen.bad} are bad, {fs.immovable()} immovable"

    def test_e3_claim_makes_the_files(self, variant: str) -> None:
        """E3: claimed files have exactly the given runs, order and size, in used clusters; all else is as it was."""
        for seed in range(ROUNDS):
            volume = self.specimen(variant).volume()
            wanted = self._random_claims(volume, seed)
            self._change(volume, "E3", _claiming(wanted))
            self._expect_claims(volume, "E3", wanted)

    def test_e4_clusters_pass_between_files(self, variant: str) -> None:
        """E4: one call may replace files and pass clusters from one to another; what nobody keeps becomes free."""
        volume = self.specimen(variant).volume()
        first, second, _ = self._random_claims(volume, seed=4)
        self._change(volume, "E4", _claiming([first, second]))
        third = self._random_claims(volume, seed=44)[2].runs
        room = third.slice(0, self.directory_clusters * self.editor(volume).info.cluster_size)
        one, other, spare = first.runs, second.runs, third.slice(room.total, third.total)
        for here, there in ((other, one), (other + one, spare), (other, one)):
            wanted = [Claim(first.name, here, here.total), Claim(second.name, there, there.total - 1)]
            self._change(volume, "E4", _claiming(wanted, room))
            self._expect_claims(volume, "E4", wanted)
        assert self.editor(volume).free().covers(spare.extents()), "E4: what nobody keeps is not free"

    def test_e5_release_gives_back(self, variant: str) -> None:
        """E5: released files are gone and their clusters free; with the last one the directory goes."""
        volume = self.specimen(variant).volume()
        wanted = self._random_claims(volume, seed=5)
        self._change(volume, "E5", _claiming(wanted))
        self._change(volume, "E5", lambda fs, tx: fs.release([wanted[0].name], tx))
        self._expect_claims(volume, "E5", wanted[1:])
        assert self.editor(volume).free().covers(wanted[0].runs.extents()), "E5: released clusters are not free"
        self._change(volume, "E5", lambda fs, tx: fs.release([claim.name for claim in wanted[1:]], tx))
        fs = self.editor(volume)
        assert not fs.claims(), "E5: there are claims left"
        assert DIRECTORY not in [entry.path for entry in fs.list("/")], "E5: the directory is still there"
        assert fs.free().covers(Extents(pair for claim in wanted for pair in claim.runs.extents())), "E5: not free"

    def test_e6_vacate_empties_a_region(self, variant: str) -> None:
        """E6: batch by batch, only immovable clusters are left in the region, and nothing moves into ``avoid``."""
        for seed in range(ROUNDS):
            volume = self.specimen(variant).volume()
            fs = self.editor(volume)
            wanted = self._random_claims(volume, seed)
            self._change(volume, "E6", _claiming(wanted))
            region, avoid = self._regions(volume, seed)
            kept = self.editor(volume).free() & avoid
            left = self._vacate(volume, region, avoid)
            assert not left, f"E6: {left} bytes remain to be moved and nothing moves"
            fs = self.editor(volume)
            assert fs.immovable().covers(fs.allocated() & region), f"E6: {fs.allocated() & region} are left"
            assert fs.free().covers(kept), "E6: clusters to be avoided were used"
            names = [(claim.name, claim.size) for claim in fs.claims()]
            assert sorted(names) == sorted((claim.name, claim.size) for claim in wanted), "E6: claims have changed"

    def test_e7_no_room_changes_nothing(self, variant: str) -> None:
        """E7: without room vacate raises NoSpace, and claiming what is not free an error; nothing has been written."""
        volume = self.specimen(variant).volume()
        fs = self.editor(volume)
        info = fs.info
        everything = Extents.span(info.data_start, info.data_end)
        used = fs.runs(next(path for path in self.specimen(variant).files if fs.runs(path).total))
        stolen = Claim("stolen", used, used.total)
        ragged = Claim("ragged", Runs([(info.data_start + 1, info.cluster_size)]), 1)
        refused: list[Change[object]] = [
            lambda fs, tx: fs.vacate(everything, tx, avoid=Extents()),
            _claiming([stolen]),
            _claiming([ragged]),
        ]
        for change, error in zip(refused, (NoSpace, InpartError, InpartError), strict=True):
            tx = Transaction(volume)
            with noting("E7"), pytest.raises(error):
                change(self.editor(tx.view), tx)
        assert bytes(volume.data) == self.specimen(variant).content, "E7: the volume was written without a commit"

    def test_e8_the_directory_stays_where_it_may(self, variant: str) -> None:
        """E8: given clusters for its directory, claim takes no others but for files, root directory, system areas."""
        volume = self.specimen(variant).volume()
        before = self.editor(volume).free()
        *wanted, spare = self._random_claims(volume, seed=8)
        place = spare.runs.slice(0, self.directory_clusters * self.editor(volume).info.cluster_size)
        self._change(volume, "E8", lambda fs, tx: fs.claim(wanted, tx, directory=place))
        taken = before - self.editor(volume).free()
        allowed = Extents([*place.extents(), *(pair for claim in wanted for pair in claim.runs.extents())])
        allowed |= self.editor(volume).runs("/").extents()
        for area in self.editor(volume).system_areas():
            allowed |= area.extents
        assert allowed.covers(taken), f"E8: {taken - allowed} were used too"

    def test_e9_adapt_to_another_place(self, variant: str) -> None:
        """E9: after adapt to another start on the disk the file system is healthy and unchanged."""
        volume = self.specimen(variant).volume()
        place = Place(start=8192 * volume.sector_size, size=volume.size, sector_size=volume.sector_size)
        self._change(volume, "E9", lambda fs, tx: fs.adapt(place, tx))

    @pytest.mark.parametrize("what", ["claim", "pass", "vacate", "release"])
    def test_e10_cuts_lose_nothing(self, variant: str, what: str) -> None:
        """E10: cut anywhere, unflushed writes kept, lost or torn, at worst unused clusters stay allocated."""
        start = self.specimen(variant).volume()
        first, second, third = self._random_claims(start, seed=10)
        if what != "claim":
            self._change(start, "E10", _claiming((first, second)))
            third = self._random_claims(start, seed=100)[2]
        region, avoid = self._regions(start, seed=10)
        passed = (replace(first, runs=second.runs, size=second.size), replace(second, runs=third.runs, size=third.size))
        changes: dict[str, Change[object]] = {
            "claim": _claiming((first, second, third)),
            "pass": _claiming(passed),
            "vacate": lambda fs, tx: fs.vacate(region, tx, avoid=avoid),
            "release": lambda fs, tx: fs.release([first.name, second.name], tx),
        }
        before = self._possessions(start)

        def check(disk: MemoryVolume) -> None:
            complaints = [text for text in self.complaints(disk) if not self.tolerable(text)]
            assert not complaints, f"E10: {what}: {complaints}"
            assert self._possessions(disk) == before, f"E10: {what}: the user's files have changed"

        run_power_cuts(
            lambda: MemoryVolume(start.data, sector_size=start.sector_size),
            lambda volume: self._commit(volume, changes[what]),
            check,
            Sample(self.cuts, seed=10),
        )

    def test_e11_a_view_shows_what_will_be(self, variant: str) -> None:
        """E11: after each call the editor, and one opened anew on the view, read what the disk will have."""
        volume = self.specimen(variant).volume()
        wanted = self._random_claims(volume, seed=11)
        tx = Transaction(volume)
        fs = self.editor(tx.view)
        fs.claim(wanted, tx, directory=Runs())
        for seen in (fs, self.editor(tx.view)):
            assert _as_set(seen.claims()) == _as_set(wanted), "E11: the claims are not visible"
            assert not list(seen.check()), "E11: check() finds something in the view"
        assert not self.editor(volume).claims(), "E11: the volume was written before the commit"
        free = self.editor(tx.view).free()
        tx.commit(None)
        assert self.editor(volume).free() == free, "E11: the view and the disk disagree on what is free"

    def _commit(self, volume: Volume, change: Change[T]) -> tuple[T, Transaction]:
        tx = Transaction(volume)
        fs = self.editor(tx.view)
        result = change(fs, tx)
        tx.commit(None)
        return result, tx

    def _change(self, volume: MemoryVolume, number: str, change: Change[T]) -> T:
        """Commit a change and check all that must hold after any change."""
        fs, before = self.editor(volume), self._possessions(volume)
        free, files = fs.free(), Extents(pair for path in before for pair in _content_runs(fs, path))
        result, tx = self._commit(volume, change)
        assert free.covers(tx.fresh), f"{number}: new data went to clusters that were not free: {tx.fresh - free}"
        assert not tx.edited() & files, f"{number}: the content of files was edited"
        complaints = self.complaints(volume)
        assert not complaints, f"{number}: {list(complaints)}"
        findings = list(self.editor(volume).check())
        assert not findings, f"{number}: {findings}"
        after = self._possessions(volume)
        assert set(after) == set(before), f"{number}: {set(after) ^ set(before)} came or went"
        for path, what in after.items():
            assert what == before[path], f"{number}: {path} has changed: {what[0]} was {before[path][0]}"
        return result

    def _possessions(self, volume: Volume) -> dict[str, tuple[Entry, bytes]]:
        """All entries of the user with their content."""
        tree = self.tree(volume)
        found = {}
        for entry in tree.walk():
            if entry.path != DIRECTORY and not entry.path.startswith(DIRECTORY + "/"):
                content = b"".join(tree.read(entry.path)) if entry.type is EntryType.FILE else b""
                found[entry.path] = (entry if self.stable_records else replace(entry, record=0), content)
        return found

    def _expect_claims(self, volume: Volume, number: str, wanted: Sequence[Claim]) -> None:
        fs = self.editor(volume)
        assert _as_set(fs.claims()) == _as_set(wanted), f"{number}: {fs.claims()} instead of {wanted}"
        for claim in wanted:
            assert fs.stat(f"{DIRECTORY}/{claim.name}").size == claim.size, f"{number}: size of {claim.name}"
            assert not fs.free() & claim.runs.extents(), f"{number}: clusters of {claim.name} are free"
            assert fs.allocated().covers(claim.runs.extents()), f"{number}: {claim.name} is not allocated"

    def _random_claims(self, volume: Volume, seed: int) -> tuple[Claim, Claim, Claim]:
        """Three files in random free clusters, in random order, with odd sizes."""
        fs, chance = self.editor(volume), random.Random(seed)
        unit, start = fs.info.cluster_size, fs.info.data_start
        pieces = fs.free().shift(-start).split(unit * 7)
        usable = [(start + low, high - low) for low, high in pieces.tolist()]
        chosen = chance.sample(usable, min(len(usable), 12))
        assert len(chosen) >= 6, "the specimen needs more free clusters for this kit"
        step = len(chosen) // 3
        runs = [Runs(chosen[number * step : (number + 1) * step]) for number in range(3)]
        names = ("image.ipi", "image.001", "toc_end")
        first, second, third = (
            Claim(name, path, path.total - chance.randrange(unit)) for name, path in zip(names, runs, strict=True)
        )
        return first, second, third

    def _regions(self, volume: Volume, seed: int) -> tuple[Extents, Extents]:
        """A region at the end of the data area that can be vacated, and places before it to be avoided."""
        fs, chance = self.editor(volume), random.Random(seed)
        info = fs.info
        clusters = (info.data_end - info.data_start) // info.cluster_size
        share = min(0.4, info.free_bytes / (info.used_bytes + info.free_bytes) / 2)
        first = info.data_end - int(clusters * share * chance.uniform(0.5, 1)) * info.cluster_size
        step = clusters // 20 * info.cluster_size
        avoid = [(info.data_start, info.data_start + step), (max(first - step, info.data_start), first)]
        return Extents.span(first, info.data_end), Extents(avoid)

    def _vacate(self, volume: MemoryVolume, region: Extents, avoid: Extents) -> int:
        """All batches, each a transaction of its own; returns what is left."""
        for _ in range(_BATCHES):
            done = self._change(volume, "E6", lambda fs, tx: fs.vacate(region, tx, avoid=avoid))
            if not done.moved or not done.remaining:
                return done.remaining
        raise AssertionError(f"E6: not done after {_BATCHES} batches")


def _claiming(claims: Sequence[Claim], directory: Runs | None = None) -> Change[None]:
    """The change that claims files; without ``directory`` the choice of its clusters is left to the editor."""
    return lambda fs, tx: fs.claim(claims, tx, directory=directory or Runs())


def _as_set(claims: Sequence[Claim]) -> set[tuple[str, Runs, int]]:
    return {(claim.name, claim.runs, claim.size) for claim in claims}


def _content_runs(fs: FilesystemEditor, path: str) -> Extents:
    """The clusters of a file; those of a directory are metadata."""
    return fs.runs(path).extents() if fs.stat(path).type is EntryType.FILE else Extents()
