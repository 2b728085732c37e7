"""The file systems of the matrix: made and filled by their own tools, and judged by them."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import extmaker
import fatmaker
import ntfsjudge
import ntfsmaker
from extediting import snapshot
from fatwrecks import contents
from inpart.units import MIB

Facts = Mapping[str, object]
"""What must be as it was, by path."""


@dataclass(frozen=True)
class Kind(ABC):
    """A file system by ``name``, the ``size`` of its partition in bytes, and the options of its mkfs."""

    name: str
    size: int
    options: tuple[str, ...]
    mbr_type: str

    @abstractmethod
    def make(self, path: Path) -> None:
        """Make a new file ``path`` of ``size`` bytes with a filled file system."""

    @abstractmethod
    def add(self, path: Path) -> None:
        """Put one more file into the file system."""

    @abstractmethod
    def facts(self, path: Path) -> Facts:
        """All files but ours, as the reference tool reads them; nothing where it cannot read any."""

    @abstractmethod
    def complaints(self, path: Path) -> list[str]:
        """What the reference checker says without changing anything."""

    @abstractmethod
    def format(self, path: Path) -> None:
        """A quick format of the same kind that does not discard."""

    @abstractmethod
    def remove_hidden(self, path: Path) -> None:
        """Delete ``/.inpart`` and all in it, as somebody would by hand."""


class Fat(Kind):
    """mkfs.fat, mtools and fsck.fat."""

    def make(self, path: Path) -> None:
        fatmaker.make_partition(path, fatmaker.Recipe(self.name, self.size, self.options))
        fatmaker.fill(path)
        fatmaker.copy_in(path, {"/does not compress.bin": random.Random(self.name).randbytes(self.size // 10)})

    def add(self, path: Path) -> None:
        fatmaker.copy_in(path, {"/added after the first image.bin": bytes(range(256)) * 700})

    def facts(self, path: Path) -> Facts:
        with tempfile.TemporaryDirectory(prefix="inpart-matrix-") as folder:
            try:
                return contents(path, Path(folder) / "out")
            except subprocess.CalledProcessError:
                return {}

    def complaints(self, path: Path) -> list[str]:
        judged = fatmaker.fsck(path)
        return [*judged.complaints] or ([] if judged.files >= 0 else ["fsck.fat gives up"])

    def format(self, path: Path) -> None:
        extmaker.run("mkfs.fat", *self.options, path)

    def remove_hidden(self, path: Path) -> None:
        fatmaker.set_attributes(path, "-r", "/.inpart/*")
        for name in ("/.inpart/*", "/.inpart"):
            fatmaker.set_attributes(path, "-h", name)
            fatmaker.set_attributes(path, "-s", name)
        extmaker.run("mdeltree", "-i", path, "::/.inpart")


class Ext(Kind):
    """mke2fs, the kernel, e2fsck and debugfs."""

    def make(self, path: Path) -> None:
        extmaker.make_filled(path, extmaker.Recipe(self.name, self.options, self.size), entries=40)

    def add(self, path: Path) -> None:
        with extmaker.mounted(path) as root:
            (root / "added after the first image.bin").write_bytes(bytes(range(256)) * 700)

    def facts(self, path: Path) -> Facts:
        try:
            return snapshot(path)
        except (AssertionError, OSError):
            return {}

    def complaints(self, path: Path) -> list[str]:
        return extmaker.e2fsck(path)

    def format(self, path: Path) -> None:
        extmaker.run("mke2fs", "-q", "-F", "-E", "nodiscard", *self.options, path)

    def remove_hidden(self, path: Path) -> None:
        listed = extmaker.debugfs(path, "ls -p /.inpart").splitlines()
        names = [line.split("/")[5] for line in listed if line.count("/") >= 6]
        ours = [name for name in names if name not in {".", ".."}]
        extmaker.debugfs(path, *(f'rm "/.inpart/{name}"' for name in ours), "rmdir /.inpart")


class Ntfs(Kind):
    """mkntfs, ntfs-3g, ntfsfix, ntfsinfo and ntfsresize."""

    def make(self, path: Path) -> None:
        ntfsmaker.make_filled(path, ntfsmaker.Recipe(self.name, size=self.size, entries=40, pieces=60))

    def add(self, path: Path) -> None:
        with ntfsjudge.mounted(path) as root:
            (root / "added after the first image.bin").write_bytes(bytes(range(256)) * 700)

    def facts(self, path: Path) -> Facts:
        try:
            return ntfsjudge.snapshot(path)
        except (AssertionError, OSError):
            return {}

    def complaints(self, path: Path) -> list[str]:
        return ntfsjudge.judge(path)

    def format(self, path: Path) -> None:
        extmaker.run("mkntfs", "-q", "-F", *self.options, path)

    def remove_hidden(self, path: Path) -> None:
        with ntfsjudge.mounted(path) as root:
            shutil.rmtree(root / ntfsjudge.HIDDEN)


KINDS: tuple[Kind, ...] = (
    Fat("fat12", 8 * MIB, ("-F12", "-s4"), "1"),
    Fat("fat16", 16 * MIB, ("-F16", "-s2"), "e"),
    Fat("fat32", 36 * MIB, ("-F32", "-s1"), "c"),
    Ext("ext2", 16 * MIB, ("-t", "ext2", "-b", "1024"), "83"),
    Ext("ext4", 24 * MIB, ("-t", "ext4", "-b", "1024"), "83"),
    Ntfs("ntfs", 24 * MIB, ("-Q", "-c", "4096"), "7"),
)


def other_kind(kind: Kind) -> Kind:
    """A file system of the other family, for formats over ``kind``."""
    return (
        next(one for one in KINDS if one.name == "ext4")
        if isinstance(kind, Fat)
        else Fat("fat16", kind.size, ("-F16",), "e")
    )
