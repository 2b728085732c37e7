"""The editor against the conformance kit, judged by fsck.fat, on small partitions of every kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from fatediting import TOLERABLE, spread
from fatmaker import Recipe, fsck, make_partition
from fattable import WholeTable
from inpart.extents import Extents
from inpart.testing.filesystem_kit import FilesystemEditorKit, Specimen, volume_file
from inpart.units import MIB
from inpart.volume import MemoryVolume, Volume
from inpart_fat.provider import FatProvider

KINDS = {
    recipe.name: recipe
    for recipe in (
        Recipe("fat12", MIB, ("-F12", "-s1", "-r64")),
        Recipe("fat12-sector-4096", 12 * MIB, ("-F12", "-S4096", "-s1", "-f1")),
        Recipe("fat16-sector-1024", 6 * MIB, ("-F16", "-S1024", "-s1", "-r64")),
        Recipe("fat32", 34 * MIB, ("-F32", "-s1")),
    )
}


def emptied(files: Mapping[str, bytes]) -> set[str]:
    """The directories in which deletion has left nothing."""
    kept = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    return {f"/Directory {letter}/sub {number}" for letter in "ABC" for number in range(7)} - kept


class TestEditor(FilesystemEditorKit):
    provider = FatProvider()
    variants = tuple(KINDS)[:1]  # test_conformance.py has levels 1 and 2 of all
    editor_variants = tuple(KINDS)
    stable_records = False
    cuts = 10

    def make(self, variant: str) -> Specimen:
        with TemporaryDirectory() as folder:
            path = make_partition(Path(folder) / "partition.img", KINDS[variant])
            files = spread(path)
            used = fsck(path).used
            volume = MemoryVolume(path.read_bytes())
        fs = self.provider.open(volume)
        bad = mark_bad(volume, WholeTable.of(fs), 3)
        return Specimen(
            bytes(volume.data),
            files,
            (used + 3) * fs.geometry.cluster_size,
            has_copies=fs.geometry.fat32,
            others=tuple(emptied(files)),
            bad=bad,
            sector_size=fs.geometry.sector_size,
        )

    def complaints(self, volume: Volume) -> Sequence[str]:
        with volume_file(volume) as path:
            return fsck(path).complaints

    def tolerable(self, complaint: str) -> bool:
        return complaint.startswith(TOLERABLE)


def mark_bad(volume: Volume, table: WholeTable, count: int) -> Extents:
    """Mark free clusters near the end as bad in every copy of the table."""
    geometry = table.geometry
    free = table.free().nonzero()[0][-20::7][:count]
    table.set(free, geometry.bad)
    table.write(volume)
    if geometry.fsinfo_offset:
        at = geometry.fsinfo_offset + 488
        left = int.from_bytes(volume.read(at, 4), "little") - count
        volume.write(at, left.to_bytes(4, "little"))
    return geometry.extents(free)
