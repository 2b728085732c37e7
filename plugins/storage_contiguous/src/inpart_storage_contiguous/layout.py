"""The provider of the contiguous layout: plan, write, locate."""

from __future__ import annotations

from dataclasses import replace

from inpart.contracts import Plan, PlanRequest, Search, SearchMethod, Store
from inpart.errors import UsageError
from inpart.extents import Extents
from inpart.units import MIB
from inpart.volume import Volume

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.abandoned import abandoned, first_headers
from inpart_storage_contiguous.assembly import stores_from
from inpart_storage_contiguous.moved import moved_store
from inpart_storage_contiguous.planning import Layouting, make_plan
from inpart_storage_contiguous.ranking import own_stores
from inpart_storage_contiguous.scan import Marks, scan, scan_extents
from inpart_storage_contiguous.store import NAME, ContiguousStore
from inpart_storage_contiguous.structs import MAX_SLOT, ImageState
from inpart_storage_contiguous.tables import Table
from inpart_storage_contiguous.wiped import WipedStore, wiped_store
from inpart_storage_contiguous.writer import ContiguousWriter

FIXED_PLACE = 8 * MIB
"""How much of a volume's end is searched for ``toc_end``: its slots, and what may lie behind the last cluster."""
SLOTS = 2 * MAX_SLOT
"""How much of the end of ``toc_end`` its slots may take."""
AID_PLACE = 20 * MIB
"""How much behind a place that an aid names: a whole ``toc_end``."""


class ContiguousLayout:
    """Images in one solid container at the end of the partition; see ``inpart.contracts.Layout``."""

    name = NAME
    api_version = 1
    summary = "images in a solid container at the end of the partition, with tables of contents at both its ends"

    def plan(self, request: PlanRequest, store: Store | None) -> Plan:
        """Raises NoSpace with the numbers, IntegrityError if the container must be repaired first."""
        return make_plan(request, _table_of(store))

    def writer(self, volume: Volume, plan: Plan, store: Store | None, image_id: bytes) -> ContiguousWriter:
        """``plan`` must come from this layout. Writes to the plan's region only."""
        if not isinstance(plan.private, Layouting):
            raise UsageError("the plan was made by another layout")
        return ContiguousWriter(volume, plan.private, _table_of(store), image_id)

    def locate(self, volume: Volume, search: Search) -> list[Store]:
        """Stores on ``volume``, best first. FIXED and AID find only containers with a table of contents."""
        if search.method is SearchMethod.CLAIMS:
            return _by_claims(volume, search)
        marks = Marks()
        if search.method is SearchMethod.FIXED:
            scan(volume, volume.size - FIXED_PLACE, volume.size, marks)
        elif search.method is SearchMethod.AID:
            places = [place for place in search.places if 0 <= place < volume.size]
            windows = Extents([(place, place + AID_PLACE) for place in places])
            scan_extents(volume, windows.clip(0, volume.size), marks)
        else:
            scan(volume, 0, volume.size, marks)
        if search.method in (SearchMethod.DISK, SearchMethod.AID):
            return [*stores_from(volume, marks, rebuild=search.method is SearchMethod.DISK)]
        return [*own_stores(stores_from(volume, marks, rebuild=search.method is SearchMethod.PARTITION))]


def _table_of(store: Store | None) -> Table | None:
    if store is None or isinstance(store, WipedStore):
        return None
    if not isinstance(store, ContiguousStore):
        raise UsageError(f"a store of the layout {store.layout} cannot be grown by the layout {NAME}")
    return store.growable()


def _by_claims(volume: Volume, search: Search) -> list[Store]:
    """The control files first; the image files only if no table of contents is left in those, or one that is old."""
    controls, images = Extents(), Extents()
    for claim in search.claims:
        extents = claim.runs.extents().clip(0, volume.size)
        if claim.name == naming.TOC_END:
            controls |= claim.runs.slice(max(0, claim.runs.total - SLOTS), SLOTS).extents().clip(0, volume.size)
        elif naming.is_control(claim.name):
            controls |= extents
        else:
            images |= extents
    marks = Marks()
    scan_extents(volume, controls, marks)
    moved = moved_store(volume, marks, search.claims)
    if moved is not None:
        return [moved]
    stores = stores_from(volume, marks, rebuild=False)
    if images and (not stores or any(store.doubtful for store in stores) or _newer(volume, search, stores)):
        scan_extents(volume, images, marks)
        stores = stores_from(volume, marks, owned=True)
    wiped = None if stores or marks.groups else wiped_store(volume, search.claims)
    if wiped is not None:
        return [wiped]
    found = [replace(store, abandoned=abandoned(volume, search.claims, store)) for store in own_stores(stores)]
    own = any(naming.is_control(claim.name) or naming.stem_of(claim.name) for claim in search.claims)
    return [store for store in found if own or not store.dead]


def _newer(volume: Volume, search: Search, stores: list[ContiguousStore]) -> bool:
    """True if there are files of a committed image that no table names, so that a newer table was lost."""
    known = {claim.name.lower() for store in stores for claim in store.claims().claims}
    unlisted = [claim for claim in search.claims if claim.name.lower() not in known]
    return any(header.state == ImageState.COMMITTED for _, header in first_headers(volume, unlisted))
