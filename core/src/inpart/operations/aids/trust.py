"""Locating with the word of an aid: where it leads to, and whether what lies there may be believed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from inpart.contracts import Claim, Store
from inpart.volume import SliceVolume, Volume

if TYPE_CHECKING:
    from inpart.contracts import AidRecord

JOURNAL_FILE = "journal"


def places_of(records: Iterable[AidRecord], start: int, size: int) -> tuple[int, ...]:
    """Offsets to look at on a volume of ``size`` bytes that begins at byte ``start`` of its disk.

    A partition that begins elsewhere by now, and a whole disk, have the stores where the disk had them.
    """
    places = [
        place
        for record in records
        for base in dict.fromkeys((0, record.partition_start - start))
        for place in (base + offset for offset in record.places)
    ]
    return tuple(place for place in dict.fromkeys(places) if 0 <= place < size)


def partitions_of(
    volume: Volume, stores: Sequence[Store], records: Sequence[AidRecord]
) -> Iterator[tuple[Volume, list[Store]]]:
    """Where to look whether ``stores`` are all that there is: the volume, and each partition as it was recorded.

    On a disk without a table, and where a partition was made longer or shorter, its old end is a fixed place too.
    """
    if stores:
        yield volume, list(stores)
    for base in dict.fromkeys(store.base for store in stores):
        here = [store for store in stores if store.base == base]
        ids = {store.store_id.hex() for store in here}
        sizes = {record.partition_size for record in records if not ids.isdisjoint(record.store_ids)}
        for size in sorted(sizes - ({volume.size} if base == 0 else set())):
            if base >= 0 and 0 < size <= volume.size - base:
                yield SliceVolume(volume, base, size), here


def believable(
    stores: Sequence[Store],
    records: Iterable[AidRecord],
    claims: Collection[Claim] | None,
    fixed: Iterable[Store],
) -> bool:
    """True if what the places of ``records`` led to is all that there is, as far as that can be told at once.

    A stale aid leads to what is left of a store that was moved, or passes over one that was made later. So every
    store must be one that the aid names; a readable file system that claims anything must claim exactly these; and
    no other store may lie at the fixed place.
    """
    ids = {store.store_id for store in stores}
    named = {store_id for record in records for store_id in record.store_ids}
    if not stores or not named >= {store_id.hex() for store_id in ids}:
        return False
    if any(store.base == 0 and store.images and store.store_id not in ids for store in fixed):
        return False
    live = {claim.name: claim.runs for claim in claims or () if claim.name != JOURNAL_FILE}
    return not live or live == {claim.name: claim.runs for store in stores for claim in store.claims().claims}
