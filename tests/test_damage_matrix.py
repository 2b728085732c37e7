"""The damage matrix: what is promised comes back whole, and what does not come back is never passed off as right."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from matrix.cells import ALL, PARTLY, WRONG, Cell, all_cells, run_column
from matrix.damages import DAMAGES, area_name
from matrix.grounds import COLUMNS, Column, make_ground
from matrix.kinds import KINDS, Kind
from matrix.report import markdown

PROMISED = {(damage.name, layout) for damage in DAMAGES for layout in damage.promised}
SAMPLE_SEED, SAMPLE_CELLS = 4, 24


def sampled() -> dict[Column, list[str]]:
    """Some damages for some columns: each file system and both layouts are among them."""
    chance = random.Random(SAMPLE_SEED)
    columns = [chance.choice([column for column in COLUMNS if column.kind == kind.name]) for kind in KINDS]
    columns.append(Column("fat32", "blocks", "reserved"))
    cells = [(column, damage.name) for column, damage in all_cells() if column in columns]
    chosen: dict[Column, list[str]] = defaultdict(list)
    for column, name in chance.sample(cells, SAMPLE_CELLS):
        chosen[column].append(name)
    return chosen


SAMPLE = sampled()


def judge(cells: list[Cell]) -> None:
    assert [cell for cell in cells if cell.verdict == WRONG] == []
    assert [cell for cell in cells if (cell.damage, cell.column.layout) in PROMISED and cell.verdict != ALL] == []
    assert all(cell.why for cell in cells if cell.verdict != ALL)


@pytest.mark.parametrize("column", SAMPLE, ids=str)
def test_sample_comes_back(column: Column) -> None:
    names = SAMPLE[column]
    cells = run_column(column, names)
    assert {cell.damage for cell in cells} == set(names)
    judge(cells)
    text = markdown(cells)
    assert all(f"| {name} | " in text for name in names)


def test_a_damaged_image_that_is_passed_over_is_named() -> None:
    (cell,) = run_column(
        Column("fat12", "blocks", "none"), ["newest of two images overwritten in part; none asked for"]
    )
    assert (cell.verdict, cell.files) == (PARTLY, cell.expected)
    assert "'mine' is damaged; 'factory-1' is used instead" in cell.why


@pytest.mark.exhaustive
@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_every_cell_comes_back(column: Column) -> None:
    judge(run_column(column))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_system_area_has_a_row(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp(kind.name)
    kind.make(folder / "base")
    ground = make_ground(Column(kind.name, "contiguous", "none"), "mbr", folder, folder / "base")
    rows = {damage.name for damage in DAMAGES if damage.applies(kind.name, "contiguous")}
    names = {area_name(area.name) for area in ground.areas}
    assert {row for row in rows if row.startswith("`") and row.endswith("` zeroed")} == {
        f"`{name}` zeroed" for name in names
    }
