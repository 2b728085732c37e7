"""Which clusters an image gets: few and large runs, high ones first, room left, numbers where it does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from inpart.contracts import LayoutOptions, PlanRequest
from inpart.errors import NoSpace, UsageError
from inpart.extents import Extents
from inpart.units import GIB, KIB, MIB
from inpart_storage_blocks.layout import BlocksLayout
from inpart_storage_blocks.naming import file_name, is_stem, parse, stem_for
from inpart_storage_blocks.planning import Scatter, make_plan

LAYOUT = BlocksLayout()


def request(free: Extents, upper: int, expected: int | None = None, **given: object) -> PlanRequest:
    fields = {
        "partition_size": 64 * MIB, "cluster_size": 4 * KIB, "data_start": 64 * KIB, "data_end": 64 * MIB,
        "free": free, "immovable": Extents(), "upper": upper, "expected": upper if expected is None else expected,
        "min_free": 0, **given,
    }  # fmt: skip
    return PlanRequest(**fields)  # type: ignore[arg-type]


def scatter(wanted: PlanRequest) -> Scatter:
    private = make_plan(wanted).private
    assert isinstance(private, Scatter)
    return private


def test_one_large_run_is_used_from_its_end() -> None:
    plan = make_plan(request(Extents.span(64 * KIB, 64 * MIB), 5 * MIB))
    assert plan.region.end == 64 * MIB
    assert len(plan.region) == 1
    assert not plan.vacate
    assert 5 * MIB <= plan.capacity < 5 * MIB + 128 * KIB


def test_large_runs_before_small_ones() -> None:
    small = [(MIB * at, MIB * at + 16 * KIB) for at in range(20, 60)]
    large = [(10 * MIB, 13 * MIB), (14 * MIB, 18 * MIB)]
    free = Extents([*small, *large])
    assert len(make_plan(request(free, 6 * MIB)).region) == 2
    assert len(make_plan(request(free, 7 * MIB)).region) > 10


def test_the_first_eighth_comes_last() -> None:
    free = Extents([(MIB, 8 * MIB), *((MIB * at, MIB * at + 512 * KIB) for at in range(30, 60))])
    assert make_plan(request(free, 10 * MIB)).region.start >= 8 * MIB
    assert make_plan(request(free, 18 * MIB)).region.start < 8 * MIB
    starts = [start for start, _ in scatter(request(free, 18 * MIB)).body]
    assert min(starts[:-1]) >= 8 * MIB


def test_the_bound_may_not_fit_where_the_likely_size_does() -> None:
    free = Extents.span(32 * MIB, 40 * MIB)
    plan = make_plan(request(free, 20 * MIB, 7 * MIB))
    assert 7 * MIB <= plan.capacity < 8 * MIB
    with pytest.raises(NoSpace, match=r"8\.\d+ MiB.*8\.00 MiB are free"):
        make_plan(request(free, 20 * MIB, 8 * MIB))
    with pytest.raises(NoSpace, match=r"3\.00 MiB are to stay free"):
        make_plan(request(free, 7 * MIB, min_free=3 * MIB))


def test_some_clusters_stay_for_the_directory() -> None:
    free = Extents.span(32 * MIB, 40 * MIB)
    plan = make_plan(request(free, 20 * MIB, 7 * MIB))
    assert free.total - plan.region.total >= 4 * 4 * KIB


def test_a_head_in_many_pieces_has_few_enough() -> None:
    free = Extents.from_starts(np.arange(8 * MIB, 60 * MIB, 8 * KIB), 4 * KIB)
    plan = scatter(request(free, 2 * MIB))
    assert len(plan.head) <= 128
    assert not plan.head.extents() & plan.body.extents()
    assert free.covers(plan.head.extents() | plan.body.extents())


def test_block_sizes() -> None:
    free = Extents.span(64 * KIB, 64 * MIB)
    for block, used in ((512, 512), (4 * KIB, 4 * KIB), (64 * KIB, 4 * KIB)):
        assert scatter(request(free, MIB, options=LayoutOptions(block_size=block))).block_size == used
    for block in (0, 256, 1000, 3 * KIB):
        with pytest.raises(UsageError):
            make_plan(request(free, MIB, options=LayoutOptions(block_size=block)))
    with pytest.raises(UsageError):
        make_plan(request(free, MIB, options=LayoutOptions(file_limit=100)))


def test_a_million_runs_are_planned_in_bounded_time() -> None:
    free = Extents.from_starts(np.arange(GIB, 9 * GIB, 8 * KIB), 4 * KIB)
    plan = make_plan(request(free, 3 * GIB, partition_size=16 * GIB, data_end=16 * GIB))
    assert plan.capacity >= 3 * GIB


def test_names_of_files() -> None:
    assert stem_for("Grüße vom Meer", ()) == "Gr_e_vom_Meer"
    assert stem_for("a b", ("A_B",)) == "a_b-2"
    assert (stem_for("nul", ()), stem_for("///", ())) == ("image_nul", "image")
    assert [parse(file_name("a", number)) for number in (0, 1, 1234)] == [("a", 0), ("a", 1), ("a", 1234)]
    assert [parse(name) for name in ("a.ipi", "toc_end", "a.001", "a.ipb.x")] == [None] * 4
    assert not is_stem("../a")
