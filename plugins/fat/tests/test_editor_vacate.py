"""Vacating real partitions: nothing that the user has may change but its place; read back by a reader of the tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fatediting import (
    CORE,
    EDITED,
    TOLERABLE,
    PlainReader,
    edited,
    fsinfo,
    judge,
    patch,
    possessions,
    prepared,
    spread,
    start_search_at,
)
from fatmaker import Recipe, copy_in, fsck, make_partition
from inpart.contracts import Claim, Edits, Vacated
from inpart.errors import FilesystemDamaged, InpartError, NoSpace
from inpart.extents import Extents, Runs
from inpart.testing.powercut import run_power_cuts
from inpart.testing.tools import copied
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import Access, FileVolume, MemoryVolume, Volume
from inpart_fat.editor import FatEditor

NOTHING = Extents()
SMALL = Recipe("small", 8 * MIB, ("-F16", "-s1"))


@pytest.fixture(params=CORE, ids=lambda recipe: recipe.name)
def core_path(request: pytest.FixtureRequest, make: Callable[[Recipe], Path], tmp_path: Path) -> Path:
    """A partition of each width."""
    return copied(make(request.param), tmp_path / "partition.img")


def vacated(path: Path, region: Extents, avoid: Extents = NOTHING, **limits: int) -> int:
    """Vacate in as many batches as the limits need; returns how many."""
    batches = 0
    while True:
        done: Vacated = edited(path, lambda fs, tx: fs.vacate(region, tx, avoid=avoid), **limits)
        batches += 1
        assert done.moved > 0 or not done.remaining
        if not done.remaining:
            return batches


def with_journal(path: Path, region: Extents, size: int) -> int:
    """Vacate with a real journal of ``size`` bytes in free clusters at the lower end; returns how many batches."""
    start, _, unit = data_area(path)
    place = Extents.span(start, start + size).align_out(unit)
    vacated(path, place, region)
    claim = Claim("journal", Runs([(place.start, place.total)]), place.total)
    edited(path, lambda fs, tx: fs.claim([claim], tx, directory=Runs()))
    batches = 0
    while True:
        with FileVolume(path, Access.WRITE) as volume:
            tx = Transaction(volume, journal_capacity=place.total)
            done = FatEditor(tx.view).vacate(region, tx, avoid=place)
            tx.commit(claim.runs)
        batches += 1
        if not done.remaining:
            return batches


def check_vacated(path: Path, region: Extents, before: dict[str, tuple[bytes, str]], used: int) -> None:
    judgement = judge(path)
    assert not judgement.complaints
    assert judgement.used == used
    assert possessions(path) == before
    reader = PlainReader(path)
    places = [reader.offset(number) for found in reader.everything().values() for number in found.clusters]
    assert not Extents([(place, place + reader.size) for place in places]) & region


def data_area(path: Path) -> tuple[int, int, int]:
    """Start and end of the data area, cluster size."""
    with FileVolume(path) as volume:
        info = FatEditor(volume).info
    return info.data_start, info.data_end, info.cluster_size


def test_the_end_is_vacated(path: Path) -> None:
    before, used = possessions(path), judge(path).used
    start, end, _ = data_area(path)
    region = Extents.span(end - (end - start) * 4 // 10, end)
    vacated(path, region)
    check_vacated(path, region, before, used)


def test_the_beginning_is_vacated_in_small_batches(core_path: Path) -> None:
    """The first clusters hold directories, on FAT32 the root directory too."""
    path = core_path
    before, used = possessions(path), judge(path).used
    start, end, unit = data_area(path)
    region = Extents.span(start, start + max(unit, (end - start) // 3))
    vacated(path, region, journal_capacity=32 * KIB)
    check_vacated(path, region, before, used)


def test_batches_fit_into_the_smallest_journal(core_path: Path) -> None:
    """A journal of 32 KiB holds each batch although its size is known only when it is full."""
    path = core_path
    before = possessions(path)
    start, end, unit = data_area(path)
    region = Extents.span(start + (end - start) // unit // 2 * unit, end)
    assert with_journal(path, region, 32 * KIB) > 1
    assert not judge(path).complaints
    assert possessions(path) == before
    with FileVolume(path) as volume:
        assert not FatEditor(volume).allocated() & region


def test_scattered_clusters_are_vacated(core_path: Path) -> None:
    path = core_path
    before, used = possessions(path), judge(path).used
    start, end, unit = data_area(path)
    chance = random.Random(3)
    places = [start + chance.randrange((end - start) // unit) * unit for _ in range(400)]
    region = Extents([(place, min(place + unit * chance.randrange(1, 4), end)) for place in places])
    vacated(path, region)
    check_vacated(path, region, before, used)


def test_everything_goes_up_and_down_again(core_path: Path) -> None:
    """Both halves in turn, so that every cluster moves twice."""
    path = core_path
    before, used = possessions(path), judge(path).used
    start, end, unit = data_area(path)
    middle = start + (end - start) // unit // 2 * unit
    for region in (Extents.span(middle, end), Extents.span(start, middle), Extents.span(middle, end)):
        vacated(path, region)
        check_vacated(path, region, before, used)


def test_one_transaction_may_vacate_twice(core_path: Path) -> None:
    """What was moved in a transaction can be moved again in it; clusters freed in it are not filled."""
    path = core_path
    before, used = possessions(path), judge(path).used
    start, end, unit = data_area(path)
    step = (end - start) // unit // 4 * unit
    low, last = Extents.span(start, start + step), Extents.span(end - step, end)

    def change(fs: FatEditor, tx: Edits) -> None:
        assert not fs.vacate(last, tx, avoid=Extents()).remaining
        assert not fs.vacate(low, tx, avoid=last).remaining

    edited(path, change)
    check_vacated(path, low | last, before, used)


def test_avoided_clusters_stay_free(tmp_path: Path) -> None:
    path = prepared(SMALL, tmp_path / "partition.img")
    start, end, _ = data_area(path)
    region = Extents.span(end - (end - start) // 3, end)
    avoid = Extents.span(start, start + (end - start) // 3)
    with FileVolume(path) as volume:
        free = FatEditor(volume).free() & avoid
    vacated(path, region, avoid)
    with FileVolume(path) as volume:
        assert FatEditor(volume).free() & avoid == free
    with pytest.raises(NoSpace, match=r"[0-9]+ clusters .* have to move, but only 0 .* are free elsewhere"):
        vacated(path, Extents.span(start, start + (end - start) // 3), Extents.span(start, end))


def test_files_stay_in_one_piece_where_they_fit(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", SMALL)
    spread(path)
    start, end, _ = data_area(path)
    vacated(path, Extents.span(start + (end - start) // 3, end))
    found = PlainReader(path).everything()
    pieces = [
        sum(1 for one, two in zip(what.clusters, what.clusters[1:], strict=False) if two != one + 1)
        for name, what in found.items()
        if "FILE" in name
    ]
    assert sum(pieces) <= len(pieces) // 10


def test_small_files_fill_the_first_holes(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", SMALL)
    names = [f"/f{number:03}" for number in range(400)]
    copy_in(path, {name: name.encode() * 100 for name in names})
    edited(
        path, lambda fs, tx: fs.vacate(Extents.span(data_area(path)[0], data_area(path)[0] + 512), tx, avoid=Extents())
    )
    assert not fsck(path).complaints
    moved = [what.clusters for what in PlainReader(path).everything().values() if what.clusters[0] > 401]
    assert moved == [(402,)]


def test_many_directories_and_deep_ones(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", Recipe("deep", 34 * MIB, ("-F32", "-s1")))
    start_search_at(path, 0.7)
    deep = "".join(f"/level {number}" for number in range(40))
    files = {f"{deep}/bottom.txt": b"bottom"} | {f"/wide/d{number}/x": b"%d" % number for number in range(70)}
    files |= {f"/crowd/a rather long name for file {number}": b"c" * (number * 10) for number in range(150)}
    copy_in(path, files)
    before, used = possessions(path), fsck(path).used
    start, end, unit = data_area(path)
    region = Extents.span(start + (end - start) // 2 // unit * unit, end)
    vacated(path, region)
    check_vacated(path, region, before, used)
    low = Extents.span(start, start + 2 * MIB)
    vacated(path, low, journal_capacity=64 * KIB)
    check_vacated(path, low, before, used)


@pytest.mark.parametrize("recipe", CORE, ids=lambda recipe: recipe.name)
def test_full_partitions_are_refused_with_numbers(recipe: Recipe, tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", recipe)
    copy_in(path, {f"/d/big{number}": b"x" * (recipe.size // 100) for number in range(90)})
    content = path.read_bytes()
    start, end, _ = data_area(path)
    region = Extents.span(end - (end - start) // 5, end)
    with pytest.raises(
        NoSpace, match=r"^\d+ clusters \(.*\) have to move, but only \d+ \(.*\) are free elsewhere$"
    ) as caught:
        vacated(path, region)
    assert caught.value.hint is not None
    assert path.read_bytes() == content


def test_free_count_is_kept_and_the_hint_stays_useful(tmp_path: Path) -> None:
    path = prepared(Recipe("hints", 34 * MIB, ("-F32", "-s1")), tmp_path / "partition.img")
    free = fsinfo(path)[0]
    start, end, _ = data_area(path)
    vacated(path, Extents.span(start, start + (end - start) // 2))
    assert fsinfo(path)[0] == free
    assert PlainReader(path).entry(fsinfo(path)[1]) == 0


def test_no_entry_in_two_sectors_is_switched(tmp_path: Path) -> None:
    """Entry 341 of FAT12 lies in two sectors and can be torn: its cluster moves with what it leads to."""
    path = make_partition(tmp_path / "partition.img", EDITED[0])
    copy_in(path, {"/A": b"a" * 200 * 512, "/B": bytes(range(256)) * 600, "/C": b"c" * 200 * 512})
    before, start = possessions(path), path.read_bytes()
    reader = PlainReader(path)
    region = Extents.span(reader.offset(342), reader.offset(402))

    def action(volume: Volume) -> None:
        tx = Transaction(volume)
        FatEditor(tx.view).vacate(region, tx, avoid=Extents())
        tx.commit(None)

    def check(disk: MemoryVolume) -> None:
        path.write_bytes(disk.data)
        assert not [text for text in fsck(path).complaints if not text.startswith(TOLERABLE)]
        assert possessions(path) == before

    run_power_cuts(lambda: MemoryVolume(start), action, check, "all", torn=12)


def test_damage_is_refused(tmp_path: Path) -> None:
    """Lost clusters, cross-linked ones, loops, links into nowhere: named, and nothing changes."""
    path = prepared(SMALL, tmp_path / "partition.img")
    reader = PlainReader(path)
    found = reader.everything()
    big = next(what.clusters for name, what in found.items() if "BIG" in name)
    other = next(what.clusters for name, what in found.items() if "FILE" in name and len(what.clusters) > 3)
    free = next(number for number in range(reader.count, 2, -1) if not reader.entry(number))
    wrong = {
        f"cluster {free} belongs to no file": (free, 0xFFFF, [free]),
        f"cluster {other[2]} is part of 2 files": (big[2], other[2], other),
        f"cluster {big[2]} leads to one that holds no data": (big[2], free, big),
        f"cluster {big[1]} is part of 2 files": (big[3], big[1], big),
        f"cluster {other[1]} leads to one that holds no data": (other[1], 0xFFF0, other),
    }
    for message, (number, value, where) in wrong.items():
        damaged = copied(path, tmp_path / "damaged.img")
        patch(damaged, reader.fat_at + number * 2, value.to_bytes(2, "little"))
        content = damaged.read_bytes()
        places = (reader.offset(place) for place in where)
        region = Extents((place, place + reader.size) for place in places)
        with pytest.raises(FilesystemDamaged, match=message):
            vacated(damaged, region)
        assert damaged.read_bytes() == content


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_never_ends_in_anything_but_a_typed_error(seed: int, small_content: bytes) -> None:
    chance = random.Random(seed)
    volume = MemoryVolume(small_content)
    fs = FatEditor(volume)
    places = [
        range(fs.geometry.fat_starts[0], fs.geometry.fat_starts[0] + 4000),
        range(fs.geometry.root_start, fs.geometry.data_start),
    ]
    places.append(range(fs.runs("/Directory A").extents().start, fs.geometry.data_end))
    for _ in range(chance.randrange(1, 30)):
        at = chance.choice(chance.choice(places))
        volume.write(at, chance.randbytes(chance.randrange(1, 5)))
    tx = Transaction(volume)
    try:
        fs = FatEditor(tx.view)
        fs.vacate(Extents.span(fs.geometry.data_start, fs.geometry.data_end) - fs.free(), tx, avoid=Extents())
    except InpartError:
        return


@pytest.fixture(scope="module")
def small_content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small partition with files all over it."""
    return prepared(SMALL, tmp_path_factory.mktemp("small") / "partition.img").read_bytes()
