"""The main job on real NTFS, in both layouts: image, wreck, locate, restore; judged by the NTFS tools and ntfs-3g."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from inpart.errors import NoSpace
from inpart.extents import Extents
from inpart.operations.create import CreateOptions, create
from inpart.operations.images import list_images
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Session
from inpart.operations.stores import EVERY
from inpart.operations.verify import verify
from inpart.testing.tools import run
from inpart.units import KIB, MIB
from inpart.volume import FileVolume
from inpart_ntfs.codes import Number
from inpart_ntfs.editor import NtfsEditor
from ntfsjudge import HIDDEN, judge, mounted, ntfsinfo_used, snapshot
from ntfsmaker import Recipe, make_filled, make_partition

Facts = dict[str, tuple[object, ...]]
Wreck = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A file system and the layout of the images in it."""

    layout: str
    recipe: Recipe


CASES = (
    Case("contiguous", Recipe("c1k", KIB, size=10 * MIB, entries=60, pieces=150)),
    Case("contiguous", Recipe("c4k-torn-mft", size=32 * MIB, entries=100, torn_mft=True)),
    Case("contiguous", Recipe("c64k", 64 * KIB, size=40 * MIB, entries=60, pieces=20)),
    Case("blocks", Recipe("c4k", size=16 * MIB, entries=150)),
    Case("blocks", Recipe("s4k", sector=4096, size=20 * MIB, entries=150)),
)
Imaged = tuple[Path, Facts]


@pytest.fixture(scope="module")
def imaged(tmp_path_factory: pytest.TempPathFactory, session: Session) -> Callable[[Case], Imaged]:
    """A filled partition with two images in it, made once; not to be changed."""

    @cache
    def give(case: Case) -> Imaged:
        path = tmp_path_factory.mktemp("ntfs") / "p.img"
        make_filled(path, case.recipe)
        facts = snapshot(path)
        create(session, str(path), CreateOptions("factory-1", "factory", layout=case.layout))
        create(session, str(path), CreateOptions("mine", layout=case.layout))
        return path, facts

    return give


@pytest.fixture(params=CASES, ids=lambda case: f"{case.layout}-{case.recipe.name}")
def case(request: pytest.FixtureRequest) -> Case:
    made = request.param
    assert isinstance(made, Case)
    return made


def zero(path: Path, extents: Extents) -> None:
    assert extents
    with path.open("r+b") as file:
        for start, end in extents:
            file.seek(start)
            file.write(bytes(end - start))


def areas(path: Path, *names: str) -> Extents:
    with FileVolume(path) as volume:
        found = {area.name: area.extents for area in NtfsEditor(volume).system_areas()}
    return Extents([pair for name in names for pair in found[name]])


def first_records(path: Path) -> Extents:
    with FileVolume(path) as volume:
        fs = NtfsEditor(volume)
        return fs.mft.stream.runs.slice(0, 16 * fs.boot.record_size).extents()


def first_fragment(path: Path) -> Extents:
    with FileVolume(path) as volume:
        start, length = next(iter(NtfsEditor(volume).mft.stream.runs))
        return Extents.span(start, start + length)


def first_tenth(path: Path) -> Extents:
    """Without what images in scattered blocks have there."""
    with FileVolume(path) as volume:
        claims = NtfsEditor(volume).claims()
    images = Extents([pair for claim in claims for pair in claim.runs.extents()])
    return Extents.span(0, path.stat().st_size // 10) - images


def reformat(path: Path) -> None:
    with FileVolume(path) as volume:
        boot = NtfsEditor(volume).boot
    sizes = ("-c", str(boot.cluster_size), "-s", str(boot.bytes_per_sector))
    run("mkntfs", "-q", "-F", "-Q", *sizes, "-p", "0", "-H", "255", "-S", "63", "-L", "other", path)


WRECKS: dict[str, Wreck] = {
    "boot-sector": lambda path: zero(path, areas(path, "boot-sector")),
    "both-boot-sectors": lambda path: zero(path, areas(path, "boot-sector", "backup-boot-sector")),
    "first-records": lambda path: zero(path, first_records(path)),
    "first-fragment-and-mirror": lambda path: zero(path, first_fragment(path) | areas(path, "mft-mirror")),
    "bitmap": lambda path: zero(path, areas(path, "bitmap")),
    "root-index": lambda path: zero(path, areas(path, "root-index")),
    "first-tenth": lambda path: zero(path, first_tenth(path)),
    "reformatted": reformat,
    "nothing": lambda path: None,
}


def test_create_leaves_a_healthy_file_system(
    case: Case, imaged: Callable[[Case], Imaged], session: Session, tmp_path: Path
) -> None:
    made, facts = imaged(case)
    path = Path(shutil.copy(made, tmp_path))
    assert judge(path) == []
    assert snapshot(path) == facts
    assert [(row.name, row.layout) for row in list_images(session, str(path)).images] == [
        ("factory-1", case.layout),
        ("mine", case.layout),
    ]
    assert verify(session, str(path)).ok
    with FileVolume(path) as volume:
        fs = NtfsEditor(volume)
        assert list(fs.check()) == []
        assert fs.info.used_bytes == ntfsinfo_used(path)


def test_images_survive_what_ntfs_3g_writes(
    case: Case, imaged: Callable[[Case], Imaged], session: Session, tmp_path: Path
) -> None:
    path = Path(shutil.copy(imaged(case)[0], tmp_path))
    with mounted(path) as root:
        assert sorted(file.name for file in (root / HIDDEN).iterdir())
        folder = root / "written later"
        folder.mkdir()
        for number in range(300):
            (folder / f"file {number}").write_bytes(os.urandom(number))
            (root / f"in the root directory {number}").write_bytes(b"")
        for number in range(0, 300, 2):
            (root / f"in the root directory {number}").unlink()
    assert judge(path) == []
    assert verify(session, str(path)).ok
    with FileVolume(path) as volume:
        assert list(NtfsEditor(volume).check()) == []


@pytest.mark.parametrize("wreck", WRECKS)
def test_wrecked_partition_comes_back(
    case: Case, imaged: Callable[[Case], Imaged], session: Session, tmp_path: Path, wreck: str
) -> None:
    made, facts = imaged(case)
    path = Path(shutil.copy(made, tmp_path))
    before = list_images(session, str(path)).images
    WRECKS[wreck](path)
    found = list_images(session, str(path), EVERY).images
    assert [(row.id, row.extents) for row in found] == [(row.id, row.extents) for row in before]
    restore(session, str(path), RestoreOptions())
    assert judge(path) == []
    assert snapshot(path) == facts
    assert [row.name for row in list_images(session, str(path)).images] == ["factory-1", "mine"]
    assert verify(session, str(path)).ok


def test_image_that_cannot_fit_is_refused_untouched(session: Session, tmp_path: Path) -> None:
    path = make_partition(tmp_path / "full.img", Recipe("full", size=8 * MIB))
    with mounted(path) as root:
        (root / "big.bin").write_bytes(os.urandom(3 * MIB))
    before = path.read_bytes()
    with pytest.raises(NoSpace, match=r"\d+"):
        create(session, str(path), CreateOptions("first"))
    assert path.read_bytes() == before


def test_restored_elsewhere_has_its_new_place(session: Session, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    part = make_partition(tmp_path / "p.img", Recipe("moved", size=8 * MIB))
    with mounted(part) as root:
        (root / "kept").write_bytes(os.urandom(MIB))
    facts = snapshot(part)
    create(session, str(part), CreateOptions("first"))
    disk.write_bytes(bytes(16 * MIB))
    start = 4 * MIB
    restore(session, str(part), RestoreOptions(to=f"{disk}@{start}"))
    moved = tmp_path / "moved.img"
    moved.write_bytes(disk.read_bytes()[start : start + 8 * MIB])
    assert judge(moved) == []
    assert snapshot(moved) == facts
    with FileVolume(moved) as volume:
        boot = NtfsEditor(volume).boot
        assert boot.hidden_sectors == start // boot.bytes_per_sector
        assert volume.read(0, 512) == volume.read(boot.backup_offset, 512)
        assert NtfsEditor(volume).mft.record(Number.MFT).in_use


@pytest.mark.parametrize("case", [CASES[0], CASES[4]], ids=lambda case: case.recipe.name)
def test_restored_to_a_larger_partition(
    tmp_path: Path, imaged: Callable[[Case], Imaged], session: Session, case: Case
) -> None:
    """The backup of the boot sector is expected in the partition's last sector, where that of a larger one may lie."""
    path, facts = imaged(case)
    larger, sector = tmp_path / "larger.img", case.recipe.sector
    larger.write_bytes(bytes(path.stat().st_size + 3 * MIB - sector) + path.read_bytes()[:sector])
    warnings: list[str] = []
    restore(replace(session, warn=warnings.append), str(path), RestoreOptions("mine", to=str(larger)))
    assert [one for one in warnings if "its own tools can make it larger" in one]
    judge(larger)
    assert snapshot(larger) == facts
    content = larger.read_bytes()
    assert content[-sector:] == content[:sector] == content[path.stat().st_size - sector :][:sector]
