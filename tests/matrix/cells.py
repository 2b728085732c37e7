"""Running cells: damage a copy of the column's disk, bring it back, and let the reference tools judge."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from inpart.errors import InpartError
from inpart.operations.images import list_images
from inpart.operations.session import Session
from inpart.operations.stores import EVERY
from inpart.partitions import read_table
from inpart.volume import FileVolume

from matrix.damages import DAMAGES, Damage
from matrix.grounds import COLUMNS, NEWER, OLDER, TABLES, Column, Ground, loaded, make_ground, take
from matrix.kinds import KINDS, Facts
from matrix.rescue import Rescue, rescue

ALL, PARTLY, NOTHING, WRONG = "all", "partly", "nothing", "WRONG"
MEMORY = Path("/dev/shm")  # noqa: S108 - every name below it is made by tempfile
SCRATCH = MEMORY if MEMORY.is_dir() else None
"""Where disks are made: the flushes of a slow disk would be most of what is measured."""


@dataclass(frozen=True)
class Cell:
    """What came back: a verdict, the way of locating, how the restore was asked for, seconds, and what is missing."""

    damage: str
    column: Column
    verdict: str
    method: str
    how: str
    seconds: float
    files: int
    expected: int
    why: str


def cells_of(column: Column) -> Iterator[Damage]:
    """The damages that a column can suffer."""
    return (damage for damage in DAMAGES if damage.applies(column.kind, column.layout))


def all_cells() -> list[tuple[Column, Damage]]:
    """Every cell of the matrix."""
    return [(column, damage) for column in COLUMNS for damage in cells_of(column)]


def run_column(column: Column, only: Collection[str] = (), note: Callable[[Cell], None] | None = None) -> list[Cell]:
    """Run the cells of a column, or those of the damages named in ``only``; ``note`` is told of each at once."""
    chosen = [damage for damage in cells_of(column) if not only or damage.name in only]
    with tempfile.TemporaryDirectory(prefix=f"inpart-matrix-{column}-", dir=SCRATCH) as folder:
        where = Path(folder)
        kind = next(kind for kind in KINDS if kind.name == column.kind)
        kind.make(where / "base")
        cells: list[Cell] = []
        for table in TABLES:
            damages = [damage for damage in chosen if damage.table == table]
            if damages:
                ground = make_ground(column, table, where, where / "base")
                for damage in damages:
                    cells.append(run_cell(ground, damage))
                    if note:
                        note(cells[-1])
        return cells


def run_cell(ground: Ground, damage: Damage) -> Cell:
    """Run one cell on a copy of its ground."""
    with tempfile.TemporaryDirectory(prefix="cell-", dir=ground.path.parent) as folder:
        wrecked = damage.apply(ground.copied(Path(folder) / "disk.img"))
        done = rescue(wrecked, older=damage.older)
        return _judged(wrecked, damage, done)


def _judged(ground: Ground, damage: Damage, done: Rescue) -> Cell:
    """Compare with the files that the image holds; all means files, checker, images and the partition's entry."""
    report = done.report
    wanted = OLDER if damage.older else NEWER
    expected = ground.older if OLDER in {wanted, report.name if report else wanted} else ground.newer
    if report is None:
        why = done.refusals[-1] if done.refusals else "nothing was tried"
        return _cell(ground, damage, done, NOTHING, 0, len(expected), why)
    part = ground.path.with_suffix(".part")
    take(ground.path, ground.start, ground.kind.size, part)
    complaints = ground.kind.complaints(part)
    found = ground.kind.facts(part)
    same = sum(found.get(name) == fact for name, fact in expected.items())
    wrong = [] if report.lost_bytes else _differences(expected, found) + complaints + _unsaid(done, wanted)
    missing = list(wrong)
    if report.lost_bytes:
        missing.append(_lost(done, complaints))
        missing += _unnamed(expected, found, report.affected)
        verdict = PARTLY if same else NOTHING
    else:
        verdict = WRONG if wrong else ALL
        missing += _forgotten(ground) + _instead(done, wanted)
        verdict = PARTLY if missing and not wrong else verdict
    return _cell(ground, damage, done, verdict, same, len(expected), "; ".join(missing[:4]))


def _cell(ground: Ground, damage: Damage, done: Rescue, verdict: str, files: int, expected: int, why: str) -> Cell:
    method = done.report.method if done.report else ""
    return Cell(
        damage.name, ground.column, verdict, method, done.how, done.seconds, files, expected,
        why.replace(str(ground.path), "DISK"),
    )  # fmt: skip


def _lost(done: Rescue, complaints: list[str]) -> str:
    assert done.report is not None
    checker = f", the checker complains {len(complaints)} times" if complaints else ""
    return f"{done.refusals[0]}; with --allow-incomplete {done.report.lost_bytes} bytes are lost and named{checker}"


def _instead(done: Rescue, wanted: str) -> list[str]:
    """The warning that another image was restored than the one that was wanted."""
    return [warning for warning in done.warnings if done.report and done.report.name != wanted and wanted in warning]


def _unsaid(done: Rescue, wanted: str) -> list[str]:
    """Another image was restored, and nothing said so."""
    other = done.report is not None and done.report.name != wanted
    return ["another image was restored without a word"] if other and not _instead(done, wanted) else []


def _differences(expected: Facts, found: Facts) -> list[str]:
    """Files that are not as they were, and files that were not there."""
    changed = [f"{name} differs" for name, fact in expected.items() if found.get(name) != fact]
    return changed + [f"{name} is new" for name in found if name not in expected]


def _unnamed(expected: Facts, found: Facts, affected: tuple[str, ...]) -> list[str]:
    """Files with other bytes than in the image that the report of an incomplete restore does not name."""
    if not all(one.startswith("/") for one in affected):
        return []  # a system area is lost, and with it whole files and directories
    return [
        f"{name} differs and is not named"
        for name in found.keys() & expected.keys()
        if found[name] != expected[name] and not any(name.startswith(one) or one.startswith(name) for one in affected)
    ]


def _forgotten(ground: Ground) -> list[str]:
    """What is missing beside the file system: images that are not there any more, the entry of the partition."""
    faults = []
    with FileVolume(ground.path) as disk:
        try:
            table = read_table(disk)
            entry = table.starting_at(ground.start) if table else None
        except InpartError as error:
            return [f"the table: {error.message}"]
    if entry is None:
        faults.append("the partition's entry is not back")
    try:
        rows = list_images(Session(loaded()), f"{ground.path}@{ground.start}", EVERY).images
    except InpartError as error:
        return [*faults, f"images: {error.message}"]
    kept = {row.name for row in rows}
    gone = [name for name in (OLDER, NEWER) if name not in kept]
    return faults + [f"image {name} is not kept" for name in gone]
