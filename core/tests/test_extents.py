"""Extents against Python sets, Runs against Python lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.extents import Extents, Runs, bit_edges

LIMIT = 120
pairs = st.lists(st.tuples(st.integers(0, LIMIT), st.integers(0, LIMIT)), max_size=12)
spans = st.tuples(st.integers(0, LIMIT), st.integers(0, LIMIT))
quick = settings(max_examples=150, deadline=None, derandomize=True)


def members(extents: Extents) -> set[int]:
    return {byte for start, end in extents for byte in range(start, end)}


def model(made: list[tuple[int, int]]) -> set[int]:
    return {byte for start, end in made for byte in range(start, end)}


def well_formed(extents: Extents) -> bool:
    flat = extents.array.ravel()
    return bool((np.diff(flat) > 0).all()) and not extents.array.flags.writeable


@quick
@given(pairs, pairs)
def test_set_operations_agree_with_sets(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    left, right = Extents(first), Extents(second)
    one, two = model(first), model(second)
    for made, wanted in ((left, one), (left | right, one | two), (left & right, one & two), (left - right, one - two)):
        assert members(made) == wanted
        assert well_formed(made)
        assert made.total == len(wanted)
        assert (made.start, made.end) == ((min(wanted), max(wanted) + 1) if wanted else (0, 0))
    assert left.covers(right) == (two <= one)
    assert (left == right) == (one == two)
    assert [left.contains(byte) for byte in range(LIMIT)] == [byte in one for byte in range(LIMIT)]


@quick
@given(pairs, spans, st.integers(1, 17))
def test_cuts_and_units_agree_with_sets(made: list[tuple[int, int]], span: tuple[int, int], unit: int) -> None:
    extents, wanted = Extents(made), model(made)
    inside = set(range(*span))
    units = range(0, LIMIT + unit, unit)
    full = {byte for at in units if set(range(at, at + unit)) <= wanted for byte in range(at, at + unit)}
    touched = {byte for at in units if set(range(at, at + unit)) & wanted for byte in range(at, at + unit)}
    for result, expected in (
        (extents.clip(*span), wanted & inside),
        (extents.complement(*span), inside - wanted),
        (extents.shift(unit), {byte + unit for byte in wanted}),
        (extents.align_in(unit), full),
        (extents.align_out(unit), touched),
        (Extents.from_mask(extents.to_mask(unit, len(units)), unit), touched),
    ):
        assert members(result) == expected
        assert well_formed(result)
    pieces = extents.split(unit).tolist()
    assert model([(start, end) for start, end in pieces]) == wanted
    assert all(start // unit == (end - 1) // unit for start, end in pieces)


@quick
@given(pairs, st.lists(st.tuples(st.integers(0, LIMIT), st.integers(1, 9)), max_size=8), st.integers(1, 17))
def test_rows_agree_with_sets(made: list[tuple[int, int]], runs: list[tuple[int, int]], unit: int) -> None:
    extents, wanted = Extents(made), model(made)
    rows = np.array(runs, dtype=np.int64).reshape(-1, 2)
    each = [set(range(start, start + length)) for start, length in runs]
    assert extents.touches(rows[:, 0], rows[:, 1]).tolist() == [bool(bytes_ & wanted) for bytes_ in each]
    assert members(Extents.from_rows(rows)) == set().union(*each)
    assert Extents.from_rows(extents.rows) == extents
    assert Extents.union([extents, *(Extents.from_rows(row[np.newaxis]) for row in rows)]) == (
        extents | Extents.from_rows(rows)
    )
    assert members(extents.in_units(unit)) == {byte // unit for byte in wanted}


def test_the_union_of_nothing_is_empty() -> None:
    assert Extents.union([]) == Extents()


@quick
@given(st.lists(st.booleans(), max_size=40), st.integers(1, 9), st.integers(0, 50))
def test_a_mask_survives_the_round_trip(mask: list[bool], unit: int, base: int) -> None:
    array = np.array(mask, dtype=np.bool_)
    extents = Extents.from_mask(array, unit, base)
    assert extents.to_mask(unit, len(mask), base).tolist() == mask
    assert members(extents) == {base + i * unit + j for i, used in enumerate(mask) if used for j in range(unit)}


@quick
@given(st.lists(st.lists(st.integers(0, 255), min_size=11, max_size=11), min_size=1, max_size=5))
def test_edges_of_bitmaps_agree_with_bits(rows: list[list[int]]) -> None:
    edges, per_row = bit_edges(np.array(rows, dtype=np.uint8))
    ones = {row * per_row + bit for row, data in enumerate(rows) for bit in range(88) if data[bit // 8] >> bit % 8 & 1}
    assert {bit for start, end in edges.reshape(-1, 2).tolist() for bit in range(start, end)} == ones
    assert (np.diff(edges) > 0).all()


def test_a_cut_with_its_ends_swapped_is_empty() -> None:
    assert not Extents.span(0, 10).clip(5, 3)
    assert not Extents.span(0, 10).complement(5, 3)


def test_extents_are_values() -> None:
    made = Extents([(5, 7), (0, 2)])
    assert made == Extents([(0, 2), (5, 6), (6, 7)])
    assert hash(made) == hash(Extents([(0, 2), (5, 7)]))
    assert repr(made) == "Extents([0, 2), [5, 7))"
    assert made != "Extents"
    with pytest.raises(ValueError, match="read-only"):
        made.array[0, 0] = 1


def test_millions_of_runs_take_no_python_loop() -> None:
    starts = np.arange(500_000, dtype=np.int64) * 8192
    half, all_of_it = Extents.from_starts(starts, 4096), Extents.span(0, 500_000 * 8192)
    assert (all_of_it - half).total == half.total
    assert len(half & (all_of_it - half)) == 0


steps = st.lists(
    st.tuples(st.one_of(st.just(Runs.HOLE), st.integers(0, LIMIT)), st.integers(0, 9)), max_size=10
)  # fmt: skip


def path(runs: list[tuple[int, int]]) -> list[int]:
    return [Runs.HOLE if start == Runs.HOLE else start + i for start, length in runs for i in range(length)]


@quick
@given(steps, steps, st.integers(0, 60), st.integers(0, 60))
def test_runs_agree_with_lists(
    first: list[tuple[int, int]], second: list[tuple[int, int]], offset: int, length: int
) -> None:
    runs, bytes_of = Runs(first), path(first)
    assert path(list(runs)) == bytes_of
    assert runs.total == len(bytes_of)
    assert path(list(runs.slice(offset, length))) == bytes_of[offset : offset + length]
    assert path(list(runs + Runs(second))) == bytes_of + path(second)
    assert members(runs.extents()) == set(bytes_of) - {Runs.HOLE}
    assert path(list(runs.shift(3))) == [byte if byte == Runs.HOLE else byte + 3 for byte in bytes_of]
    assert len(runs) <= len([1 for _, size in first if size])


def test_neighbouring_runs_and_holes_are_joined() -> None:
    runs = Runs([(0, 4), (4, 4), (Runs.HOLE, 1), (Runs.HOLE, 2), (8, 1)])
    assert list(runs) == [(0, 8), (Runs.HOLE, 3), (8, 1)]
    assert runs == Runs(list(runs))
    assert hash(runs) == hash(Runs(list(runs)))
    assert repr(runs) == "Runs(0+8, -1+3, 8+1)"
