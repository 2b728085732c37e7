"""The used map, the geometry, the state and the areas of NTFS volumes against the real tools."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from inpart.contracts import State, Verdict
from inpart.errors import FilesystemDamaged, FilesystemUnsupported
from inpart.extents import Extents
from inpart.testing.tools import copied, run
from inpart.units import KIB, MIB
from inpart.volume import FileVolume, MemoryVolume
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.provider import NtfsProvider
from inpart_ntfs.structs import BPB, VOLUME_INFORMATION, field_offset
from ntfsjudge import mounted, ntfsclone_used, ntfsinfo_used, partclone_used
from ntfsmaker import MATRIX, SMALL, Recipe, make_partition

SIZES = [(512 << power, 512) for power in range(13)]
SIZES += [(cluster, sector) for sector in (1024, 2048, 4096) for cluster in (sector, 128 * KIB, 2 * MIB)]
"""Of clusters and sectors."""
SAMPLE = ("c512", "c4k-torn-mft", "c128k", "c2m", "s4k")
"""partclone takes its time; these differ most."""

Filled = Callable[[Recipe], tuple[Path, dict[str, bytes]]]


def opened(path: Path) -> NtfsFilesystem:
    return NtfsFilesystem(FileVolume(path))


def poke(path: Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.fixture
def small(filled: Filled, tmp_path: Path) -> Path:
    """A small partition that may be changed."""
    path = tmp_path / "small.img"
    run("cp", filled(SMALL)[0], path)
    return path


def place_of(path: Path, number: int) -> int:
    """Byte at which a record lies; $MFT of the small partition starts in one piece."""
    filesystem = opened(path)
    return filesystem.mft.stream.runs.array[0, 0].item() + number * filesystem.boot.record_size


def test_used_map_is_that_of_the_tools(partition: tuple[Path, dict[str, bytes]]) -> None:
    path, _ = partition
    filesystem = opened(path)
    boot, info = filesystem.boot, filesystem.info
    assert filesystem.used == ntfsclone_used(path).clip(0, boot.data_end)
    assert info.used_bytes == filesystem.used.total == ntfsinfo_used(path)
    ends = Extents([(0, boot.bytes_per_sector), (boot.backup_offset, boot.size)])
    assert filesystem.allocated() == filesystem.used | ends
    assert (info.state, info.notes) == (State.CLEAN, ())


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in MATRIX if recipe.name in SAMPLE], ids=lambda recipe: recipe.name
)
def test_used_bytes_are_those_of_partclone(filled: Filled, recipe: Recipe) -> None:
    path, _ = filled(recipe)
    assert opened(path).info.used_bytes == partclone_used(path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("recipe", MATRIX, ids=lambda recipe: recipe.name)
def test_used_bytes_are_always_those_of_partclone(filled: Filled, recipe: Recipe) -> None:
    path, _ = filled(recipe)
    assert opened(path).info.used_bytes == partclone_used(path)


@pytest.mark.parametrize(("cluster", "sector"), SIZES)
def test_every_cluster_and_sector_size(tmp_path: Path, cluster: int, sector: int) -> None:
    """The size is no whole number of clusters, so that the bitmap has bits behind the last one."""
    size = max(8 * MIB, 40 * cluster) + 3 * max(sector, cluster // 2)
    path = make_partition(tmp_path / "fresh.img", Recipe("fresh", cluster, sector, size))
    assert NtfsProvider().probe(FileVolume(path)).verdict is Verdict.MINE
    filesystem = opened(path)
    info = filesystem.info
    assert (info.cluster_size, filesystem.boot.bytes_per_sector) == (cluster, sector)
    assert info.size == size // sector * sector
    assert info.used_bytes == ntfsinfo_used(path) == filesystem.used.total
    assert filesystem.used == ntfsclone_used(path).clip(0, info.data_end)
    assert info.label == "fresh"


def test_serial_number_is_the_one_of_blkid(small: Path) -> None:
    assert opened(small).info.uuid == run("blkid", "-p", "-s", "UUID", "-o", "value", small).strip()


EIGHT_TEBIBYTES = """
import re, sys
from pathlib import Path
from inpart.volume import FileVolume
from inpart_ntfs.filesystem import NtfsFilesystem
filesystem = NtfsFilesystem(FileVolume(Path(sys.argv[1])))
used = filesystem.allocated()
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], used.total)
"""


def test_eight_tebibytes(tmp_path: Path) -> None:
    path = tmp_path / "huge.img"
    with open(path, "wb") as file:
        file.truncate((8 << 40) + 4096)
    subprocess.run(["mkntfs", "-q", "-F", "-Q", path], check=True, capture_output=True)
    done = subprocess.run([sys.executable, "-c", EIGHT_TEBIBYTES, path], check=True, capture_output=True, text=True)
    peak, used = done.stdout.split()
    path.unlink()
    assert int(peak) < 256 * KIB
    assert int(used) > 256 * MIB


def test_only_the_second_half_of_the_boot_file_is_offered(small: Path) -> None:
    places = opened(small).reserved_places()
    assert places == Extents.span(5 * KIB, 8 * KIB)
    poke(small, 6 * KIB, b"boot code")
    assert opened(small).reserved_places() == Extents([(5 * KIB, 6 * KIB), (6 * KIB + 512, 8 * KIB)])


def test_system_areas_are_used_and_named(partition: tuple[Path, dict[str, bytes]]) -> None:
    filesystem = opened(partition[0])
    areas = {area.name: area for area in filesystem.system_areas()}
    assert {"mft", "mft-mirror", "bitmap", "log-file", "boot", "upcase", "secure"} < set(areas)
    assert [name for name, area in areas.items() if area.anchor] == ["boot-sector", "backup-boot-sector"]
    for area in areas.values():
        assert filesystem.allocated().covers(area.extents)


# -- damaged boot sectors


@pytest.mark.parametrize("longer", [0, 512, 700 * KIB])
@pytest.mark.parametrize("damage", [bytes(512), b"\xff" * 512, b"\xeb\x52\x90NTFS    \x00\x02\x07"])
def test_backup_boot_sector(small: Path, longer: int, damage: bytes) -> None:
    """Also where the partition is larger than its file system."""
    healthy = opened(small).allocated()
    os.truncate(small, small.stat().st_size + longer)
    poke(small, 0, damage)
    probe = NtfsProvider().probe(FileVolume(small))
    assert (probe.verdict, probe.trusted) == (Verdict.DAMAGED, "backup boot sector")
    filesystem = opened(small)
    assert filesystem.allocated() == healthy
    assert filesystem.info.state is State.ERRORS
    assert "backup boot sector" in filesystem.info.notes[0]


def test_far_behind_the_file_system_the_damaged_first_one_leads_to_the_backup(small: Path) -> None:
    healthy = opened(small).allocated()
    os.truncate(small, 3 * small.stat().st_size)
    poke(small, field_offset(BPB, "sectors_per_cluster"), b"\x07")
    assert opened(small).allocated() == healthy


def test_neither_boot_sector(small: Path) -> None:
    filesystem = opened(small)
    poke(small, filesystem.boot.backup_offset, bytes(512))
    assert opened(small).info.state is State.CLEAN  # the backup's loss is a finding of the check
    poke(small, 3, b"\0")
    with pytest.raises(FilesystemUnsupported, match="no backup"):
        opened(small)
    assert NtfsProvider().probe(FileVolume(small)).verdict is Verdict.NOT_MINE


def test_remains_of_ntfs_are_not_ntfs(small: Path) -> None:
    """What is left at the end of a partition that was formatted otherwise."""
    for start, end in opened(small).used:
        poke(small, start, bytes(end - start))
    probe = NtfsProvider().probe(FileVolume(small))
    assert probe.verdict is Verdict.NOT_MINE
    assert "$MFT cannot be found" in probe.detail


@pytest.mark.parametrize(
    ("maker", "words"),
    [
        (("mkfs.fat", "-F", "32", "-I"), "FAT"),
        (("mkfs.fat", "-F", "16", "-I"), "FAT"),
        (("mke2fs", "-q", "-F", "-t", "ext4"), "no backup|FAT"),
    ],
)
def test_others_made_over_it_are_not_ours(small: Path, maker: tuple[str, ...], words: str) -> None:
    os.truncate(small, 40 * MIB)
    run(*maker, small)
    assert NtfsProvider().probe(FileVolume(small)).verdict is Verdict.NOT_MINE
    with pytest.raises(FilesystemUnsupported):
        opened(small)


def test_a_volume_cut_short_says_how_much_is_missing(filled: Filled, tmp_path: Path) -> None:
    path = tmp_path / "short.img"
    run("cp", filled(SMALL)[0], path)
    os.truncate(path, path.stat().st_size // 2 + 512)
    assert NtfsProvider().probe(FileVolume(path)).verdict is Verdict.DAMAGED
    filesystem = opened(path)
    assert filesystem.info.state is State.ERRORS
    assert any("are missing" in note for note in filesystem.info.notes)
    with pytest.raises(FilesystemDamaged, match="reach up to"):
        filesystem.allocated()


# -- damaged $MFT and $Bitmap


@pytest.mark.parametrize("numbers", [[0], [1], [3], [0, 1, 2, 3]])
def test_mirror_of_the_first_records(small: Path, numbers: list[int]) -> None:
    healthy, label = opened(small).allocated(), opened(small).info.label
    places = [place_of(small, number) for number in numbers]
    for place in places:
        poke(small, place, bytes(1024))
    assert NtfsProvider().probe(FileVolume(small)).verdict is Verdict.DAMAGED
    filesystem = opened(small)
    assert filesystem.allocated() == healthy
    assert (filesystem.info.state, filesystem.info.label) == (State.ERRORS, label)
    notes = " ".join(filesystem.info.notes)
    assert all(f"record {number} is read from $MFTMirr" in notes for number in numbers)


def test_mirror_of_large_clusters_has_more_records(filled: Filled, tmp_path: Path) -> None:
    """One cluster of them, and so that of $Bitmap, too."""
    path = copied(filled(next(recipe for recipe in MATRIX if recipe.name == "c64k"))[0], tmp_path / "large.img")
    healthy = opened(path).allocated()
    poke(path, place_of(path, 0), bytes(12 * 1024))
    assert opened(path).allocated() == healthy
    assert "record 6 is read from $MFTMirr" in opened(path).info.notes


def test_torn_first_record(small: Path) -> None:
    healthy = opened(small).allocated()
    poke(small, place_of(small, 0) + 510, b"\xab\xcd")
    assert opened(small).allocated() == healthy
    assert "record 0 is read from $MFTMirr" in opened(small).info.notes[0]


def test_boot_sector_that_names_a_wrong_place_of_the_mft(small: Path) -> None:
    filesystem = opened(small)
    poke(small, field_offset(BPB, "mft_lcn"), filesystem.boot.mftmirr_lcn.to_bytes(8, "little"))
    assert opened(small).allocated() == filesystem.allocated()
    assert "do not agree" in opened(small).info.notes[0]


def test_whole_first_fragment_of_the_mft(small: Path) -> None:
    filesystem = opened(small)
    start, length = filesystem.mft.stream.runs.array[0].tolist()
    poke(small, start, bytes(length))
    wrecked = opened(small)
    assert wrecked.info.state is State.ERRORS
    assert any("what is used is not known" in note for note in wrecked.info.notes)
    assert wrecked.info.used_bytes == wrecked.info.data_end
    with pytest.raises(FilesystemDamaged, match="record 6 is damaged"):
        wrecked.allocated()
    assert NtfsProvider().probe(FileVolume(small)).verdict is Verdict.DAMAGED


def test_mft_and_mirror_gone(small: Path) -> None:
    boot = opened(small).boot
    for lcn in (boot.mft_lcn, boot.mftmirr_lcn):
        poke(small, lcn * boot.cluster_size, bytes(1024))
    with pytest.raises(FilesystemDamaged, match=r"\$MFT cannot be found"):
        opened(small)
    assert NtfsProvider().probe(FileVolume(small)).verdict is Verdict.DAMAGED


# -- state


def volume_information(path: Path) -> int:
    """Byte at which $VOLUME_INFORMATION stands."""
    record = opened(path).mft.record(Number.VOLUME)
    attribute = record.find(AttributeType.VOLUME_INFORMATION)
    assert attribute is not None
    return place_of(path, Number.VOLUME) + attribute.offset + attribute.raw.index(attribute.value)


def test_dirty_flag(small: Path) -> None:
    poke(small, volume_information(small) + field_offset(VOLUME_INFORMATION, "flags"), b"\x01\x00")
    assert opened(small).info.state is State.DIRTY


def test_what_windows_sets_is_not_dirty(small: Path) -> None:
    poke(small, volume_information(small) + field_offset(VOLUME_INFORMATION, "flags"), b"\x80\x00")
    assert opened(small).info.state is State.CLEAN


@pytest.mark.parametrize("version", [(1, 2), (3, 0), (3, 1)])
def test_versions_that_are_read(small: Path, version: tuple[int, int]) -> None:
    poke(small, volume_information(small) + field_offset(VOLUME_INFORMATION, "major_ver"), bytes(version))
    assert opened(small).state.version == version
    assert opened(small).info.state is State.CLEAN


@pytest.mark.parametrize("version", [(1, 1), (2, 0), (4, 0)])
def test_versions_that_are_refused_by_number(small: Path, version: tuple[int, int]) -> None:
    poke(small, volume_information(small) + field_offset(VOLUME_INFORMATION, "major_ver"), bytes(version))
    with pytest.raises(FilesystemUnsupported, match=rf"version {version[0]}\.{version[1]}"):
        opened(small)


@pytest.mark.parametrize(
    ("header", "state"),
    [
        (b"hibr", State.HIBERNATED),
        (b"HIBR", State.HIBERNATED),
        (b"RSTR", State.HIBERNATED),
        (b"wake", State.CLEAN),
        (b"\0\0\0\0", State.CLEAN),
    ],
)
def test_hibernation_file(small: Path, header: bytes, state: State) -> None:
    with mounted(small, "remove_hiberfile") as root:
        (root / "HiberFil.sys").write_bytes(header + bytes(8188))
    assert opened(small).info.state is state
    assert any("hibernated" in note for note in opened(small).info.notes) == (state is State.HIBERNATED)


def test_hibernated_elsewhere(small: Path) -> None:
    with mounted(small) as root:
        (root / "hiberfil.sys").write_bytes(b"short")
    assert opened(small).info.state is State.HIBERNATED


def test_hibernation_file_below_another_directory_is_a_file(small: Path) -> None:
    with mounted(small) as root:
        (root / "many" / "hiberfil.sys").write_bytes(b"hibr" + bytes(8188))
    assert opened(small).info.state is State.CLEAN


def test_files_and_memory_are_read_alike(small: Path) -> None:
    memory = NtfsFilesystem(MemoryVolume(small.read_bytes()))
    assert memory.allocated() == opened(small).allocated()
    assert memory.info == opened(small).info
