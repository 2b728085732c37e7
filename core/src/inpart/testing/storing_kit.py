"""Conformance of a storage layout that nothing happens to: behaviours L1 to L7, L12 and L13 of docs/PLUGINS.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from inpart.contracts import Layout, SearchMethod
from inpart.errors import NoImageFound, NoSpace
from inpart.extents import Extents
from inpart.plugins import Kind
from inpart.testing.kit import ProviderKit, noting
from inpart.testing.layout_ground import (
    GEOMETRIES,
    Ground,
    committed,
    expect_stream,
    image_of,
    only_image,
    stream_size,
)
from inpart.transaction import Transaction

SCANS = (SearchMethod.PARTITION, SearchMethod.DISK)


class StoringKit(ProviderKit):
    """The adopter gives ``provider``.

    ``at_the_end`` declares that a container reaches the end of the partition, so that the FIXED way finds it.
    """

    kind = Kind.LAYOUT
    provider: ClassVar[Layout]
    variants: ClassVar[Sequence[str]] = tuple(GEOMETRIES)
    at_the_end: ClassVar[bool] = True

    def ground(self, variant: str, seed: int = 0) -> Ground:
        """A fresh partition of this variant."""
        return Ground(self.provider, GEOMETRIES[variant], seed)

    def methods(self) -> tuple[SearchMethod, ...]:
        """The ways in which this layout is to be found."""
        return (SearchMethod.CLAIMS, *((SearchMethod.FIXED,) if self.at_the_end else ()), *SCANS)

    def test_l1_a_plan_is_pure_and_fits(self, variant: str) -> None:
        """L1: the same request yields the same plan: whole movable clusters, ``vacate`` those in use, room enough."""
        ground = self.ground(variant)
        request = ground.request(stream_size(ground, 4))
        plan = self.provider.plan(request, None)
        again = self.provider.plan(request, None)
        assert (plan.region, plan.vacate, plan.capacity) == (again.region, again.vacate, again.capacity), "L1: not pure"
        assert Extents.span(request.data_start, request.data_end).covers(plan.region), "L1: outside the data area"
        ragged = (plan.region.array - request.data_start) % request.cluster_size
        assert not ragged.any(), "L1: the region is not whole clusters"
        assert not plan.region & request.immovable, "L1: immovable clusters are in the region"
        assert plan.vacate == plan.region - request.free, "L1: vacate is not the used part of the region"
        assert plan.capacity >= request.expected, f"L1: room for {plan.capacity} of {request.expected} bytes"

    def test_l2_what_does_not_fit_is_refused(self, variant: str) -> None:
        """L2: a stream that cannot fit, or would leave less than ``min_free``, is NoSpace with numbers."""
        ground = self.ground(variant)
        crowded = ground.request(stream_size(ground, 4), ground.free.total)
        for request in (ground.request(ground.free.total + 1), crowded):
            hopeless = replace(request, expected=request.upper)  # where only the bound does not fit, a plan is allowed
            with noting("L2"), pytest.raises(NoSpace, match=r"\d"):
                self.provider.plan(hopeless, None)

    def test_l3_what_was_stored_is_found_and_read(self, variant: str) -> None:
        """L3: every way of locating finds the image with its summary, and its stream has the bytes written."""
        ground = self.ground(variant)
        summary, stream = image_of(ground, 0)
        ground.add(summary, stream)
        for method in self.methods():
            store, image = only_image(ground.stores(method), method)
            assert image.summary == summary, f"L3: {method}: {image.summary}"
            assert (store.base, store.layout) == (0, self.provider.name), f"L3: {method}: base {store.base}"
            assert store.partition_size == ground.volume.size, f"L3: {method}: {store.partition_size}"
            assert not store.findings, f"L3: {method}: {store.findings}"
            expect_stream(store.open(summary.image_id), stream, f"L3: {method}")
            with pytest.raises(NoImageFound):
                store.open(bytes(16))

    def test_l4_nothing_else_is_written(self, variant: str) -> None:
        """L4: only the planned region and the store itself are written; used clusters keep their bytes."""
        ground = self.ground(variant)
        for number in range(2):
            summary, stream = image_of(ground, number)
            before = bytes(ground.volume.data)
            plan, store = ground.plan(len(stream))
            allowed = plan.region | (Extents() if store is None else store.extents())
            ground.add(summary, stream)
            kept = allowed.complement(0, ground.volume.size)
            changed = [start for start, end in kept if ground.volume.data[start:end] != before[start:end]]
            assert not changed, f"L4: image {number}: bytes were written outside the region, near {changed[:4]}"
            assert kept.covers(ground.used), "L4: the region holds clusters that were not to be vacated"

    def test_l5_nothing_is_announced_before_the_commit(self, variant: str) -> None:
        """L5: until its transaction is committed no way of locating says that an image is committed."""
        ground = self.ground(variant)
        summary, stream = image_of(ground, 0)
        plan, store = ground.plan(len(stream))
        writer = self.provider.writer(ground.volume, plan, store, summary.image_id)
        writer.write(stream)
        writer.finish(summary)
        writer.publish(Transaction(ground.volume))
        for method in self.methods():
            assert not committed(ground.stores(method)), f"L5: {method} announces an image without a commit"
        writer.abandon()
        self._add_and_find(ground, 1, "L5")

    def test_l6_claims_cover_the_store(self, variant: str) -> None:
        """L6: the files that are claimed are whole, disjoint clusters of the store, small enough, journal included."""
        ground = self.ground(variant)
        for number in range(3):
            summary, stream = image_of(ground, number)
            ground.add(summary, stream)
            claims = list(ground.claims.values())
            parts = sum(claim.runs.total for claim in claims) + ground.directory.total
            assert parts == ground.claimed.total, "L6: files share clusters"
            assert not ground.claimed & (ground.used | ground.immovable), "L6: clusters of others are claimed"
            for claim in claims:
                assert claim.runs.total >= claim.size, f"L6: {claim.name} is longer than its clusters"
                assert claim.size <= ground.geometry.options.file_limit, f"L6: {claim.name} has {claim.size} bytes"
                ragged = (claim.runs.extents().array - ground.geometry.data_start) % ground.geometry.cluster_size
                assert not ragged.any(), f"L6: {claim.name} is not whole clusters"
            for method in self.methods():
                (store,) = ground.stores(method)
                assert ground.claimed.covers(store.extents()), f"L6: {method}: the store is larger than its files"
                assert ground.claimed.covers(store.journal().extents()), "L6: the journal lies outside the files"
                same = {claim.name: claim for claim in store.claims().claims} == ground.claims
                assert same, f"L6: {method}: claims() differs from what the file system was asked for"

    def test_l7_images_add_up(self, variant: str) -> None:
        """L7: a store takes several images; they are listed oldest first and each keeps its bytes."""
        ground = self.ground(variant)
        streams = {}
        for number in range(3):
            summary, stream = image_of(ground, number)
            ground.add(summary, stream)
            streams[summary.image_id] = stream
            for method in self.methods():
                (store,) = ground.stores(method)
                assert [image.summary.image_id for image in store.images] == list(streams), f"L7: {method}: order"
                for image_id, content in streams.items():
                    expect_stream(store.open(image_id), content, f"L7: {method}, {number + 1} images")

    def test_l12_room_is_bounded_and_can_be_given_up(self, variant: str) -> None:
        """L12: more than the plan's capacity is NoSpace; an abandoned image is nowhere committed, and in no way."""
        ground = self.ground(variant)
        summary, stream = image_of(ground, 0)
        plan, store = ground.plan(len(stream))
        writer = self.provider.writer(ground.volume, plan, store, summary.image_id)
        for _ in range(plan.capacity // len(stream)):
            writer.write(stream)
        with noting("L12"), pytest.raises(NoSpace):
            writer.write(stream)
        writer.abandon()
        for method in self.methods():
            assert not committed(ground.stores(method)), f"L12: {method} finds an abandoned image"
        self._add_and_find(ground, 1, "L12")

    def test_l13_removed_images_are_gone(self, variant: str) -> None:
        """L13: a removed image is not found again, its files are released, and the others keep their bytes."""
        for victim in (0, 1):
            ground = self.ground(variant)
            images = [image_of(ground, number) for number in range(2)]
            for summary, stream in images:
                ground.add(summary, stream)
            store = ground.store()
            assert store is not None, "L13: no store"
            before = ground.claimed.total
            tx = Transaction(ground.volume)
            change = store.remove([images[victim][0].image_id], tx)
            tx.commit(None)
            ground.apply(change)
            assert ground.claimed.total < before, "L13: nothing was released"
            survivor, stream = images[1 - victim]
            for method in (SearchMethod.CLAIMS, *SCANS):
                found = committed(ground.stores(method))
                assert list(found) == [survivor.image_id], f"L13: {method}: {len(found)} images are left"
                expect_stream(found[survivor.image_id][0].open(survivor.image_id), stream, f"L13: {method}")
            self._add_and_find(ground, 2, "L13")

    def _add_and_find(self, ground: Ground, number: int, behaviour: str) -> None:
        """One more image, as after whatever happened before."""
        summary, stream = image_of(ground, number)
        ground.add(summary, stream)
        found = committed(ground.stores(SearchMethod.PARTITION))
        assert summary.image_id in found, f"{behaviour}: afterwards no image can be added"
        expect_stream(found[summary.image_id][0].open(summary.image_id), stream, behaviour)
