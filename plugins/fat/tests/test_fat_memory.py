"""Memory does not grow with the number of clusters: of a partition of 2 TB, of files that take millions of them."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from fatmaker import Recipe, copy_in, fsck, make_partition
from inpart.contracts import Claim
from inpart.extents import Extents, Runs
from inpart.transaction import Transaction
from inpart.units import MIB
from inpart.volume import Access, FileVolume
from inpart_fat.editor.editor import FatEditor

HUGE = Recipe("fat32-huge", 2_000_000 * MIB, ("-F32", "-s128"))
"""32 million clusters, a table of 122 MiB."""

LIMIT = 96 * MIB


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_partition(tmp_path_factory.mktemp("huge") / "partition.img", HUGE)
    copy_in(path, {f"/dir/file {number}.bin": b"x" * 3 * MIB for number in range(8)})
    return path


@pytest.fixture
def measured() -> Iterator[None]:
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < LIMIT


@pytest.mark.usefixtures("measured")
def test_files_are_moved_claimed_and_released(huge: Path) -> None:
    with FileVolume(huge, Access.WRITE) as volume:
        editor = FatEditor(volume)
        size, start, end = editor.info.cluster_size, editor.info.data_start, editor.info.data_end
        region = Extents.span(start, start + 200 * size)
        tx = Transaction(volume)
        moved = FatEditor(tx.view).vacate(region, tx, avoid=Extents())
        assert (moved.moved > 100 * size, moved.remaining) == (True, 0)
        tx.commit(None)
        tx = Transaction(volume)
        claim = Claim("a", Runs(((end - 4096 * size, 4000 * size),)), 4000 * size)
        FatEditor(tx.view).claim([claim], tx, directory=Runs(((end - size, size),)))
        assert FatEditor(tx.view).claims() == (claim,)
        tx.commit(None)
        assert not list(FatEditor(volume).check())
    assert not fsck(huge).complaints
    with FileVolume(huge, Access.WRITE) as volume:
        tx = Transaction(volume)
        FatEditor(tx.view).release(["a"], tx)
        tx.commit(None)
    assert not fsck(huge).complaints


MILLIONS = """
import sys
from inpart.contracts import Claim
from inpart.extents import Extents, Runs
from inpart.transaction import Transaction
from inpart.volume import FileVolume
from inpart_fat.editor.editor import FatEditor

def peak():
    # ru_maxrss would begin with the size of the process that started this one
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) >> 10

volume = FileVolume(sys.argv[1])
before, start = peak(), FatEditor(volume).info.data_start + (1 << 20)
tx = Transaction(volume)
size = 2000 << 20
claims = [Claim(f"file{number}", Runs(((start + number * size, size),)), size) for number in range(3)]
FatEditor(tx.view).claim(claims, tx, directory=Runs())
assert FatEditor(tx.view).allocated().covers(Extents.span(start, start + 3 * size))
print(peak() - before)
"""


def test_files_of_millions_of_clusters(tmp_path: Path) -> None:
    """12 million entries change in each of two tables, 98 MB: create and restore hold such edits beside their buffers.

    This is what seven images on a partition of 8 GiB with clusters of 512 bytes amount to.
    """
    path = make_partition(tmp_path / "partition.img", Recipe("fat32-small-clusters", 8192 * MIB, ("-F32", "-s1")))
    command = [sys.executable, "-c", MILLIONS, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) < 96
