"""Where an anchor may live in ext: never over a boot loader, and in nobody's way."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from extmaker import e2fsck, mounted
from inpart.contracts import Verdict
from inpart.extents import Extents
from inpart.testing.tools import run
from inpart.units import KIB, MIB
from inpart.volume import FileVolume, MemoryVolume
from inpart_ext.plugin import inpart_filesystems

PROVIDER = inpart_filesystems()[0]
BOOT = (0, KIB)


def partition(folder: Path, block: int) -> Path:
    path = folder / "partition.img"
    with path.open("wb") as file:
        file.truncate(8 * MIB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(block), path)
    return path


def places(path: Path, **patches: bytes) -> Extents:
    """What is offered when ``at_N=bytes`` stand at byte N."""
    disk = MemoryVolume(path.read_bytes())
    for name, data in patches.items():
        disk.write(int(name.removeprefix("at_")), data)
    assert PROVIDER.probe(disk).verdict is Verdict.MINE
    return PROVIDER.open(disk).reserved_places()


@pytest.mark.parametrize(("block", "tail"), [(1024, 0), (2048, 0), (4096, 2 * KIB)])
def test_the_boot_block_and_what_is_left_of_block_0(tmp_path: Path, block: int, tail: int) -> None:
    path = partition(tmp_path, block)
    behind = Extents.span(2 * KIB, 2 * KIB + tail)
    assert places(path) == Extents([BOOT]) | behind
    loader = b"\xeb\x63\x90" + bytes(507) + b"\x55\xaa"
    assert places(path, at_0=loader) == behind
    assert places(path, at_512=b"\x01") == behind
    if tail:
        assert places(path, at_4095=b"\x01") == Extents([BOOT])


@pytest.mark.parametrize("block", [1024, 2048, 4096])
def test_noise_there_is_in_nobodys_way(tmp_path: Path, block: int) -> None:
    """The kernel writes the superblock in the same block; so do resize2fs and tune2fs, and e2fsck looks at it."""
    path = partition(tmp_path, block)
    before = places(path)
    with path.open("r+b") as file:
        for start, end in before:
            file.seek(start)
            file.write(random.Random(start).randbytes(end - start))
    noise = path.read_bytes()[: max(block, KIB)]
    assert e2fsck(path) == []
    with mounted(path) as folder:
        (folder / "file").write_bytes(b"content")
    run("e2fsck", "-fy", path)  # resize2fs wants one since the last mount
    run("resize2fs", path, "6M")
    run("tune2fs", "-L", "named", path)
    run("e2fsck", "-fy", path)
    assert e2fsck(path) == []
    with FileVolume(path) as volume:
        for start, end in before:
            assert volume.read(start, end - start) == noise[start:end]
        assert PROVIDER.probe(volume).verdict is Verdict.MINE
        assert PROVIDER.open(volume).reserved_places() == Extents()
