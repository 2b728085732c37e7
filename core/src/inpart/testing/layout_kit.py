"""Conformance of a storage layout: behaviours L1 to L16 of docs/PLUGINS.md."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from inpart.contracts import ImageSummary, Layout, Search, SearchMethod, Severity, Store, StoredImage
from inpart.errors import InpartError, NoImageFound, NoSpace
from inpart.extents import Extents
from inpart.plugins import Kind
from inpart.testing.damage import zero_range, zero_sectors
from inpart.testing.kit import ProviderKit, noting
from inpart.testing.layout_ground import GEOMETRIES, Ground, committed, pieces_of, summary_for
from inpart.testing.powercut import Sample, run_power_cuts
from inpart.testing.specimen import FrozenVolume, fill_with_noise
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume, Volume

SCANS = (SearchMethod.PARTITION, SearchMethod.DISK)
_PAGE = 4 * KIB
_MENDED = 8


class LayoutKit(ProviderKit):
    """The adopter gives ``provider``.

    ``at_the_end`` declares that a container reaches the end of the partition, so that the FIXED way finds it;
    ``survives_lost_pages`` that no single page of 4 KiB is needed to find an image again.
    """

    kind = Kind.LAYOUT
    provider: ClassVar[Layout]
    variants: ClassVar[Sequence[str]] = tuple(GEOMETRIES)
    at_the_end: ClassVar[bool] = True
    survives_lost_pages: ClassVar[bool] = True
    cuts: ClassVar[int] = 24

    def ground(self, variant: str, seed: int = 0) -> Ground:
        """A fresh partition of this variant."""
        return Ground(self.provider, GEOMETRIES[variant], seed)

    def methods(self) -> tuple[SearchMethod, ...]:
        """The ways in which this layout is to be found."""
        return (SearchMethod.CLAIMS, *((SearchMethod.FIXED,) if self.at_the_end else ()), *SCANS)

    def test_l1_a_plan_is_pure_and_fits(self, variant: str) -> None:
        """L1: the same request yields the same plan: whole movable clusters, ``vacate`` those in use, room enough."""
        ground = self.ground(variant)
        request = ground.request(_size(ground, 4))
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
        for request in (ground.request(ground.free.total + 1), ground.request(_size(ground, 4), ground.free.total)):
            hopeless = replace(request, expected=request.upper)  # where only the bound does not fit, a plan is allowed
            with noting("L2"), pytest.raises(NoSpace, match=r"\d"):
                self.provider.plan(hopeless, None)

    def test_l3_what_was_stored_is_found_and_read(self, variant: str) -> None:
        """L3: every way of locating finds the image with its summary, and its stream has the bytes written."""
        ground = self.ground(variant)
        summary, stream = _image(ground, 0)
        ground.add(summary, stream)
        for method in self.methods():
            store, image = _only(ground.stores(method), method)
            assert image.summary == summary, f"L3: {method}: {image.summary}"
            assert (store.base, store.layout) == (0, self.provider.name), f"L3: {method}: base {store.base}"
            assert store.partition_size == ground.volume.size, f"L3: {method}: {store.partition_size}"
            assert not store.findings, f"L3: {method}: {store.findings}"
            _expect_stream(store.open(summary.image_id), stream, f"L3: {method}")
            with pytest.raises(NoImageFound):
                store.open(bytes(16))

    def test_l4_nothing_else_is_written(self, variant: str) -> None:
        """L4: only the planned region and the store itself are written; used clusters keep their bytes."""
        ground = self.ground(variant)
        for number in range(2):
            summary, stream = _image(ground, number)
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
        summary, stream = _image(ground, 0)
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
            summary, stream = _image(ground, number)
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
            summary, stream = _image(ground, number)
            ground.add(summary, stream)
            streams[summary.image_id] = stream
            for method in self.methods():
                (store,) = ground.stores(method)
                assert [image.summary.image_id for image in store.images] == list(streams), f"L7: {method}: order"
                for image_id, content in streams.items():
                    _expect_stream(store.open(image_id), content, f"L7: {method}, {number + 1} images")

    def test_l8_cuts_keep_committed_images(self, variant: str) -> None:
        """L8: cut anywhere while a second image is added, the first is whole, and the second whole or not committed."""
        ground = self.ground(variant)
        first, stream = _image(ground, 0)
        ground.add(first, stream)
        second, other = _image(ground, 1)
        start = bytes(ground.volume.data)

        def check(disk: MemoryVolume) -> None:
            for method in self.methods()[1:]:
                found = committed(ground.stores(method, disk))
                assert first.image_id in found, f"L8: {method}: the first image is gone"
                for summary, content in ((first, stream), (second, other)):
                    if summary.image_id in found:
                        store, image = found[summary.image_id]
                        assert image.summary == summary, f"L8: {method}: {image.summary}"
                        _expect_stream(store.open(summary.image_id), content, f"L8: {method}: {summary.name}")

        run_power_cuts(
            lambda: MemoryVolume(start, sector_size=ground.volume.sector_size),
            lambda volume: ground.add(second, other, volume),
            check,
            Sample(self.cuts, seed=8),
        )

    def test_l9_without_any_metadata(self, variant: str) -> None:
        """L9: with all but the store zeroed, and on a disk without a partition table, scans find it and its place."""
        ground = self.ground(variant)
        summary, stream = _image(ground, 0)
        ground.add(summary, stream)
        for start, end in ground.claimed.complement(0, ground.volume.size):
            zero_range(ground.volume, start, end)
        for method in self.methods()[1:]:
            store, _ = _only(ground.stores(method), method)
            _expect_stream(store.open(summary.image_id), stream, f"L9: {method}")
        sector = ground.volume.sector_size
        for place in (63 * sector, MIB, MIB + 5 * sector):
            disk = MemoryVolume(place + ground.volume.size + MIB, sector_size=sector)
            fill_with_noise(disk, Extents.span(0, disk.size), seed=place)
            disk.write(place, ground.volume.data)
            store, image = _only(ground.stores(SearchMethod.DISK, disk), SearchMethod.DISK)
            assert store.base == place, f"L9: the partition starts at {place}, not {store.base}"
            assert image.summary == summary, f"L9: {image.summary}"
            _expect_stream(store.open(summary.image_id), stream, f"L9: on a disk, at {place}")

    def test_l10_damage_is_never_passed_off(self, variant: str) -> None:
        """L10: on a damaged store only typed errors are raised, and a committed image has the summary it was given."""
        ground = self.ground(variant)
        summary, stream = _image(ground, 0)
        ground.add(summary, stream)
        low, high = ground.claimed.start, ground.claimed.end
        for seed, permille in ((0, 1), (1, 10), (2, 100), (3, 500)):
            volume = MemoryVolume(ground.volume.data, sector_size=ground.volume.sector_size)
            damage = zero_sectors(volume, seed, permille, low, high)
            for method in self.methods():
                with noting(f"L10: {damage}, {method}"):
                    self._look_at(ground.stores(method, volume), summary)

    def test_l11_a_lost_page_loses_no_image(self, variant: str) -> None:
        """L11: with any one page of the store zeroed a scan still finds the image under its id."""
        ground = self.ground(variant)
        summary, stream = _image(ground, 0)
        before = bytes(ground.volume.data)
        ground.add(summary, stream)
        lost = []
        for page in _pages_of(ground, before, stream, 60):
            stores = ground.stores(SearchMethod.PARTITION, _without(ground, page))
            found = {image.summary.image_id: store for store in stores for image in store.images}
            if summary.image_id not in found:
                lost.append(page)
        assert self.survives_lost_pages == (not lost), f"L11: the image is lost with one of the pages at {lost}"

    def test_l12_room_is_bounded_and_can_be_given_up(self, variant: str) -> None:
        """L12: more than the plan's capacity is NoSpace; an abandoned image is nowhere committed, and in no way."""
        ground = self.ground(variant)
        summary, stream = _image(ground, 0)
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
            images = [_image(ground, number) for number in range(2)]
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
                _expect_stream(found[survivor.image_id][0].open(survivor.image_id), stream, f"L13: {method}")
            self._add_and_find(ground, 2, "L13")

    def test_l14_nothing_is_found_where_nothing_is(self) -> None:
        """L14: on volumes without a store, of any size, nothing is found and nothing raised."""
        contents = (b"", bytes(100), bytes(MIB), random.Random(14).randbytes(MIB))
        for content in contents:
            for method in SearchMethod:
                with noting(f"L14: {len(content)} bytes, {method}"):
                    assert not self.provider.locate(FrozenVolume(content), Search(method, places=(0, 512, 1 << 40)))

    def test_l15_a_store_inside_an_image_hides_nothing(self, variant: str) -> None:
        """L15: an image that holds bytes of another store, as a copy of a partition may, is found like any other."""
        inner = self.ground("small", seed=15)
        inner.add(*_image(inner, 7))
        ground = self.ground(variant)
        lost, _ = _image(ground, 1)
        stream = bytes(inner.volume.data[inner.claimed.start :])[: _size(ground, 4)]
        summary = replace(lost, stream_size=len(stream))
        ground.add(summary, stream)
        for method in self.methods():
            found = committed([store for store in ground.stores(method) if store.base == 0])
            assert summary.image_id in found, f"L15: {method}: the image is hidden by its content"
            _expect_stream(found[summary.image_id][0].open(summary.image_id), stream, f"L15: {method}")

    def test_l16_what_was_lost_is_repaired(self, variant: str) -> None:
        """L16: repair changes nothing of a whole store, of one that lost a page only the store, and all is well."""
        ground = self.ground(variant)
        before = bytes(ground.volume.data)
        images = [_image(ground, number) for number in range(2)]
        for summary, stream in images:
            ground.add(summary, stream)
        self._repair(ground, ground.volume, "L16: a whole store")
        mended = 0
        for page in _pages_of(ground, before, images[0][1] + images[1][1], 60):
            volume = _without(ground, page)
            if mended == _MENDED or not _all_whole(ground.stores(SearchMethod.PARTITION, volume), images):
                continue
            self._repair(ground, volume, f"L16: without the page at {page}")
            mended += 1
            for method in self.methods():
                stores = ground.stores(method, volume)
                grave = [one.message for store in stores for one in store.findings if one.severity is not Severity.NOTE]
                assert not grave, f"L16: the page at {page}: {method}: {grave[0]}"
                assert _all_whole(stores, images), f"L16: the page at {page}: {method}: an image is gone"
        assert mended or not self.survives_lost_pages, "L16: no page can be lost without an image"

    def _repair(self, ground: Ground, volume: MemoryVolume, behaviour: str) -> None:
        """Repair the only store of ``volume``, and commit that."""
        store = next(store for store in ground.stores(SearchMethod.PARTITION, volume) if store.images)
        tx = Transaction(volume)
        change = store.repair(tx)
        place = Extents() if volume is ground.volume else ground.claimed
        assert place.covers(tx.changed()), f"{behaviour}: {tx.changed() - place} is changed"
        same = not change.release and {claim.name: claim for claim in change.claims} == ground.claims
        assert same, f"{behaviour}: other files are claimed"
        tx.commit(None)

    def _add_and_find(self, ground: Ground, number: int, behaviour: str) -> None:
        """One more image, as after whatever happened before."""
        summary, stream = _image(ground, number)
        ground.add(summary, stream)
        found = committed(ground.stores(SearchMethod.PARTITION))
        assert summary.image_id in found, f"{behaviour}: afterwards no image can be added"
        _expect_stream(found[summary.image_id][0].open(summary.image_id), stream, behaviour)

    def _look_at(self, stores: Sequence[Store], summary: ImageSummary) -> None:
        """Open and read all that was found."""
        for image_id, (store, image) in committed(stores).items():
            assert image_id == summary.image_id, "L10: an image that never was"
            assert image.summary == summary, f"L10: {image.summary}"
            try:
                volume = store.open(image_id)
                volume.read(0, volume.size)
            except InpartError:
                continue


def _size(ground: Ground, share: int) -> int:
    """A stream of this size fits ``share`` times into the free clusters, with room for tables."""
    return ground.free.total // (share + 1) - ground.free.total // 64


def _pages_of(ground: Ground, before: bytes, streams: bytes, count: int) -> list[int]:
    """Where pages of the store lie that it has changed since ``before`` and that are no part of ``streams``."""
    pages = [(start, start + _PAGE) for start, _ in ground.claimed.split(_PAGE).tolist()]
    now = ground.volume.data
    own = [low for low, high in pages if now[low:high] != before[low:high] and bytes(now[low:high]) not in streams]
    return random.Random(11).sample(own, min(len(own), count))


def _without(ground: Ground, page: int) -> MemoryVolume:
    """A copy of the partition that has lost a page."""
    volume = MemoryVolume(ground.volume.data, sector_size=ground.volume.sector_size)
    zero_range(volume, page, min(page + _PAGE, volume.size))
    return volume


def _all_whole(stores: Sequence[Store], images: Sequence[tuple[ImageSummary, bytes]]) -> bool:
    """True if all images are committed and have their bytes."""
    found = committed(stores)
    opened = [(found[summary.image_id][0].open(summary.image_id), stream) for summary, stream in images
              if summary.image_id in found]  # fmt: skip
    return len(opened) == len(images) and all(volume.read(0, volume.size) == stream for volume, stream in opened)


def _image(ground: Ground, number: int) -> tuple[ImageSummary, bytes]:
    stream = random.Random(f"{number} {ground.geometry.size}").randbytes(ground.geometry.size // 13 + 1777 * number)
    return summary_for(number, stream), stream


def _only(stores: Sequence[Store], method: SearchMethod) -> tuple[Store, StoredImage]:
    found = list(committed(stores).values())
    assert len(found) == 1, f"L3: {method} finds {len(found)} committed images instead of one"
    return found[0]


def _expect_stream(volume: Volume, stream: bytes, behaviour: str) -> None:
    assert volume.size == len(stream), f"{behaviour}: the stream has {volume.size} bytes, not {len(stream)}"
    at = 0
    for piece in pieces_of(stream):
        assert volume.read(at, len(piece)) == piece, f"{behaviour}: {len(piece)} bytes at {at} of the stream differ"
        at += len(piece)
