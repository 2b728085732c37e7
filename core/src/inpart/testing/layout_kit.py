"""Conformance of a storage layout: behaviours L1 to L16 of docs/PLUGINS.md, and here those under damage."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from inpart.contracts import ImageSummary, Search, SearchMethod, Severity, Store
from inpart.errors import InpartError
from inpart.extents import Extents
from inpart.testing.damage import zero_range, zero_sectors
from inpart.testing.kit import noting
from inpart.testing.layout_ground import Ground, committed, expect_stream, image_of, only_image, stream_size
from inpart.testing.powercut import Sample, run_power_cuts
from inpart.testing.specimen import FrozenVolume, fill_with_noise
from inpart.testing.storing_kit import StoringKit
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume

_PAGE = 4 * KIB
_MENDED = 8


class LayoutKit(StoringKit):
    """The adopter gives ``provider``.

    ``survives_lost_pages`` declares that no single page of 4 KiB is needed to find an image again.
    """

    survives_lost_pages: ClassVar[bool] = True
    cuts: ClassVar[int] = 24

    def test_l8_cuts_keep_committed_images(self, variant: str) -> None:
        """L8: cut anywhere while a second image is added, the first is whole, and the second whole or not committed."""
        ground = self.ground(variant)
        first, stream = image_of(ground, 0)
        ground.add(first, stream)
        second, other = image_of(ground, 1)
        start = bytes(ground.volume.data)

        def check(disk: MemoryVolume) -> None:
            for method in self.methods()[1:]:
                found = committed(ground.stores(method, disk))
                assert first.image_id in found, f"L8: {method}: the first image is gone"
                for summary, content in ((first, stream), (second, other)):
                    if summary.image_id in found:
                        store, image = found[summary.image_id]
                        assert image.summary == summary, f"L8: {method}: {image.summary}"
                        expect_stream(store.open(summary.image_id), content, f"L8: {method}: {summary.name}")

        run_power_cuts(
            lambda: MemoryVolume(start, sector_size=ground.volume.sector_size),
            lambda volume: ground.add(second, other, volume),
            check,
            Sample(self.cuts, seed=8),
        )

    def test_l9_without_any_metadata(self, variant: str) -> None:
        """L9: with all but the store zeroed, and on a disk without a partition table, scans find it and its place."""
        ground = self.ground(variant)
        summary, stream = image_of(ground, 0)
        ground.add(summary, stream)
        for start, end in ground.claimed.complement(0, ground.volume.size):
            zero_range(ground.volume, start, end)
        for method in self.methods()[1:]:
            store, _ = only_image(ground.stores(method), method)
            expect_stream(store.open(summary.image_id), stream, f"L9: {method}")
        sector = ground.volume.sector_size
        for place in (63 * sector, MIB, MIB + 5 * sector):
            disk = MemoryVolume(place + ground.volume.size + MIB, sector_size=sector)
            fill_with_noise(disk, Extents.span(0, disk.size), seed=place)
            disk.write(place, ground.volume.data)
            store, image = only_image(ground.stores(SearchMethod.DISK, disk), SearchMethod.DISK)
            assert store.base == place, f"L9: the partition starts at {place}, not {store.base}"
            assert image.summary == summary, f"L9: {image.summary}"
            expect_stream(store.open(summary.image_id), stream, f"L9: on a disk, at {place}")

    def test_l10_damage_is_never_passed_off(self, variant: str) -> None:
        """L10: on a damaged store only typed errors are raised, and a committed image has the summary it was given."""
        ground = self.ground(variant)
        summary, stream = image_of(ground, 0)
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
        summary, stream = image_of(ground, 0)
        before = bytes(ground.volume.data)
        ground.add(summary, stream)
        lost = []
        for page in _pages_of(ground, before, stream, 60):
            stores = ground.stores(SearchMethod.PARTITION, _without(ground, page))
            found = {image.summary.image_id: store for store in stores for image in store.images}
            if summary.image_id not in found:
                lost.append(page)
        assert self.survives_lost_pages == (not lost), f"L11: the image is lost with one of the pages at {lost}"

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
        inner.add(*image_of(inner, 7))
        ground = self.ground(variant)
        lost, _ = image_of(ground, 1)
        stream = bytes(inner.volume.data[inner.claimed.start :])[: stream_size(ground, 4)]
        summary = replace(lost, stream_size=len(stream))
        ground.add(summary, stream)
        for method in self.methods():
            found = committed([store for store in ground.stores(method) if store.base == 0])
            assert summary.image_id in found, f"L15: {method}: the image is hidden by its content"
            expect_stream(found[summary.image_id][0].open(summary.image_id), stream, f"L15: {method}")

    def test_l16_what_was_lost_is_repaired(self, variant: str) -> None:
        """L16: repair changes nothing of a whole store, of one that lost a page only the store, and all is well."""
        ground = self.ground(variant)
        before = bytes(ground.volume.data)
        images = [image_of(ground, number) for number in range(2)]
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
