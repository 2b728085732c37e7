"""Maps: judged by bmaptool and ddrescuelog; the picture against counts in plain Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.extents import Extents
from inpart.operations.map import Layer, draw, map_bmap, map_ddrescue, map_json
from inpart.testing.tools import run

SIZE = (8 << 20) + 1536
USED = Extents([(0, 1536), (4096, 8192), (100_000, 100_001), (1 << 20, 3 << 20), (SIZE - 600, SIZE)])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(np.random.default_rng(7).integers(1, 256, SIZE, dtype=np.uint8).tobytes())
    return path


def test_json_has_the_keys_of_the_contract() -> None:
    found = json.loads("".join(map_json(USED, SIZE, 'odd "name"')))
    assert found["unit"] == 1
    assert found["used"] == [[start, end - start] for start, end in USED]
    assert (found["size"], found["used_bytes"], found["filesystem"]) == (SIZE, USED.total, 'odd "name"')
    assert json.loads("".join(map_json(Extents(), 0, "")))["used"] == []


def test_bmaptool_copies_the_used_blocks_and_nothing_else(image: Path, tmp_path: Path) -> None:
    bmap, copy = tmp_path / "image.bmap", tmp_path / "copy"
    bmap.write_text("".join(map_bmap(USED, SIZE)))
    run("bmaptool", "copy", "--bmap", bmap, image, copy)
    wanted = bytearray(SIZE)
    for start, end in USED.align_out(4096).clip(0, SIZE):
        wanted[start:end] = image.read_bytes()[start:end]
    assert copy.read_bytes() == wanted
    bmap.write_text(bmap.read_text().replace("<Range> 0-1 </Range>", "<Range> 0-2 </Range>"))
    with pytest.raises(AssertionError, match="bmaptool"):
        run("bmaptool", "copy", "--bmap", bmap, image, tmp_path / "other")


def test_ddrescuelog_reads_the_mapfile(tmp_path: Path) -> None:
    path = tmp_path / "map"
    size = 110_000
    path.write_text("".join(map_ddrescue(USED, size)))
    run("ddrescuelog", "--show-status", path)
    listed = run("ddrescuelog", "--block-size=1", "--list-blocks=+", path).split()
    assert Extents.from_starts(np.array(listed, dtype=np.int64), 1) == USED.clip(0, size)
    left = run("ddrescuelog", "--block-size=1", "--list-blocks=?", path).split()
    assert Extents.from_starts(np.array(left, dtype=np.int64), 1) == USED.complement(0, size)


def test_ddrescue_takes_the_map_for_its_domain(image: Path, tmp_path: Path) -> None:
    domain, copy = tmp_path / "map", tmp_path / "copy"
    domain.write_text("".join(map_ddrescue(USED, SIZE)))
    run("ddrescue", "--sector-size=1", f"--domain-mapfile={domain}", image, copy)
    wanted = bytearray(SIZE)
    for start, end in USED:
        wanted[start:end] = image.read_bytes()[start:end]
    assert copy.read_bytes() == wanted


def test_a_map_of_very_many_runs_comes_in_pieces() -> None:
    used = Extents.from_starts(np.arange(200_000, dtype=np.int64) * 8192, 4096)
    for pieces in (map_json(used, 1 << 34, "x"), map_ddrescue(used, 1 << 34), map_bmap(used, 1 << 34)):
        assert max(len(piece) for piece in pieces) < 1 << 20


runs = st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 60_000)), max_size=8).map(Extents)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(runs, runs, runs, st.integers(1, 60_000), st.integers(1, 30), st.integers(1, 6))
def test_the_picture_counts_right(
    used: Extents, system: Extents, bad: Extents, size: int, columns: int, lines: int
) -> None:
    used, system, bad = used.clip(0, size), system.clip(0, size), bad.clip(0, size)
    layers = {Layer.USED: used - system - bad, Layer.SYSTEM: system - bad, Layer.BAD: bad}
    picture = draw(layers, size, columns=columns, lines=lines)
    rows = picture.rows()
    assert len(rows) <= lines
    assert all(len(row) <= columns for row in rows)
    assert sum(len(row) for row in rows) == len(picture.layers) == -(-size // picture.cell)
    for index, share in enumerate(picture.shares.tolist()):
        low, high = index * picture.cell, min((index + 1) * picture.cell, size)
        filled = {layer: extents.clip(low, high).total for layer, extents in layers.items()}
        assert share == pytest.approx(sum(filled.values()) / (high - low))
        shown = picture.layers[index]
        assert (shown is Layer.FREE) == (not any(filled.values()))
        assert (shown is Layer.BAD) == (filled[Layer.BAD] > 0)
        assert shown in {Layer.FREE, Layer.BAD} or filled[shown] == max(filled.values())
        assert (picture.glyph(index) == " ") == (shown is Layer.FREE)
    totals = {line.layer: line.total for line in picture.legend}
    assert totals.get(Layer.FREE, 0) == size - (used | system | bad).total
    assert sum(totals.values()) == size


def test_the_picture_of_a_small_disk() -> None:
    layers = {
        Layer.USED: Extents.span(8192, 8192 + 1024),
        Layer.SYSTEM: Extents.span(0, 4096),
        Layer.CONTAINER: Extents.span(32768, 40960),
        Layer.BAD: Extents.span(20480, 20992),
    }
    picture = draw(layers, 40960, columns=10, lines=1)
    assert picture.rows() == ["S ▒  B  II"]
    assert [str(line) for line in picture.legend] == [
        " ' ' free: 26.5 KiB",
        " '█' files: 1.00 KiB",
        " 'S' system areas: 4.00 KiB",
        " 'I' images: 8.00 KiB",
        " 'B' bad: 512 B",
    ]


def test_the_picture_of_a_million_runs() -> None:
    used = Extents.from_starts(np.arange(1_000_000, dtype=np.int64) * 8192, 4096)
    picture = draw({Layer.USED: used}, 1_000_000 * 8192, columns=200, lines=50)
    assert set("".join(picture.rows())) == {"▓"}
