"""Claiming on every kind of NTFS, with the NTFS tools as judges: files, records, indexes, refusals."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from inpart.contracts import Claim, Place
from inpart.errors import FilesystemDamaged, FilesystemUnclean, FilesystemUnsupported, InpartError, NoSpace, UsageError
from inpart.extents import Extents, Runs
from inpart.testing.powercut import Sample, run_power_cuts
from inpart.testing.tools import copied
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import Access, FileVolume, MemoryVolume, Volume
from inpart_ntfs.codes import AttributeType, Number, VolumeFlag
from inpart_ntfs.editor import NtfsEditor
from inpart_ntfs.editor.drafts import load
from inpart_ntfs.editor.files import Maker
from inpart_ntfs.structs import VOLUME_INFORMATION, field_offset
from ntfsjudge import HIDDEN, contents, judge, mounted, snapshot, tolerable
from ntfsmaker import ATTRIB, COMPRESSED, MATRIX, SMALL, Recipe, make_partition

Filled = Callable[[Recipe], tuple[Path, dict[str, bytes]]]
Change = Callable[[NtfsEditor, Transaction], object]

SAMPLE = [
    pytest.param(one, marks=[] if one.name in ("c512", "c4k-torn-mft", "s4k", "c64k") else pytest.mark.exhaustive)
    for one in MATRIX
]


@dataclass(frozen=True)
class Bench:
    """A partition in a file."""

    path: Path

    @classmethod
    def copy(cls, source: Path, folder: Path) -> Bench:
        return cls(copied(source, folder / "partition.img"))

    def change(self, *changes: Change) -> None:
        """Commit changes in one transaction."""
        with FileVolume(self.path, Access.WRITE) as volume:
            tx = Transaction(volume)
            for change in changes:
                change(NtfsEditor(tx.view), tx)
            tx.commit(None)

    def claim(self, *claims: Claim, directory: Runs | None = None) -> None:
        self.change(lambda fs, tx: fs.claim(claims, tx, directory=directory or Runs()))

    def release(self, *names: str) -> None:
        self.change(lambda fs, tx: fs.release(names, tx))

    def claims(self) -> tuple[Claim, ...]:
        with FileVolume(self.path) as volume:
            return NtfsEditor(volume).claims()

    def records(self, number: int) -> int:
        """How many records a file has."""
        with FileVolume(self.path) as volume:
            return len(load(NtfsEditor(volume).mft, number).records)

    def count(self) -> int:
        """How many records $MFT has."""
        with FileVolume(self.path) as volume:
            return NtfsEditor(volume).mft.count

    def pick(self, sizes: list[int], seed: int = 1, *, longest: int = 5) -> list[Claim]:
        """Claims of so many pieces each, of up to ``longest`` clusters, in random free places."""
        with FileVolume(self.path) as volume:
            fs = NtfsEditor(volume)
            cluster, free = fs.boot.cluster_size, fs.free()
        pieces, chance = free.split(cluster * longest).tolist(), random.Random(seed)
        chance.shuffle(pieces)
        claims = []
        for number, size in enumerate(sizes):
            runs = Runs([(start, end - start) for start, end in (pieces.pop() for _ in range(size))])
            claims.append(Claim(f"image.{number:03d}", runs, runs.total - chance.randrange(cluster)))
        return claims

    def expect(self, claims: list[Claim], facts: dict[str, tuple[object, ...]]) -> None:
        """The tools and check() find nothing, these claims are there, and all else is as it was."""
        assert judge(self.path) == []
        with FileVolume(self.path) as volume:
            assert list(NtfsEditor(volume).check()) == []
        assert list(self.claims()) == sorted(claims, key=lambda claim: claim.name)
        assert snapshot(self.path) == facts


@pytest.fixture
def small(filled: Filled, tmp_path: Path) -> Bench:
    """A small partition that may be changed."""
    return Bench.copy(filled(SMALL)[0], tmp_path)


@pytest.mark.parametrize("recipe", SAMPLE, ids=lambda recipe: recipe.name)
def test_claimed_replaced_and_released(filled: Filled, tmp_path: Path, recipe: Recipe) -> None:
    bench = Bench.copy(filled(recipe)[0], tmp_path)
    facts = snapshot(bench.path)
    first, second, third = bench.pick([3, 3, 2])
    bench.claim(first, second, third)
    bench.expect([first, second, third], facts)
    before = bench.path.read_bytes()
    bench.claim(first, third)
    assert bench.path.read_bytes() == before
    bench.release(third.name)
    runs = second.runs + third.runs
    swapped = [Claim(first.name, runs, runs.total - 1), Claim(second.name, first.runs, first.runs.total)]
    bench.claim(*swapped)
    bench.expect(swapped, facts)
    bench.release(first.name, second.name)
    bench.expect([], facts)


def test_content_and_attributes_are_what_ntfs_3g_reads(small: Bench) -> None:
    claim = small.pick([4])[0]
    data = random.Random(5).randbytes(claim.runs.total)
    with FileVolume(small.path, Access.WRITE) as volume:
        done = 0
        for start, length in claim.runs:
            volume.write(start, data[done : done + length])
            done += length
    small.claim(claim)
    with mounted(small.path, "ro") as root:
        file = root / HIDDEN / claim.name
        assert file.read_bytes() == data[: claim.size]
        for path in (file, file.parent):
            assert int.from_bytes(os.getxattr(path, ATTRIB), "big") & 7 == 7


def test_the_directory_changes_in_one_sector(small: Bench) -> None:
    """It has a security id, though ntfs-3g has cleared that of $MFT, and so no descriptor of its own."""
    small.claim(*small.pick([1] * 30, longest=1))
    with mounted(small.path, "ro") as root:
        number = (root / HIDDEN).stat().st_ino
    with FileVolume(small.path) as volume:
        assert NtfsEditor(volume).mft.record(number).bytes_in_use <= 512


def test_many_files_and_a_file_in_many_pieces(filled: Filled, tmp_path: Path) -> None:
    bench = Bench.copy(filled(next(one for one in MATRIX if one.name == "c4k"))[0], tmp_path)
    facts, before = snapshot(bench.path), bench.count()
    claims = bench.pick([2] * 300 + [900], longest=1)
    bench.claim(*claims)
    assert bench.count() > before
    bench.expect(claims, facts)
    with mounted(bench.path) as root:
        assert bench.records((root / HIDDEN / claims[-1].name).stat().st_ino) > 1
        (root / "later").mkdir()
        for number in range(500):
            (root / "later" / f"file {number}").write_bytes(bytes(number))
        for number in range(0, 500, 3):
            (root / "later" / f"file {number}").unlink()
        assert set(facts) <= {"/" + str(path.relative_to(root)) for path in root.rglob("*")}
    facts = snapshot(bench.path)
    bench.expect(claims, facts)
    bench.release(claims[1].name)
    big = [Claim(claims[-1].name, claims[0].runs + claims[1].runs, claims[0].runs.total + claims[1].runs.total - 1)]
    big.append(Claim(claims[0].name, claims[-1].runs, claims[-1].runs.total))
    bench.claim(*big)
    bench.expect([*claims[2:-1], *big], facts)


def test_large_root_directory(tmp_path: Path) -> None:
    bench = Bench(make_partition(tmp_path / "p.img", Recipe("root", size=24 * MIB)))
    with mounted(bench.path) as root:
        for number in range(1200):
            (root / f"{'.' * (number % 2)}a file in the root directory, number {number}").touch()
    facts = snapshot(bench.path)
    for seed in range(2):
        claims = bench.pick([1] * 60, seed)
        bench.claim(*claims)
        bench.expect(claims, facts)
        if not seed:
            bench.release(*(claim.name for claim in claims))
            bench.expect([], facts)
    with mounted(bench.path) as root:
        for number in range(0, 1200, 3):
            (root / f"{'.' * (number % 2)}a file in the root directory, number {number}").unlink()
    bench.expect(claims, snapshot(bench.path))


def test_full_mft_grows_in_its_place_and_out_of_it(tmp_path: Path) -> None:
    bench = Bench(make_partition(tmp_path / "p.img", Recipe("grow", KIB, size=12 * MIB)))
    facts = snapshot(bench.path)
    counts = [bench.count()]
    for seed in range(5):
        old = list(bench.claims())
        new = [Claim(f"{seed}-{claim.name}", claim.runs, claim.size) for claim in bench.pick([1] * 50, seed, longest=2)]
        bench.claim(*new)
        bench.expect([*old, *new], facts)
        counts.append(bench.count())
    assert counts == sorted(counts)
    assert counts[-1] > counts[0] + 200
    with mounted(bench.path) as root:
        for number in range(200):
            (root / f"file {number}").touch()
    bench.expect(list(bench.claims()), snapshot(bench.path))


def test_cuts_while_the_mft_grows(tmp_path: Path) -> None:
    """The root directory changes in two sectors, by way of a record that is new, too."""
    path = make_partition(tmp_path / "p.img", Recipe("grow", KIB, size=6 * MIB))
    with mounted(path) as root:
        for number in range(30):
            (root / f"file {number}").write_bytes(bytes(50 * number))
    claims, facts, start = Bench(path).pick([1] * 60, longest=2), snapshot(path), path.read_bytes()
    count = Bench(path).count()

    def work(volume: Volume) -> None:
        tx = Transaction(volume)
        NtfsEditor(tx.view).claim(claims, tx, directory=Runs())
        assert NtfsEditor(tx.view).mft.count > count
        tx.commit(None)

    def check(disk: MemoryVolume) -> None:
        path.write_bytes(disk.data)
        assert [text for text in judge(path) if not tolerable(text)] == []
        assert snapshot(path) == facts

    run_power_cuts(lambda: MemoryVolume(start), work, check, Sample(24, seed=1))


@pytest.mark.parametrize("own", [True, False], ids=["own-descriptor", "shared-descriptor"])
def test_cuts_in_several_changes_of_one_transaction(small: Bench, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    """As a create does that ends with the release of its journal; with a descriptor of its own in two sectors."""
    if own:
        monkeypatch.setattr(Maker, "like", lambda *others: Maker(0))
    journal, first, second = small.pick([2, 2, 2])
    small.claim(journal)
    start, facts = small.path.read_bytes(), snapshot(small.path)

    def work(volume: Volume) -> None:
        tx = Transaction(volume)
        NtfsEditor(tx.view).claim([first, second], tx, directory=Runs())
        NtfsEditor(tx.view).release([journal.name], tx)
        tx.commit(None)

    def check(disk: MemoryVolume) -> None:
        small.path.write_bytes(disk.data)
        assert [text for text in judge(small.path) if not tolerable(text)] == []
        assert snapshot(small.path) == facts
        with mounted(small.path, "ro") as root:
            assert {file.name for file in (root / HIDDEN).iterdir()} in (
                {journal.name},
                {first.name, second.name},
                {journal.name, first.name, second.name},
            )

    run_power_cuts(lambda: MemoryVolume(start), work, check, Sample(30, seed=1))


def test_bitmap_of_the_mft_grows_out_of_its_clusters(tmp_path: Path) -> None:
    """One cluster of 512 bytes has the bits of 4096 records."""
    bench = Bench(make_partition(tmp_path / "p.img", Recipe("bits", 512, size=32 * MIB)))
    with mounted(bench.path) as root:
        for number in range(4000):
            (root / str(number)).touch()
    facts = snapshot(bench.path)
    claims = bench.pick([1] * 150)
    bench.claim(*claims)
    assert bench.count() > 4096
    bench.expect(claims, facts)


def test_several_changes_in_one_transaction(small: Bench) -> None:
    facts = snapshot(small.path)
    first, second, third = small.pick([2, 2, 2])
    small.change(
        lambda fs, tx: fs.claim([first, second], tx, directory=Runs()),
        lambda fs, tx: fs.release([first.name], tx),
        lambda fs, tx: fs.claim([third], tx, directory=Runs()),
    )
    small.expect([second, third], facts)
    small.change(
        lambda fs, tx: fs.release([second.name, third.name], tx),
        lambda fs, tx: fs.claim([first], tx, directory=Runs()),
    )
    small.expect([first], facts)


def test_names_of_another_case_and_short_names_are_found(small: Bench) -> None:
    claim, other = small.pick([2, 2])
    small.claim(claim, other)
    with mounted(small.path) as root:
        (root / HIDDEN).rename(root / ".INPART")
        os.setxattr(root / ".INPART", "system.ntfs_dos_name", b"INPART~1")
        os.setxattr(root / ".INPART" / claim.name, "system.ntfs_dos_name", b"IMAGE~1.000")
    assert small.claims() == (claim, other)
    small.release(claim.name, other.name)
    assert small.claims() == ()
    assert judge(small.path) == []
    with mounted(small.path, "ro") as root:
        assert not [path for path in root.iterdir() if "inpart" in path.name.lower()]


def mark(path: Path, flags: int) -> None:
    with FileVolume(path, Access.WRITE) as volume:
        mft = NtfsEditor(volume).mft
        record = mft.record(Number.VOLUME)
        attribute = record.find(AttributeType.VOLUME_INFORMATION)
        assert attribute is not None
        inside = attribute.offset + attribute.raw.index(attribute.value) + field_offset(VOLUME_INFORMATION, "flags")
        runs = mft.stream.runs.slice(Number.VOLUME * len(record.raw) + inside, 2)
        volume.write(next(iter(runs))[0], flags.to_bytes(2, "little"))


def hibernate(path: Path) -> None:
    with mounted(path) as root:
        (root / "hiberfil.sys").write_bytes(b"hibr" + bytes(8188))


def stand_in(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with mounted(path, "compression") as root:
            make(root / HIDDEN)

    return change


def compressed(folder: Path) -> None:
    folder.mkdir()
    os.setxattr(folder, ATTRIB, COMPRESSED)


def junction(folder: Path) -> None:
    folder.mkdir()
    os.setxattr(folder, "system.ntfs_reparse_data", (0xA0000003).to_bytes(4, "little") + b"\x08" + bytes(11))


def damage_root_index(path: Path) -> None:
    with FileVolume(path, Access.WRITE) as volume:
        area = next(one for one in NtfsEditor(volume).system_areas() if one.name == "root-index")
        volume.write(area.extents.start + 0x48, b"\xff" * 8)


REFUSALS: dict[str, tuple[Callable[[Path], object], type[InpartError], str]] = {
    "dirty": (lambda path: mark(path, VolumeFlag.IS_DIRTY), FilesystemUnclean, "dirty"),
    "upgrade": (lambda path: mark(path, VolumeFlag.UPGRADE_ON_MOUNT), FilesystemUnsupported, "UPGRADE_ON_MOUNT"),
    "flag": (lambda path: mark(path, 0x0100), FilesystemUnsupported, "0x100"),
    "hibernated": (hibernate, FilesystemUnclean, "hibernated"),
    "file": (stand_in(lambda path: path.write_bytes(b"mine")), FilesystemUnsupported, "is a file"),
    "link": (stand_in(junction), FilesystemUnsupported, "reparse point"),
    "compressed": (stand_in(compressed), FilesystemUnsupported, "compressed"),
    "index": (damage_root_index, FilesystemDamaged, "root directory"),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_refused_by_name(small: Bench, reason: str) -> None:
    change, error, words = REFUSALS[reason]
    claim = small.pick([2])[0]
    change(small.path)
    before = small.path.read_bytes()
    with pytest.raises(error, match=words):
        small.claim(claim)
    assert small.path.read_bytes() == before


def test_files_of_others_in_the_folder_are_left_alone(small: Bench) -> None:
    claim, other = small.pick([2, 2])
    small.claim(claim)
    with mounted(small.path) as root:
        (root / HIDDEN / other.name).write_bytes(b"resident")
        (root / HIDDEN / "folder").mkdir()
    assert small.claims() == (claim,)
    with pytest.raises(FilesystemUnsupported, match="was not made by inpart"):
        small.claim(other)
    small.release(claim.name)
    assert judge(small.path) == []
    with mounted(small.path, "ro") as root:
        assert contents(root / HIDDEN) == {f"/{other.name}": b"resident"}


@pytest.mark.parametrize("name", ["", "..", "a/b", "a:b", "x" * 256, "end."])
def test_names_that_cannot_be(small: Bench, name: str) -> None:
    claim = small.pick([1])[0]
    with pytest.raises(UsageError, match="cannot be the name"):
        small.claim(Claim(name, claim.runs, claim.size))


def test_a_full_volume_says_what_is_missing(small: Bench) -> None:
    with FileVolume(small.path) as volume:
        free = NtfsEditor(volume).free()
    everything = Runs([(start, end - start) for start, end in free])
    before = small.path.read_bytes()
    with pytest.raises(NoSpace, match=r"clusters are needed"):
        small.claim(Claim("all", everything, everything.total))
    assert small.path.read_bytes() == before


def test_adapted_to_another_place(small: Bench) -> None:
    facts, size = snapshot(small.path), small.path.stat().st_size
    small.change(lambda fs, tx: fs.adapt(Place(start=8192 * 512, size=size), tx))
    small.expect([], facts)
    with FileVolume(small.path) as volume:
        boot = NtfsEditor(volume).boot
        assert boot.hidden_sectors == 8192
        assert volume.read(0, 512) == volume.read(boot.backup_offset, 512)
    with pytest.raises(NoSpace, match=str(size - 512)):
        small.change(lambda fs, tx: fs.adapt(Place(start=0, size=size - 512), tx))
    with FileVolume(small.path, Access.WRITE) as volume:
        volume.write(0, bytes(512))
    small.change(lambda fs, tx: fs.adapt(Place(start=63 * 512, size=size), tx))
    small.expect([], facts)


def test_immovable_are_boot_file_and_bad_clusters(small: Bench) -> None:
    with FileVolume(small.path) as volume:
        fs = NtfsEditor(volume)
        assert fs.immovable() == Extents.span(0, 8 * KIB)
