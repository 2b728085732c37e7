"""Memory does not grow with the number of clusters: a partition of 2 TB, edited, below a fixed bound."""

from __future__ import annotations

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
