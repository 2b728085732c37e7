"""Which of several stores on one volume count: not what is the content of another's image, not what is overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from inpart.contracts import Finding, Severity
from inpart.extents import Extents

from inpart_storage_contiguous.rebuild import PARTIAL
from inpart_storage_contiguous.store import ContiguousStore


def is_content_of(store: ContiguousStore, span: Extents, other: ContiguousStore) -> bool:
    """True if a container lies in an image of ``other``: somebody's disk image that was imaged along with the rest.

    ``span`` is from the first to the last structure of ``store``, on the volume.
    """
    if store is other or other.rebuilt or store.table.created > other.table.created:
        return False
    images = Extents.union(image.extents for image in other.found)
    return bool(span) and images.shift(other.base).covers(
        Extents([(span.start, span.start + 1), (span.end - 1, span.end)])
    )


def without_stale(stores: Sequence[ContiguousStore]) -> list[ContiguousStore]:
    """``stores`` without the images that lie under a newer container, newest first."""
    kept: list[ContiguousStore] = []
    taken = Extents()
    for store in sorted(stores, key=lambda store: store.table.created, reverse=True):
        own = store.extents().shift(store.base)
        if own & taken:
            survivor = _superseded(store, taken)
            kept += [survivor] if survivor.found else []
        else:
            kept.append(store)
        taken |= own
    return kept


def own_stores(stores: Sequence[ContiguousStore]) -> list[ContiguousStore]:
    """Without those that are older than one made for a partition that begins where the volume does.

    They are in somebody's disk images, lying about in the partition as files. A newer one may be that of a partition
    on a disk that as a whole once was one, so it stays.
    """
    newest = max((store.table.created for store in stores if store.base == 0 and store.found), default=0)
    return [store for store in stores if store.base == 0 or store.table.created > newest]


def _superseded(store: ContiguousStore, taken: Extents) -> ContiguousStore:
    """What is left of a container that a newer one was laid over: images that are whole, but nobody protects them."""
    whole = tuple(image for image in store.found if not image.extents.shift(store.base) & taken)
    found = tuple(replace(image, state=PARTIAL) for image in whole)
    finding = Finding(
        Severity.WARNING, "container.superseded", store.store_id.hex(),
        f"a newer container lies over this one; {len(store.found) - len(found)} of its images are overwritten and "
        f"{len(found)} are without protection",
    )  # fmt: skip
    return replace(store, found=found, table_findings=(*store.table_findings, finding))
