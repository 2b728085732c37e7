"""Files that a change left behind which was cut short and then given up instead of resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inpart.contracts import Claim
from inpart.extents import Extents
from inpart.units import SECTOR
from inpart.volume import Volume

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.headers import SegmentHeader
from inpart_storage_contiguous.scan import Marks, scan_extents
from inpart_storage_contiguous.store import ContiguousStore
from inpart_storage_contiguous.structs import ImageState


def first_headers(volume: Volume, claims: Sequence[Claim]) -> Iterator[tuple[Claim, SegmentHeader]]:
    """The files that begin with a segment of some container, and its header."""
    places = {
        int(claim.runs.array[0, 0]): claim for claim in claims if claim.runs and not naming.is_control(claim.name)
    }
    heads = Extents([(start, start + SECTOR) for start in places]).clip(0, volume.size)
    marks = Marks()
    scan_extents(volume, heads, marks)
    for (_, base), group in marks.groups.items():
        for header in group.headers():
            claim = places.get(base + header.own_offset)
            if claim is not None:
                yield claim, header


def abandoned(volume: Volume, claims: Sequence[Claim], store: ContiguousStore) -> tuple[str, ...]:
    """Names of files of images that ``store`` does not have because they were never committed, or were removed.

    With them go the tables that the store does not have, and files that a checker has emptied. The store must have an
    image, or no other file may belong to one.
    """
    if store.moved or store.base:
        return ()
    known = {claim.name.lower() for claim in store.claims().claims}
    unlisted = [claim for claim in claims if claim.name.lower() not in known]
    dead = {
        naming.stem_of(claim.name)
        for claim, header in first_headers(volume, unlisted)
        if header.container_id == store.store_id and header.sequence == 0 and header.state != ImageState.COMMITTED
    }
    of_images = [claim for claim in unlisted if naming.stem_of(claim.name)]
    files = [claim.name for claim in of_images if not claim.runs or naming.stem_of(claim.name) in dead]
    others = [claim.name for claim in of_images if claim.name not in files]
    if not dead or (others and not store.found):
        return ()
    return (*files, *(claim.name for claim in unlisted if naming.is_control(claim.name)))
