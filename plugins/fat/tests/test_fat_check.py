"""Damage of each kind: both fsck.fat and check() must see it, and reading must end in typed errors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fatmaker import MATRIX, Recipe, fsck
from fattable import WholeTable
from inpart.contracts import EntryType, Finding, Severity, State, Verdict
from inpart.errors import FilesystemDamaged, FilesystemError, InpartError
from inpart.volume import MemoryVolume
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.provider import FatProvider
from inpart_fat.structs import BOOT16, BOOT32, DIR, LDIR, field_offset

Filled = Callable[[Recipe], tuple[Path, dict[str, bytes]]]
RECIPES = {recipe.name: recipe for recipe in MATRIX if recipe.name in {"fat12-1m", "fat16-512", "fat32-512"}}
BIG = "/A long name, number {}.data"


class Patient:
    """A healthy file system in memory, and ways to break it."""

    def __init__(self, content: bytes) -> None:
        self.volume = MemoryVolume(content)
        self.filesystem = FatFilesystem(self.volume)
        self.geometry = self.filesystem.geometry
        self.table = WholeTable.of(self.filesystem)
        self.files = [entry for entry in self.filesystem.walk() if entry.type is EntryType.FILE]

    def chain(self, path: str) -> list[int]:
        """Clusters of a file or directory."""
        return [int(cluster) for cluster in self.filesystem.chain(self.filesystem.stat(path).record)]

    @property
    def big(self) -> str:
        """A file of many clusters."""
        return max(self.files, key=lambda entry: entry.size).path

    @property
    def other(self) -> str:
        """Another one."""
        return sorted(self.files, key=lambda entry: entry.size)[-2].path

    def link(self, cluster: int, value: int) -> None:
        """Change an entry in all copies of the table."""
        self.table.set(np.array([cluster]), np.array([value]))
        self.table.write(self.volume)

    def free(self) -> int:
        """The last free cluster."""
        return int(np.flatnonzero(self.table.free())[-1])

    def slot(self, path: str, index: int | None = None) -> int:
        """Offset of the short slot of a path, or of the given slot of a directory."""
        folder = path if index is not None else path.rpartition("/")[0] or "/"
        found = self.filesystem.find(path)
        number = index if index is not None else found.slot if found else 0
        cluster = 0 if folder == "/" else self.filesystem.stat(folder).record
        if self.geometry.root_bytes and cluster == 0:
            return self.geometry.root_start + number * 32
        starts = self.geometry.offsets(self.filesystem.reader.clusters(cluster))
        return int(starts[number * 32 // self.geometry.cluster_size]) + number * 32 % self.geometry.cluster_size

    def set(self, offset: int, name: str, value: int, *, long: bool = False) -> None:
        """Change a field of the slot at ``offset``."""
        dtype = LDIR if long else DIR
        size = int(dtype[name].itemsize)
        self.volume.write(offset + field_offset(dtype, name), value.to_bytes(size, "little"))

    def boot(self, name: str, value: int) -> None:
        """Change a field of the boot sector and of its backup."""
        dtype = BOOT32 if self.geometry.fat32 else BOOT16
        data = value.to_bytes(int(dtype[name].itemsize), "little")
        for offset in self.geometry.boot_offsets:
            self.volume.write(offset + field_offset(dtype, name), data)


@dataclass(frozen=True)
class Damage:
    """A way to break a file system, the code of the finding, and the widths that it applies to."""

    code: str
    inflict: Callable[[Patient], object]
    bits: tuple[int, ...] = (12, 16, 32)


def _cross_link(patient: Patient) -> None:
    patient.link(patient.chain(patient.big)[3], patient.chain(patient.other)[2])


def _same_start(patient: Patient) -> None:
    cluster = patient.chain(patient.big)[0]
    offset = patient.slot(patient.other)
    patient.set(offset, "DIR_FstClusLO", cluster & 0xFFFF)
    patient.set(offset, "DIR_FstClusHI", cluster >> 16)


def _rename(patient: Patient, path: str, short: bytes) -> None:
    patient.volume.write(patient.slot(path), short)


def _directory_into_itself(patient: Patient) -> None:
    cluster = patient.filesystem.stat("/sub").record
    offset = patient.slot("/sub/deep")
    patient.set(offset, "DIR_FstClusLO", cluster & 0xFFFF)
    patient.set(offset, "DIR_FstClusHI", cluster >> 16)


def _other_copy(patient: Patient) -> None:
    patient.table.set(np.array([patient.free()]), -1)
    patient.table.write(patient.volume, 1)


def _zero(patient: Patient, name: str) -> None:
    area = next(area for area in patient.filesystem.system_areas() if area.name == name)
    for start, end in area.extents:
        patient.volume.write(start, bytes(end - start))


def _fsinfo(patient: Patient, field: int, value: int) -> None:
    patient.volume.write(patient.geometry.fsinfo_offset + field, value.to_bytes(4, "little"))


def _entry_one(patient: Patient) -> None:
    patient.link(1, patient.geometry.mask >> 1)


LONG = "/sub/deep/deeper/the deepest file of them all, really.bin"
DAMAGES = {
    "lost chain": Damage("lost-clusters", lambda p: p.link(p.free(), p.geometry.mask)),
    "lost loop": Damage("lost-clusters", lambda p: p.link(p.free(), p.free())),
    "deleted entry": Damage("lost-clusters", lambda p: p.volume.write(p.slot("/sub/deep/x"), b"\xe5")),
    "cross link": Damage("cross-link", _cross_link),
    "same start": Damage("cross-link", _same_start),
    "loop": Damage("chain", lambda p: p.link(p.chain(p.big)[-1], p.chain(p.big)[1])),
    "self loop": Damage("chain", lambda p: p.link(p.chain(p.big)[2], p.chain(p.big)[2])),
    "chain to a free cluster": Damage("chain", lambda p: p.link(p.chain(p.big)[2], p.free())),
    "chain to a bad cluster": Damage("chain", lambda p: p.link(p.chain(p.big)[2], p.geometry.bad)),
    "chain out of range": Damage("entry-range", lambda p: p.link(p.chain(p.big)[2], p.geometry.entry_count + 1)),
    "entry one in a chain": Damage("entry-range", lambda p: p.link(p.chain(p.big)[2], 1)),
    "short chain": Damage("size", lambda p: p.link(p.chain(p.big)[1], p.geometry.mask)),
    "size too large": Damage("size", lambda p: p.set(p.slot(p.big), "DIR_FileSize", 0xFFFFFFFF)),
    "size too small": Damage("size", lambda p: p.set(p.slot(p.big), "DIR_FileSize", 3)),
    "size zero": Damage("size", lambda p: p.set(p.slot(p.big), "DIR_FileSize", 0)),
    "size without cluster": Damage("size", lambda p: p.set(p.slot(BIG.format(0)), "DIR_FileSize", 7)),
    "start cluster one": Damage("start-cluster", lambda p: p.set(p.slot(BIG.format(0)), "DIR_FstClusLO", 1)),
    "start beyond": Damage("start-cluster", lambda p: p.set(p.slot(BIG.format(0)), "DIR_FstClusLO", 0xFFFF), (12, 16)),
    "directory without cluster": Damage(
        "start-cluster", lambda p: [p.set(p.slot("/sub"), name, 0) for name in ("DIR_FstClusLO", "DIR_FstClusHI")]
    ),
    "directory in itself": Damage("cross-link", _directory_into_itself),
    "directory with a size": Damage("directory-size", lambda p: p.set(p.slot("/sub"), "DIR_FileSize", 512)),
    "bad character": Damage("bad-name", lambda p: _rename(p, "/UPPER.TXT", b"UP?ER   TXT")),
    "leading space": Damage("bad-name", lambda p: _rename(p, "/UPPER.TXT", b" PPER   TXT")),
    "control character": Damage("bad-name", lambda p: _rename(p, "/UPPER.TXT", b"UP\x01ER   TXT")),
    "duplicate name": Damage("duplicate-name", lambda p: _rename(p, "/UPPER.TXT", b"LOWER   TXT")),
    "dot missing": Damage("dot-entry", lambda p: p.volume.write(p.slot("/sub", 0), b"X")),
    "dot elsewhere": Damage("dot-entry", lambda p: p.set(p.slot("/sub", 0), "DIR_FstClusLO", 2)),
    "dotdot missing": Damage("dot-entry", lambda p: p.volume.write(p.slot("/sub/deep", 1), b"\xe5")),
    "dotdot elsewhere": Damage("dot-entry", lambda p: p.set(p.slot("/sub", 1), "DIR_FstClusLO", 5)),
    "dot no directory": Damage("dot-entry", lambda p: p.set(p.slot("/sub", 0), "DIR_Attr", 0x20)),
    "long name checksum": Damage("long-name", lambda p: p.set(p.slot(LONG) - 32, "LDIR_Chksum", 0, long=True)),
    "long name order": Damage("long-name", lambda p: p.set(p.slot(LONG) - 64, "LDIR_Ord", 9, long=True)),
    "long name without start": Damage("long-name", lambda p: p.volume.write(p.slot(LONG) - 4 * 32, b"\xe5")),
    "long name with cluster": Damage("long-name", lambda p: p.set(p.slot(LONG) - 32, "LDIR_FstClusLO", 7, long=True)),
    "long name attributes": Damage("long-name", lambda p: p.set(p.slot(LONG) - 32, "LDIR_Attr", 0x4F, long=True)),
    "long name without file": Damage("long-name", lambda p: p.volume.write(p.slot(LONG), b"\xe5")),
    "root directory zeroed": Damage("lost-clusters", lambda p: _zero(p, "root-directory")),
    "second table differs": Damage("tables-differ", _other_copy),
    "first table zeroed": Damage("tables-differ", lambda p: _zero(p, "fat-0")),
    "second table zeroed": Damage("tables-differ", lambda p: _zero(p, "fat-1")),
    "dirty in boot sector": Damage("dirty", lambda p: p.boot("BS_Reserved1", 1)),
    "dirty in the table": Damage("dirty", _entry_one, (16, 32)),
    "label differs": Damage("label", lambda p: p.boot("BS_VolLab", int.from_bytes(b"ANOTHER ONE", "little"))),
    "label of spaces": Damage("label", lambda p: p.volume.write(p.slot("/", 0), b" " * 11), (32,)),
    "backup differs": Damage(
        "backup-boot-sector", lambda p: p.volume.write(p.geometry.backup_offset + 100, b"!"), (32,)
    ),
    "backup zeroed": Damage("backup-boot-sector", lambda p: _zero(p, "backup-boot-sector"), (32,)),
    "boot sector zeroed": Damage("boot-sector", lambda p: _zero(p, "boot-sector"), (32,)),
    "free count": Damage("fsinfo-count", lambda p: _fsinfo(p, 488, 77), (32,)),
    "free count too large": Damage("fsinfo-count", lambda p: _fsinfo(p, 488, 0xFFFFFF00), (32,)),
    "fsinfo signature": Damage("fsinfo-signature", lambda p: _fsinfo(p, 0, 0), (32,)),
    "fsinfo zeroed": Damage("fsinfo-signature", lambda p: _zero(p, "fsinfo"), (32,)),
}
CASES = [(recipe, damage) for recipe in RECIPES for damage in DAMAGES if int(recipe[3:5]) in DAMAGES[damage].bits]


@pytest.mark.parametrize("breaks", ["free", "bad", "out of range", "loop", "starts nowhere"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_content_of_a_broken_chain_is_refused(recipe: str, breaks: str, filled: Filled) -> None:
    """However many files are asked for together."""
    patient = Patient(filled(RECIPES[recipe])[0].read_bytes())
    geometry, files, chain = patient.geometry, patient.files, patient.chain(patient.big)
    targets = {"free": 0, "bad": geometry.bad, "out of range": geometry.entry_count, "loop": chain[0]}
    if breaks in targets:
        patient.link(chain[3], targets[breaks])
    broken = [entry for entry in files if entry.path == patient.big]
    if breaks == "starts nowhere":
        broken = [replace(broken[0], record=geometry.entry_count)]
    others = [entry for entry in files if entry.path != patient.big]
    filesystem = FatFilesystem(patient.volume)
    assert filesystem.content(others)
    for chosen in (broken, others + broken):
        with pytest.raises(FilesystemDamaged, match="the cluster chain from"):
            filesystem.content(chosen)


@pytest.mark.parametrize(("recipe", "name"), CASES, ids=["-".join(case).replace(" ", "-") for case in CASES])
def test_check_finds_what_fsck_finds(recipe: str, name: str, filled: Filled, tmp_path: Path) -> None:
    patient, damage = Patient(filled(RECIPES[recipe])[0].read_bytes()), DAMAGES[name]
    damage.inflict(patient)
    (tmp_path / "damaged.img").write_bytes(patient.volume.data)
    assert fsck(tmp_path / "damaged.img").complaints, "the damage is none for fsck.fat"
    filesystem = FatFilesystem(patient.volume)
    findings = list(filesystem.check())
    assert f"fat.{damage.code}" in {finding.code for finding in findings}, findings
    assert all(finding.message and finding.code.startswith("fat.") for finding in findings)
    if recipe == "fat12-1m":
        read_everything(filesystem)


def read_everything(filesystem: FatFilesystem) -> None:
    """Every method of reader and tree ends, in a result or a typed error."""
    actions: list[Callable[[], object]] = [
        lambda: filesystem.info,
        filesystem.allocated,
        filesystem.system_areas,
        filesystem.slack,
        filesystem.dispensable,
        lambda: list(filesystem.check()),
        lambda: list(filesystem.owners(filesystem.allocated())),
        filesystem.reserved_places,
    ]
    for entry in filesystem.walk():
        actions.append(lambda path=entry.path: filesystem.runs(path))  # type: ignore[misc]
        if entry.type is EntryType.FILE:
            actions.append(lambda path=entry.path: sum(map(len, filesystem.read(path))))  # type: ignore[misc]
    for action in actions:
        with suppress(InpartError):
            action()


BOOT_VALUES = {
    "sector size": ("BPB_BytsPerSec", 600),
    "cluster size": ("BPB_SecPerClus", 0),
    "no reserved sectors": ("BPB_RsvdSecCnt", 0),
    "no table": ("BPB_NumFATs", 0),
    "too many tables": ("BPB_NumFATs", 200),
    "no sectors": ("BPB_TotSec16", 0),
    "media": ("BPB_Media", 0x12),
    "odd root directory": ("BPB_RootEntCnt", 3),
}


@pytest.mark.parametrize("name", BOOT_VALUES)
@pytest.mark.parametrize("recipe", ["fat12-1m", "fat16-512"])
def test_illegal_boot_values_are_refused(recipe: str, name: str, filled: Filled) -> None:
    patient = Patient(filled(RECIPES[recipe])[0].read_bytes())
    field, value = BOOT_VALUES[name]
    patient.boot(field, value)
    if field == "BPB_TotSec16":
        patient.boot("BPB_TotSec32", 0)
    assert FatProvider().probe(patient.volume).verdict is Verdict.NOT_MINE
    with pytest.raises(FilesystemError):
        FatFilesystem(patient.volume)


@pytest.mark.parametrize("name", [*BOOT_VALUES, "zeroed"])
def test_the_backup_boot_sector_stands_in(name: str, filled: Filled) -> None:
    path, files = filled(RECIPES["fat32-512"])
    volume = MemoryVolume(path.read_bytes())
    healthy = FatFilesystem(volume)
    allocated, info = healthy.allocated(), healthy.info
    if name == "zeroed":
        volume.write(0, bytes(512))
    else:
        field, value = BOOT_VALUES[name]
        size = int(BOOT32[field].itemsize)
        volume.write(field_offset(BOOT32, field), value.to_bytes(size, "little"))
        if field == "BPB_TotSec16":
            volume.write(field_offset(BOOT32, "BPB_TotSec32"), bytes(4))
    probe = FatProvider().probe(volume)
    assert (probe.verdict, probe.trusted) == (Verdict.DAMAGED, "backup boot sector")
    rescued = FatProvider().open(volume)
    assert rescued.allocated() == allocated
    assert (rescued.info.uuid, rescued.info.used_bytes) == (info.uuid, info.used_bytes)
    assert rescued.info.state is State.ERRORS
    assert rescued.info.notes
    assert {path: b"".join(rescued.read(path)) for path in files} == files
    assert any(finding.severity is Severity.ERROR for finding in rescued.check())


def test_a_zeroed_first_table_is_replaced_by_the_second(filled: Filled) -> None:
    for recipe in RECIPES.values():
        path, files = filled(recipe)
        patient = Patient(path.read_bytes())
        allocated = patient.filesystem.allocated()
        _zero(patient, "fat-0")
        assert FatProvider().probe(patient.volume).verdict is Verdict.DAMAGED
        rescued = FatProvider().open(patient.volume)
        assert rescued.allocated() == allocated
        assert {path: b"".join(rescued.read(path)) for path in files} == files


def test_a_partition_that_was_cut_short(filled: Filled) -> None:
    path, files = filled(RECIPES["fat16-512"])
    content = path.read_bytes()
    cut = MemoryVolume(content[: len(content) // 2])
    filesystem = FatProvider().open(cut)
    assert FatProvider().probe(cut).verdict is Verdict.DAMAGED
    assert filesystem.info.state is State.ERRORS
    assert "fat.truncated" in {finding.code for finding in filesystem.check()}
    assert b"".join(filesystem.read("/UPPER.TXT")) == files["/UPPER.TXT"]
    read_everything(filesystem)
    short = FatProvider().open(MemoryVolume(content[: filesystem.geometry.data_start + 100_000]))
    with pytest.raises(FilesystemError):
        short.allocated()


def test_findings_of_one_kind_are_bounded(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = Patient(filled(RECIPES["fat32-512"])[0].read_bytes())
    folder = patient.filesystem.reader.slots(patient.filesystem.stat("/many").record)
    for slot in folder.files.tolist():
        patient.set(patient.slot("/many", slot), "DIR_FileSize", 123_456)
    assert len(_sizes(patient)) == 60
    monkeypatch.setattr("inpart.contracts.findings.MAX_FINDINGS", 10)
    found = _sizes(patient)
    assert len(found) == 11
    assert found[-1].message == "there are more of this kind"


def _sizes(patient: Patient) -> list[Finding]:
    return [finding for finding in FatFilesystem(patient.volume).check() if finding.code == "fat.size"]
