"""Claiming and releasing on real partitions, judged by fsck.fat and mtools."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from fatediting import CORE, EDITED, PlainReader, edited, fsinfo, judge, patch, possessions
from fatmaker import Recipe, copy_in, delete, fsck, make_partition
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.contracts import Claim, Edits, EntryType, Place
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, InpartError, NoSpace, UsageError
from inpart.extents import Extents, Runs
from inpart.testing.tools import copied
from inpart.transaction import Transaction
from inpart.units import GIB, MIB
from inpart.volume import FileVolume, MemoryVolume
from inpart_fat.editor import FatEditor

FAT32 = EDITED[5]
STORE = "/INPART~1   "


def free_pieces(path: Path, seed: int, count: int) -> list[Runs]:
    """Paths through random free clusters, in random order."""
    chance = random.Random(seed)
    with FileVolume(path) as volume:
        fs = FatEditor(volume)
        unit, start = fs.info.cluster_size, fs.info.data_start
        pieces = fs.free().shift(-start).split(unit * 5).tolist()
    chosen = chance.sample(pieces, min(len(pieces), 60))
    share = len(chosen) // count
    return [
        Runs([(start + low, high - low) for low, high in chosen[number * share : (number + 1) * share]])
        for number in range(count)
    ]


def claiming(claims: Sequence[Claim], directory: Runs | None = None) -> Callable[[FatEditor, Edits], None]:
    """The change that claims files."""
    return lambda fs, tx: fs.claim(claims, tx, directory=directory or Runs())


def releasing(names: Sequence[str]) -> Callable[[FatEditor, Edits], None]:
    """The change that releases files."""
    return lambda fs, tx: fs.release(names, tx)


def whole(name: str, runs: Runs) -> Claim:
    """A file that fills its clusters."""
    return Claim(name, runs, runs.total)


def store_of(path: Path) -> dict[str, tuple[int, ...]]:
    """What lies in /.inpart: clusters by short name."""
    found = PlainReader(path).everything()
    below = STORE + "/"
    return {name.removeprefix(below): what.clusters for name, what in found.items() if name.startswith(below)}


def clusters_of(path: Path, runs: Runs) -> tuple[int, ...]:
    """The clusters along a path."""
    with FileVolume(path) as volume:
        return tuple(FatEditor(volume).geometry.clusters_of(runs).tolist())


def test_life_of_a_container(path: Path) -> None:
    """Claimed, added to with clusters passed on, partly released, gone: each time the file system is sound."""
    before, used = possessions(path), judge(path).used
    image, begin, end, second, moved = free_pieces(path, seed=2, count=5)
    first = [Claim("image.ipi", image, image.total - 1), whole("toc_begin", begin), whole("toc_end", end)]
    edited(path, claiming(first))
    names = {"IMAGE   IPI": image, "TOC_BE~1   ": begin, "TOC_END    ": end}
    assert {name: places for name, places in store_of(path).items() if name[0] != "."} == {
        name: clusters_of(path, runs) for name, runs in names.items()
    }
    again = [
        Claim("second image with a long name.ipi", second, second.total - 7),
        whole("inter1", begin),
        whole("toc_begin", moved),
    ]
    edited(path, claiming(again))
    with FileVolume(path) as volume:
        assert set(FatEditor(volume).claims()) == {first[0], first[2], *again}
    assert not judge(path).complaints
    assert possessions(path) == before
    edited(path, releasing(["inter1", "IMAGE.ipi"]))
    assert not judge(path).complaints
    edited(path, lambda fs, tx: fs.release([claim.name for claim in fs.claims()], tx))
    judgement = judge(path)
    assert (judgement.complaints, judgement.used) == ((), used)
    assert possessions(path) == before


def test_mtools_sees_the_names_and_attributes(tmp_path: Path, make: Callable[[Recipe], Path]) -> None:
    path = copied(make(FAT32), tmp_path / "partition.img")
    runs = free_pieces(path, seed=1, count=2)
    claims = [Claim("Größe.ipi", runs[0], runs[0].total), Claim("a+b.tar.gz", runs[1], runs[1].total - 3)]
    edited(path, claiming(claims))
    shown = {line[13:]: line[:13].strip() for line in run("mattrib", "-/", "-i", str(path), "::/")}
    hidden = ("::/.inpart", "::/.inpart/Größe.ipi", "::/.inpart/a+b.tar.gz")
    assert [shown[name] for name in hidden] == ["SHR", "SHR", "SHR"]
    content = subprocess.run(
        ["mcopy", "-i", str(path), "::/.inpart/a+b.tar.gz", "-"], capture_output=True, check=True
    ).stdout
    with FileVolume(path) as volume:
        assert content == b"".join(volume.read(start, length) for start, length in runs[1])[:-3]


def run(*command: str) -> list[str]:
    """Lines of what a tool says."""
    found = subprocess.run(command, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    return found.stdout.decode().splitlines()


def test_names_are_stored_as_mtools_stores_them(tmp_path: Path) -> None:
    """Long-name slots and aliases are those that mcopy makes for the same names."""
    names = [
        "image.ipi", "image.001", "toc_end", "toc_begin", "inter1", "UPPER.TXT", "two words.x", "a.b.c",
        "long name one.data", "long name two.data", "exactly13chrs", "exactly 26 characters here",
        "x" * 255, "name.long", "a+b=c.txt", ".hidden",
    ]  # fmt: skip
    ours = make_partition(tmp_path / "ours.img", EDITED[3])
    theirs = make_partition(tmp_path / "theirs.img", EDITED[3])
    copy_in(theirs, {f"/.inpart/{name}": b"" for name in names})
    listed = subprocess.run(
        ["mdir", "-a", "-b", "-i", theirs, "::/.inpart"], check=True, capture_output=True, text=True
    )
    in_their_order = [line.rpartition("/")[2] for line in listed.stdout.splitlines()]
    assert sorted(in_their_order) == sorted(names)
    for name in in_their_order:
        edited(ours, claiming([Claim(name, Runs(), 0)]))

    def slots(path: Path) -> dict[str, bytes]:
        found = PlainReader(path).everything()
        return {name: what.slots[:-32] for name, what in found.items() if "/." not in name}

    assert not fsck(ours).complaints
    mine, reference = slots(ours), slots(theirs)
    plain = {"IMAGE   IPI", "IMAGE   001", "TOC_END    ", "INTER1     "}
    for name, content in reference.items():
        alias = name.rpartition("/")[2]
        if alias not in plain:
            assert mine[name] == content, name
    assert set(mine) == set(reference)


@pytest.mark.parametrize("recipe", CORE, ids=lambda recipe: recipe.name)
def test_a_crowded_root_directory(recipe: Recipe, tmp_path: Path) -> None:
    """Slots of deleted files are used; FAT32 extends its root directory; a full one of fixed size is refused."""
    path = make_partition(tmp_path / "partition.img", recipe)
    copy_in(path, {f"/F{number:02}": b"" for number in range(64)})
    (runs,) = free_pieces(path, seed=1, count=1)
    claim = whole("image.ipi", runs)
    if recipe is not FAT32:
        content = path.read_bytes()
        with pytest.raises(NoSpace, match="room for 64 entries and 0 left"):
            edited(path, claiming([claim]))
        assert path.read_bytes() == content
        delete(path, "F15", "F40")
        with pytest.raises(NoSpace, match="room for 64 entries and 2 left"):
            edited(path, claiming([claim]))
        delete(path, "F16")
    before = possessions(path)
    edited(path, claiming([claim]))
    assert not fsck(path).complaints
    assert possessions(path) == before
    assert store_of(path)["IMAGE   IPI"] == clusters_of(path, runs)


def test_what_follows_the_end_mark_stays_invisible(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", EDITED[3])
    copy_in(path, {"/A": b""})
    reader = PlainReader(path)
    patch(path, reader.root_at + 3 * 32, b"GARBAGE TXT" + bytes([0x20]) + b"\x33" * 20)
    patch(path, reader.root_at + 64, bytes(1))
    edited(path, claiming([Claim("x", Runs(), 0)]))
    assert set(possessions(path)) == {"/A          "}
    assert set(store_of(path)) == {".          ", "..         ", "X          "}
    assert not fsck(path).complaints


def test_the_directory_takes_the_clusters_meant_for_it(tmp_path: Path, make: Callable[[Recipe], Path]) -> None:
    """It is made there, moves there if it was elsewhere, and grows beyond when it is full."""
    path = copied(make(FAT32), tmp_path / "partition.img")
    before, used = possessions(path), fsck(path).used
    journal, room, image = free_pieces(path, seed=3, count=3)
    edited(path, claiming([whole("journal", journal)]))
    room = room.slice(0, 4 * 512)

    def commit_image(fs: FatEditor, tx: Edits) -> None:
        FatEditor(tx.view).claim([whole("image.ipi", image)], tx, directory=room)
        FatEditor(tx.view).release(["journal"], tx)

    edited(path, commit_image)
    assert PlainReader(path).everything()[STORE].clusters == clusters_of(path, room)
    assert set(store_of(path)) == {".          ", "..         ", "IMAGE   IPI"}
    judgement = fsck(path)
    assert (judgement.complaints, judgement.used) == ((), used + (room.total + image.total) // 512)
    many = [Claim(f"empty file number {number}", Runs(), 0) for number in range(40)]
    edited(path, claiming(many, room))
    assert PlainReader(path).everything()[STORE].clusters[:4] == clusters_of(path, room)
    assert len(store_of(path)) == 43
    assert not fsck(path).complaints
    assert possessions(path) == before


@pytest.mark.parametrize("recipe", CORE, ids=lambda recipe: recipe.name)
def test_release_and_claim_in_one_transaction(recipe: Recipe, tmp_path: Path, make: Callable[[Recipe], Path]) -> None:
    """As when an image is deleted: its clusters and slots are given back, and tables take other ones."""
    path = copied(make(recipe), tmp_path / "partition.img")
    before = possessions(path)
    image, begin, end = free_pieces(path, seed=4, count=3)
    claims = [whole("image.ipi", image), whole("toc_begin", begin), whole("toc_end", end)]
    edited(path, claiming(claims))
    moved = [whole("toc_begin", image), whole("a new name for other clusters", begin)]

    def change(fs: FatEditor, tx: Edits) -> None:
        fs.release(["image.ipi"], tx)
        FatEditor(tx.view).claim(moved, tx, directory=Runs())

    def renew(fs: FatEditor, tx: Edits) -> None:
        fs.release([claim.name for claim in fs.claims()], tx)
        FatEditor(tx.view).claim(claims, tx, directory=Runs())

    for action, expected in ((change, {*moved, claims[2]}), (renew, set(claims))):
        edited(path, action)
        with FileVolume(path) as volume:
            assert set(FatEditor(volume).claims()) == expected
        assert not fsck(path).complaints
        assert possessions(path) == before


def test_unknown_counters_stay_unknown(tmp_path: Path, make: Callable[[Recipe], Path]) -> None:
    path = copied(make(FAT32), tmp_path / "partition.img")
    free, _ = fsinfo(path)
    (runs,) = free_pieces(path, seed=5, count=1)
    claim = whole("x", runs)
    edited(path, claiming([claim]))
    assert fsinfo(path)[0] == free - runs.total // 512 - 1
    patch(path, 512 + 488, b"\xff" * 8)
    edited(path, releasing(["x"]))
    assert fsinfo(path) == (0xFFFFFFFF, 0xFFFFFFFF)


def test_a_large_file_in_many_pieces(tmp_path: Path) -> None:
    """A GiB in clusters of 512 bytes: chains are not built one cluster at a time."""
    path = make_partition(tmp_path / "partition.img", Recipe("large", 2 * GIB, ("-F32", "-s1")))
    with FileVolume(path) as volume:
        info = FatEditor(volume).info
    end = info.data_end - info.data_end % MIB
    pairs = [(end - (number + 1) * 32 * MIB, 32 * MIB) for number in range(31)]
    runs = Runs(pairs + [(end - 1000 * MIB - 1024 * number, 512) for number in range(20000)])
    edited(path, claiming([Claim("image.ipi", runs, runs.total - 1)]))
    with FileVolume(path) as volume:
        assert FatEditor(volume).claims() == (Claim("image.ipi", runs, runs.total - 1),)
    assert not fsck(path).complaints


def test_what_cannot_be_is_refused(tmp_path: Path, make: Callable[[Recipe], Path]) -> None:
    path = copied(make(FAT32), tmp_path / "partition.img")
    one, two = free_pieces(path, seed=6, count=2)
    content = path.read_bytes()
    with FileVolume(path) as volume:
        fs = FatEditor(volume)
        start, used, bad = fs.info.data_start, fs.runs("/f3.txt"), fs.info.data_end
    wrong: list[tuple[type[InpartError], str, list[Claim]]] = [
        (NoSpace, "is to be claimed, but it is in use", [whole("x", used)]),
        (UsageError, "cannot be a file name", [Claim('a"b', one, one.total)]),
        (UsageError, "cannot be a file name", [whole("", one)]),
        (UsageError, "cannot be a file name", [Claim("x" * 256, one, one.total)]),
        (UsageError, "where no clusters are", [Claim("x", Runs([(start + 1, 512)]), 512)]),
        (UsageError, "where no clusters are", [Claim("x", Runs([(0, 512)]), 512)]),
        (UsageError, "where no clusters are", [Claim("x", Runs([(bad, 512)]), 512)]),
        (UsageError, "bytes of clusters", [Claim("x", one, one.total - 512)]),
        (UsageError, "bytes of clusters", [Claim("x", one, one.total + 1)]),
        (UsageError, "same name or the same clusters", [whole("x", one), whole("X", two)]),
        (UsageError, "same name or the same clusters", [whole("x", one), whole("y", one)]),
        (FilesystemUnsupported, "can have 4294967295", [Claim("x", one, 4 * GIB)]),
    ]
    for error, message, claims in wrong:
        with pytest.raises(error, match=message):
            edited(path, claiming(claims))
    with pytest.raises(UsageError, match="same clusters"):
        edited(path, claiming([whole("x", one)], one))
    with pytest.raises(UsageError, match="no file nothing"):
        edited(path, releasing(["nothing"]))
    assert path.read_bytes() == content
    copy_in(path, {"/.inpart": b"a file"})
    with pytest.raises(FilesystemUnsupported, match="is a file"):
        edited(path, claiming([whole("x", one)]))


def test_damaged_claims_are_errors(tmp_path: Path, make: Callable[[Recipe], Path]) -> None:
    original = copied(make(EDITED[3]), tmp_path / "original.img")
    (runs,) = free_pieces(original, seed=7, count=1)
    edited(original, claiming([whole("x", runs)]))
    reader = PlainReader(original)
    chain = store_of(original)["X          "]
    free = next(number for number in range(2, reader.count) if not reader.entry(number))
    third, last = chain[3], chain[-1]
    wrong = ((third, chain[1]), (third, free), (third, 0xFFFF), (third, 0xFFF7), (last, 0xFFF3), (last, 1))
    for number, value in wrong:
        damaged = copied(original, tmp_path / "damaged.img")
        patch(damaged, reader.fat_at + number * 2, value.to_bytes(2, "little"))
        with FileVolume(damaged) as volume, pytest.raises(FilesystemDamaged):
            FatEditor(volume).claims()


@pytest.mark.parametrize("recipe", CORE, ids=lambda recipe: recipe.name)
def test_adapt_changes_the_hidden_sectors_only(recipe: Recipe, tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", recipe)
    before = path.read_bytes()
    edited(path, lambda fs, tx: fs.adapt(Place(start=12345 * 512, size=recipe.size), tx))
    after = path.read_bytes()
    places = [0, 6 * 512] if recipe is FAT32 else [0]
    expected = bytearray(before)
    for place in places:
        expected[place + 28 : place + 32] = (12345).to_bytes(4, "little")
    assert after == expected
    assert not fsck(path).complaints
    edited(path, lambda fs, tx: fs.adapt(Place(start=1 << 42, size=recipe.size), tx))
    assert path.read_bytes()[28:32] == bytes(4)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_sequence_of_changes(data: st.DataObject, small: bytes) -> None:
    """Claims, releases and vacating in any order and number: sound after each commit, and the listing is right."""
    volume = MemoryVolume(small)
    user = contents(FatEditor(volume))
    expected: dict[str, Claim] = {}
    for _ in range(data.draw(st.integers(1, 6), label="changes")):
        tx = Transaction(volume)
        chance = random.Random(data.draw(st.integers(0, 1 << 30), label="seed"))
        change = data.draw(st.sampled_from([random_claims, random_claims, random_release, random_vacating]))
        expected = change(FatEditor(tx.view), tx, expected, chance)
        tx.commit(None)
        fs = FatEditor(volume)
        assert not list(fs.check())
        assert {claim.name: claim for claim in fs.claims()} == expected
        assert {name: found for name, found in contents(fs).items() if ".inpart" not in name} == user


def contents(fs: FatEditor) -> dict[str, bytes]:
    """All files."""
    return {entry.path: b"".join(fs.read(entry.path)) for entry in fs.walk() if entry.type is EntryType.FILE}


def random_vacating(fs: FatEditor, tx: Edits, expected: dict[str, Claim], chance: random.Random) -> dict[str, Claim]:
    unit, start, end = fs.info.cluster_size, fs.info.data_start, fs.info.data_end
    low = start + chance.randrange((end - start) // unit) * unit
    with suppress(NoSpace):
        fs.vacate(Extents.span(low, min(end, low + chance.randrange(1, 400) * unit)), tx, avoid=Extents())
    found = {claim.name: claim for claim in FatEditor(tx.view).claims()}
    assert {name: claim.size for name, claim in found.items()} == {name: claim.size for name, claim in expected.items()}
    return found


def random_release(fs: FatEditor, tx: Edits, expected: dict[str, Claim], chance: random.Random) -> dict[str, Claim]:
    gone = chance.sample(sorted(expected), chance.randrange(len(expected) + 1))
    fs.release(gone, tx)
    return {name: claim for name, claim in expected.items() if name not in gone}


def random_claims(fs: FatEditor, tx: Edits, expected: dict[str, Claim], chance: random.Random) -> dict[str, Claim]:
    """Three files, new or replaced, in free clusters and in those that the replaced ones had."""
    unit, start = fs.info.cluster_size, fs.info.data_start
    names = chance.sample(["a", "B.c", "a longer name.ipi", "toc_begin", "inter1", "inter2"], 3)
    had = [expected[name].runs for name in names if name in expected]
    usable = fs.free() | Extents(pair for runs in had for pair in runs.extents())
    pieces = [(start + low, high - low) for low, high in usable.shift(-start).split(unit * 4).tolist()]
    chance.shuffle(pieces)
    made = {}
    for name in names:
        runs = Runs([pieces.pop() for _ in range(chance.randrange(4)) if len(pieces) > 5])
        made[name] = Claim(name, runs, max(0, runs.total - chance.randrange(unit)))
    fs.claim(list(made.values()), tx, directory=Runs())
    return expected | made


@pytest.fixture(scope="module")
def small(make: Callable[[Recipe], Path]) -> bytes:
    """A small partition."""
    return make(EDITED[0]).read_bytes()
