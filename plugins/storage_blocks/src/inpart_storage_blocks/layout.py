"""The layout ``blocks``: images scattered over free clusters, each block of them telling where it belongs."""

from __future__ import annotations

from inpart.contracts import Plan, PlanRequest, Search, SearchMethod, Store
from inpart.errors import UsageError
from inpart.volume import Volume

from inpart_storage_blocks.assembly import Assembled, assemble
from inpart_storage_blocks.claimed import Remains, images_in_files, remains_in_files
from inpart_storage_blocks.control import has_block
from inpart_storage_blocks.planning import Scatter, make_plan
from inpart_storage_blocks.scan import scan
from inpart_storage_blocks.store import NAME, BlocksStore, flooded, garbage, own_clusters
from inpart_storage_blocks.writer import BlockWriter, Joins


class BlocksLayout:
    """See ``inpart.contracts.Layout``. All images of a partition are one store."""

    name = NAME
    api_version = 1
    summary = "self-describing blocks in any free clusters, without moving files"

    def plan(self, request: PlanRequest, store: Store | None) -> Plan:
        """Nothing is ever vacated. Raises NoSpace with the numbers, UsageError for impossible sizes."""
        _grown(store)
        return make_plan(request)

    def writer(self, volume: Volume, plan: Plan, store: Store | None, image_id: bytes) -> BlockWriter:
        """``plan`` must come from this layout. Writes to the plan's region only."""
        if not isinstance(plan.private, Scatter):
            raise UsageError("the plan was made by another layout")
        grown = _grown(store)
        return BlockWriter(volume, plan.private, image_id, Joins() if grown is None else grown.joins())

    def locate(self, volume: Volume, search: Search) -> list[BlocksStore]:
        """Stores on ``volume``, best first. There is no fixed place; an aid's places are a reason to scan."""
        if search.method is SearchMethod.CLAIMS:
            found = images_in_files(volume, search.claims)
            remains = remains_in_files(volume, search.claims, found.images)
            return _stores(volume, found, own=True, remains=remains)
        if search.method is SearchMethod.FIXED:
            return []
        if search.method is SearchMethod.AID and not any(has_block(volume, place) for place in search.places):
            return []
        return _stores(volume, assemble(volume, scan(volume)), own=search.method is SearchMethod.PARTITION)


def _grown(store: Store | None) -> BlocksStore | None:
    """The store that an image is to join. Raises UsageError, IntegrityError."""
    if store is None:
        return None
    if not isinstance(store, BlocksStore):
        raise UsageError(f"a store of the layout {store.layout} cannot be grown by the layout {NAME}")
    store.must_be_in_place()
    return store


def _stores(volume: Volume, found: Assembled, *, own: bool, remains: Remains | None = None) -> list[BlocksStore]:
    """A store for each base. With ``own``, those at another one only if they are newer than all of this partition."""
    stores = []
    bases = {image.base for image in found.images} | ({0} if remains else set())
    for base in sorted(bases, key=lambda base: (base != 0, base)):
        images = own_clusters(image for image in found.images if image.base == base)
        notes = [garbage(found.stale[base])] if found.stale.get(base) else []
        notes += [flooded()] if found.flooded else []
        stores.append(BlocksStore(volume, base, images, tuple(notes), None if base else remains))
    if not own or not stores or stores[0].base:
        return stores
    return [stores[0], *(store for store in stores[1:] if _newest(store) > _newest(stores[0]))]


def _newest(store: BlocksStore) -> float:
    return max((image.summary.created.timestamp() for image in store.found), default=0.0)
