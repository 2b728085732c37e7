"""Where containers go: sizes, limits, refusals, the clusters that are chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.contracts import LayoutOptions
from inpart.errors import IntegrityError, NoSpace, UsageError
from inpart.extents import Extents
from inpart.units import GIB, KIB, MIB
from inpart.volume import FileVolume, MemoryVolume
from inpart_storage_contiguous.planning import Layouting
from partition_rig import LAYOUT, Partition, content, stream_of

TIB = 1 << 40


def layouting(part: Partition, upper: int, expected: int | None = None) -> Layouting:
    private = LAYOUT.plan(part.request(upper, expected), part.store()).private
    assert isinstance(private, Layouting)
    return private


@pytest.mark.parametrize(
    ("size", "cluster", "slot", "journal"),
    [
        (MIB, 512, 4 * KIB, 32 * KIB),
        (MIB, 4 * KIB, 4 * KIB, 32 * KIB),
        (16 * MIB, 64 * KIB, 4 * KIB, 120 * KIB),
        (64 * MIB, 4 * KIB, 8 * KIB, 64 * KIB),
        (GIB, 32 * KIB, 128 * KIB, 512 * KIB),
        (TIB, 4 * KIB, 512 * KIB, 16 * MIB),
        (8 * TIB, 64 * KIB, 512 * KIB, 16 * MIB),
    ],
)
def test_the_fixed_end_scales_with_the_partition(size: int, cluster: int, slot: int, journal: int) -> None:
    geometry = layouting(Partition(_Sized(size), cluster), 10 * KIB).geometry
    assert geometry.slot_size == slot
    assert geometry.toc_end_size == journal + 2 * slot
    assert geometry.toc_end_size % cluster == 0
    assert geometry.end == geometry.data_end
    assert geometry.slot_offset(1) + slot == geometry.end


class _Sized(MemoryVolume):
    """A volume that only says how large it is."""

    def __init__(self, size: int) -> None:
        super().__init__(0)
        self.size = size


@pytest.mark.parametrize(
    ("expected", "segment"),
    [(1, 64 * KIB), (16 * MIB, MIB), (160 * MIB, 10 * MIB), (4 * GIB, 64 * MIB), (8 * TIB, 128 * MIB)],
)
def test_segments_scale_with_the_image(expected: int, segment: int) -> None:
    assert layouting(Partition(_Sized(64 * TIB)), expected).segment_size == segment


def test_options_choose_segment_and_file_size() -> None:
    part = Partition(_Sized(GIB), options=LayoutOptions(segment_size=100_000, file_limit=10 * MIB))
    plan = layouting(part, 64 * MIB)
    assert plan.segment_size == 100 * KIB
    assert plan.file_limit == 10 * MIB - 4 * KIB
    part.options = LayoutOptions(file_limit=8 * GIB)
    assert layouting(part, 64 * MIB).file_limit == 4 * GIB - 4 * KIB
    part.options = LayoutOptions(file_limit=4 * KIB)
    with pytest.raises(UsageError, match="file limit"):
        layouting(part, 64 * MIB)


def test_what_cannot_fit_is_refused_with_the_numbers() -> None:
    part = Partition(MemoryVolume(16 * MIB), min_free=3 * MIB)
    part.used = Extents.span(part.data_start, 8 * MIB)
    available = 16 * MIB - 8 * MIB - 3 * MIB
    with pytest.raises(NoSpace) as caught:
        LAYOUT.plan(part.request(6 * MIB), None)
    assert str(3 * MIB) in caught.value.message
    assert str(part.free.total) in caught.value.message
    assert caught.value.hint
    plan = LAYOUT.plan(part.request(6 * MIB, 4 * MIB), None)
    assert 4 * MIB <= plan.capacity < 6 * MIB
    assert plan.region.total <= available
    assert LAYOUT.plan(part.request(4 * MIB), None).capacity >= 4 * MIB


@given(st.integers(0, 2**32 - 1), st.integers(1, 3 * MIB), st.sampled_from([512, 2048, 32 * KIB]), st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_plan_fits_or_is_refused(seed: int, upper: int, cluster: int, crowded: bool) -> None:
    """Whatever is used or immovable: a planned image can be written to the last byte of its capacity."""
    chance = np.random.default_rng(seed)
    part = Partition(MemoryVolume(4 * MIB), cluster)
    count = (part.data_end - part.data_start) // cluster
    part.immovable = Extents.from_mask(chance.random(count) < 0.02, cluster, part.data_start)
    share = 0.7 if crowded else 0.2
    part.used = Extents.from_mask(chance.random(count) < share, cluster, part.data_start) - part.immovable
    expected = int(upper * chance.random()) + 1
    request = part.request(upper, expected)
    try:
        plan = LAYOUT.plan(request, None)
    except NoSpace:
        assert request.free.total < expected + 600 * KIB + part.immovable.total * 9
        return
    assert plan.capacity >= expected
    assert plan.vacate == part.used & plan.region
    assert plan.region.total <= part.free.total
    assert not plan.region & part.immovable
    stream = stream_of(min(plan.capacity, upper), seed)
    image_id = part.create(stream, upper=upper, expected=expected)
    store = part.store()
    assert store is not None
    assert content(store, image_id) == stream
    assert not store.findings


def test_the_next_image_grows_below_and_steps_over_the_old_toc_begin() -> None:
    part = Partition(MemoryVolume(32 * MIB))
    part.create(stream_of(2 * MIB, 1), "one")
    old = part.claims["toc_begin"].runs
    plan = LAYOUT.plan(part.request(2 * MIB), part.store())
    assert plan.region.end == old.extents().start
    part.create(stream_of(2 * MIB, 2), "two")
    assert part.claims["inter1"].runs == old


def test_a_gap_at_the_lower_end_is_filled_again() -> None:
    part = Partition(MemoryVolume(32 * MIB))
    part.create(stream_of(2 * MIB, 1), "one")
    part.create(stream_of(3 * MIB, 2), "two")
    before = part.owned
    part.remove(part.store().images[1].summary.image_id)
    stream = stream_of(2 * MIB + 512 * KIB, 3)
    image_id = part.create(stream, "three")
    assert content(part.store(), image_id) == stream
    assert before.start - part.owned.start <= 16 * KIB
    assert not part.store().findings


def test_another_layouts_plan_or_store_is_refused() -> None:
    part = Partition(MemoryVolume(8 * MIB))
    plan = LAYOUT.plan(part.request(MIB), None)
    with pytest.raises(UsageError, match="another layout"):
        LAYOUT.writer(part.volume, replace(plan, private=None), None, bytes(16))


def test_an_image_on_a_sparse_terabyte(tmp_path: object) -> None:
    with FileVolume.create(f"{tmp_path}/huge.img", TIB) as volume:
        part = Partition(volume, 32 * KIB)
        stream = stream_of(5 * MIB)
        image_id = part.create(stream, "small on huge", upper=600 * GIB)
        assert content(part.store(), image_id) == stream
        part.create(stream_of(100), "second", upper=100 * GIB)
        assert [image.summary.name for image in part.store().images] == ["small on huge", "second"]
        assert not part.store().findings


def test_a_container_elsewhere_or_without_tables_is_not_grown() -> None:
    part = Partition(MemoryVolume(8 * MIB))
    part.create(stream_of(MIB), "one")
    moved = replace(part.store(), base=512)
    rebuilt = replace(part.store(), rebuilt=True)
    for store in (moved, rebuilt):
        with pytest.raises(IntegrityError) as caught:
            LAYOUT.plan(part.request(MIB), store)
        assert caught.value.hint
