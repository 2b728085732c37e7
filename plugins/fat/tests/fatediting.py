"""What the tests of the editor share: an independent reader of FAT, and partitions to edit."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fatmaker import Judgement, Recipe, copy_in, delete, fsck, make_partition
from inpart.contracts import Edits
from inpart.transaction import Transaction
from inpart.units import MIB
from inpart.volume import Access, FileVolume
from inpart_fat.editor import FatEditor

T = TypeVar("T")

EDITED = (
    Recipe("fat12-512", MIB, ("-F12", "-s1", "-r64")),
    Recipe("fat12-sector-4096", 12 * MIB, ("-F12", "-S4096", "-s1")),
    Recipe("fat12-64k", 64 * MIB, ("-F12", "-s128", "-f1")),
    Recipe("fat16-512", 8 * MIB, ("-F16", "-s1", "-f1", "-r64")),
    Recipe("fat16-sector-2048", 32 * MIB, ("-F16", "-S2048", "-s2")),
    Recipe("fat32-512", 34 * MIB, ("-F32", "-s1")),
    Recipe("fat32-not-mirrored", 34 * MIB, ("-F32", "-s1")),
    Recipe("fat32-sector-4096", 300 * MIB, ("-F32", "-S4096", "-s1")),
    Recipe("fat32-64k", 4400 * MIB, ("-F32", "-s128")),
)
"""All widths, sector and cluster sizes, one and two tables, mirroring switched off."""

CORE = (EDITED[0], EDITED[3], EDITED[5])
"""One of each width."""


TOLERABLE = (
    "Reclaimed ",
    "Reclaiming unconnected clusters",
    "FATs differ",
    "  Using first FAT",
    "Free cluster summary wrong",
    "  Auto-correcting",
    "Leaving filesystem unchanged",
)
"""What fsck.fat may say after a power cut: clusters allocated and unused, tables that differ, counts behind."""


@dataclass(frozen=True)
class Found:
    """One file or directory: its slots without the first cluster, the hash of its content, where its clusters are."""

    slots: bytes
    content: str
    clusters: tuple[int, ...]


class PlainReader:
    """Reads a FAT file system from a file, by Microsoft's text alone and one entry at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        boot = self._at(0, 512)
        self.sector, per_cluster, reserved, fats = struct.unpack_from("<HBHB", boot, 11)
        root_entries, small, _, fat16 = struct.unpack_from("<HHBH", boot, 17)
        large, fat32, flags, _, self.root = struct.unpack_from("<IIHHI", boot, 32)
        self.fat_size = (fat16 or fat32) * self.sector
        active = flags & 15 if not fat16 and flags & 0x80 else 0
        self.fat_at = reserved * self.sector + active * self.fat_size
        self.root_at: int = reserved * self.sector + fats * self.fat_size
        self.root_size = root_entries * 32
        self.data_at: int = self.root_at + self.root_size
        self.size: int = per_cluster * self.sector
        self.count = ((small or large) * self.sector - self.data_at) // self.size
        self.bits = 32 if not fat16 else 12 if self.count < 4085 else 16
        self.table = self._at(self.fat_at, self.fat_size)

    def _at(self, offset: int, size: int) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def entry(self, cluster: int) -> int:
        """A table entry without reserved bits."""
        if self.bits == 12:
            value = int.from_bytes(self.table[cluster * 3 // 2 : cluster * 3 // 2 + 2], "little")
            return value >> 4 if cluster & 1 else value & 0xFFF
        step = self.bits // 8
        return int.from_bytes(self.table[cluster * step : cluster * step + step], "little") & 0x0FFFFFFF

    def chain(self, cluster: int) -> tuple[int, ...]:
        """The clusters of a file."""
        found = []
        while 0 < cluster < (1 << min(self.bits, 28)) - 9:
            found.append(cluster)
            assert len(found) <= self.count, f"the chain from {found[0]} runs in a loop"
            cluster = self.entry(cluster)
        return tuple(found)

    def offset(self, cluster: int) -> int:
        """Where a cluster is."""
        return self.data_at + (cluster - 2) * self.size

    def content(self, clusters: tuple[int, ...]) -> bytes:
        """Everything in the clusters."""
        return b"".join(self._at(self.offset(cluster), self.size) for cluster in clusters)

    def everything(self) -> dict[str, Found]:
        """All files and directories by the path of their short names, the bad clusters as ``bad``."""
        first = 0 if self.bits < 32 else self.root
        data = self._at(self.root_at, self.root_size) if self.bits < 32 else self.content(self.chain(self.root))
        return dict(self._below("", data, 0, first))

    def _below(self, path: str, data: bytes, own: int, above: int) -> Iterator[tuple[str, Found]]:
        slots = b""
        for at in range(0, len(data), 32):
            slot = data[at : at + 32]
            if slot[0] == 0:
                break
            if slot[0] == 0xE5:
                continue
            slots += slot
            if slot[11] == 0x0F:
                continue
            high, low = struct.unpack_from("<H4xH", slot, 20)
            cluster = low | (high << 16 if self.bits == 32 else 0)
            name = f"{path}/{slot[:11].decode('cp850')}"
            masked = slots[:-32] + slot[:20] + bytes(2) + slot[22:26] + bytes(2) + slot[28:]
            slots = b""
            if slot[0] == ord("."):
                expected = own if slot[1] == ord(" ") else above
                assert cluster == expected, f"{name} leads to {cluster}, not {expected}"
                yield name, Found(masked, "", ())
            elif slot[11] & 8:
                yield name, Found(masked, "", ())
            else:
                yield from self._entry(name, masked, cluster, own, directory=bool(slot[11] & 16))

    def _entry(
        self, name: str, masked: bytes, cluster: int, own: int, *, directory: bool
    ) -> Iterator[tuple[str, Found]]:
        clusters = self.chain(cluster)
        data = self.content(clusters)
        size = int.from_bytes(masked[-4:], "little")
        digest = "" if directory else hashlib.sha256(data[:size]).hexdigest()
        assert directory or len(clusters) == -(-size // self.size), f"{name}: {len(clusters)} clusters for {size} bytes"
        yield name, Found(masked, digest, clusters)
        if directory:
            yield from self._below(name, data, cluster, own)


def possessions(path: Path) -> dict[str, tuple[bytes, str]]:
    """What the user has: every slot but for the first clusters, and the content of every file."""
    found = PlainReader(path).everything()
    return {name: (what.slots, what.content) for name, what in found.items() if not name.startswith("/INPART~1")}


def spread(path: Path, seed: int = 1) -> dict[str, bytes]:
    """Put files into the last half of a partition, delete half of them at random, and add fragmented ones."""
    chance, size = random.Random(seed), min(path.stat().st_size, 48 * MIB)
    if path.stat().st_size == size:
        copy_in(path, {"/filler": bytes(size // 2)})
    else:
        start_search_at(path, 0.6)
    kinds = [f"/Directory {'ABC'[n % 3]}/sub {n % 7}/File {n:03}.data" for n in range(60)]
    names = [name if n % 4 != 3 else f"/f{n}.txt" for n, name in enumerate(kinds)]
    files = {name: chance.randbytes(chance.randrange(1, min(size // 100, MIB // 4))) for name in names}
    copy_in(path, files)
    gone = chance.sample(names, 30)
    delete(path, *gone)
    if path.stat().st_size == size:
        delete(path, "/filler")
    more = {f"/Big & fragmented {n}": chance.randbytes(size // 20) for n in range(2)} | {"/sub/e/m/p/t/y": b""}
    copy_in(path, more)
    return {name: content for name, content in files.items() if name not in gone} | more


def start_search_at(path: Path, share: float) -> None:
    """Let FSInfo say that free clusters begin at a share of the partition."""
    count = PlainReader(path).count
    patch(path, _fsinfo(path) + 492, struct.pack("<I", int(count * share)))


def fsinfo(path: Path) -> tuple[int, int]:
    """The counters of FSInfo: free clusters, next free cluster."""
    with open(path, "rb") as file:
        file.seek(_fsinfo(path) + 488)
        free, following = struct.unpack("<II", file.read(8))
    return free, following


def _fsinfo(path: Path) -> int:
    with open(path, "rb") as file:
        boot = file.read(512)
    number, size = struct.unpack_from("<H", boot, 48) + struct.unpack_from("<H", boot, 11)
    return int(number * size)


def patch(path: Path, offset: int, data: bytes) -> None:
    """Write bytes into a file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def unmirror(path: Path) -> None:
    """Make the second table the active one and let the first one grow stale."""
    patch(path, 40, b"\x81\0")
    patch(path, 6 * 512 + 40, b"\x81\0")


def judge(path: Path) -> Judgement:
    """fsck.fat -n; it does not know inactive mirroring, so it is shown a copy whose first table is the active one."""
    reader = PlainReader(path)
    if reader.fat_at == reader.root_at - reader.fat_size * 2 or reader.bits < 32:
        return fsck(path)
    shown = path.with_name("shown.img")
    shown.write_bytes(path.read_bytes())
    patch(shown, reader.fat_at - reader.fat_size, reader.table)
    patch(shown, 40, b"\0\0")
    patch(shown, 6 * 512 + 40, b"\0\0")
    judgement = fsck(shown)
    shown.unlink()
    return judgement


def prepared(recipe: Recipe, path: Path) -> Path:
    """A partition of a recipe with files all over it."""
    make_partition(path, recipe)
    spread(path)
    if recipe.name.endswith("not-mirrored"):
        unmirror(path)
    return path


def edited(path: Path, change: Callable[[FatEditor, Edits], T], **limits: int) -> T:
    """Commit one change; ``limits`` are those of the transaction."""
    with FileVolume(path, Access.WRITE) as volume:
        tx = Transaction(volume, **limits)
        result = change(FatEditor(tx.view), tx)
        tx.commit(None)
    return result
