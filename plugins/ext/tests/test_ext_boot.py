"""A cut that nobody resumes: what a system does that boots, ``e2fsck -p``, mends all of it without asking."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from extediting import snapshot
from extmaker import Recipe, e2fsck, ext, make_filled
from inpart.contracts import Claim, Edits, State
from inpart.extents import Extents, Runs
from inpart.testing.powercut import Sample, run_power_cuts
from inpart.testing.tools import run
from inpart.transaction import Transaction
from inpart.volume import MemoryVolume, Volume
from inpart_ext.editor import ExtEditor

KINDS = {
    recipe.name: recipe
    for recipe in (
        ext("ext2", "-t ext2 -b 1024", 6),
        ext("ext3", "-t ext3 -b 1024", 8),
        ext("ext4", "-t ext4 -b 1024 -g 2048", 10),
        ext("uninit-bg", "-t ext4 -b 1024 -g 1024 -O ^metadata_csum,uninit_bg,^has_journal", 8),
    )
}
SAMPLE = 5

Change = Callable[[ExtEditor, Edits], object]


def free_runs(volume: Volume, count: int, blocks: int) -> list[Runs]:
    """So many paths of so many free blocks, of two pieces each, from the end of the file system downward."""
    filesystem = ExtEditor(volume)
    pieces = filesystem.free().split(blocks // 2 * filesystem.info.cluster_size)
    whole = pieces[pieces[:, 1] - pieces[:, 0] == blocks // 2 * filesystem.info.cluster_size][::-1]
    starts = whole[: 2 * count].tolist()
    rows = [(start, end - start) for start, end in starts]
    return [Runs(rows[index : index + 2]) for index in range(0, 2 * count, 2)]


def first_image(volume: Volume) -> Change:
    runs = free_runs(volume, 2, 40)
    claims = [Claim(name, part, part.total) for name, part in zip(("a.ipi", "toc_end"), runs, strict=True)]
    return lambda editor, tx: editor.claim(claims, tx, directory=Runs())


def second_image(volume: Volume) -> Change:
    """The blocks of a file pass to a new one, as those of ``toc_begin`` do."""
    found = {one.name: one for one in ExtEditor(volume).claims()}
    table = found["toc_end"]
    fresh = free_runs(volume, 2, 30)
    claims = [
        found["a.ipi"],
        Claim("inter1", table.runs, table.size),
        Claim("toc_end", fresh[0], fresh[0].total),
        Claim("b.ipi", fresh[1], fresh[1].total - 5),
    ]
    return lambda editor, tx: editor.claim(claims, tx, directory=Runs())


def one_goes(volume: Volume) -> Change:
    return lambda editor, tx: editor.release(["a.ipi"], tx)


def all_go(volume: Volume) -> Change:
    return lambda editor, tx: editor.release(["a.ipi", "toc_end"], tx)


def files_move(volume: Volume) -> Change:
    filesystem = ExtEditor(volume)
    used = (filesystem.allocated() - filesystem.immovable()).clip(filesystem.info.data_start + 1024, volume.size)
    region = Extents.span(used.start, used.start + used.total // 3)
    return lambda editor, tx: editor.vacate(region, tx, avoid=region)


CHANGES = (first_image, second_image, one_goes, all_go, files_move)


def apply(volume: Volume, change: Change) -> None:
    tx = Transaction(volume)
    change(ExtEditor(tx.view), tx)
    tx.commit(None)


def boot(path: Path) -> int:
    """What a system does before it mounts."""
    return subprocess.run(["e2fsck", "-p", path], check=False, capture_output=True).returncode


def prepared(folder: Path, recipe: Recipe, change: Callable[[Volume], Change]) -> bytes:
    """A file system, with two files in ``/.inpart`` where the change needs them."""
    path = folder / "p.img"
    make_filled(path, recipe, entries=30)
    volume = MemoryVolume(path.read_bytes())
    if change not in (first_image, files_move):
        apply(volume, first_image(volume))
    return bytes(volume.data)


@pytest.mark.parametrize("sample", [Sample(SAMPLE), pytest.param(None, marks=pytest.mark.exhaustive, id="all")])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_boot_mends_what_a_cut_left(
    tmp_path: Path, change: Callable[[Volume], Change], kind: str, sample: Sample | None
) -> None:
    before = prepared(tmp_path, KINDS[kind], change)
    path = tmp_path / "cut.img"
    path.write_bytes(before)
    files = snapshot(path)
    mended: list[int] = []

    def check(disk: MemoryVolume) -> None:
        path.write_bytes(disk.data)
        mended.append(boot(path))
        assert mended[-1] in (0, 1), run("e2fsck", "-fn", path, check=False)
        assert e2fsck(path) == []
        assert snapshot(path) == files
        volume = MemoryVolume(path.read_bytes())
        assert ExtEditor(volume).info.state is State.CLEAN
        names = [claim.name for claim in ExtEditor(volume).claims()]
        if names:
            apply(volume, lambda editor, tx: editor.release(names, tx))
        apply(volume, first_image(volume))
        path.write_bytes(volume.data)
        assert e2fsck(path) == []

    action = change(MemoryVolume(before))
    run_power_cuts(lambda: MemoryVolume(before), lambda volume: apply(volume, action), check, sample or "all", torn=3)
    assert sample or 1 in mended


def test_the_mark_stands_from_the_first_edit_to_the_last(tmp_path: Path) -> None:
    """Also with metadata_csum: its checksum of the superblock holds at every cut, else nothing would mount."""
    before = prepared(tmp_path, KINDS["ext4"], first_image)
    action = first_image(MemoryVolume(before))
    states: list[State] = []
    run_power_cuts(
        lambda: MemoryVolume(before),
        lambda volume: apply(volume, action),
        lambda disk: states.append(ExtEditor(disk).info.state),
        torn=0,
    )
    last = len(states) - 1
    marked = [index for index, state in enumerate(states) if state is State.DIRTY]
    assert marked == list(range(marked[0], last))
    assert states[0] is states[last] is State.CLEAN
