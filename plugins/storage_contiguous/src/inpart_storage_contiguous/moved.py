"""A container whose files were moved, by a defragmenter or a resizing tool: read through the file system's own runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from inpart.contracts import Claim, Finding, Severity
from inpart.errors import IntegrityError, VolumeError
from inpart.extents import Runs
from inpart.volume import Volume

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.assembly import newest_table
from inpart_storage_contiguous.entries import Entry
from inpart_storage_contiguous.headers import SegmentHeader
from inpart_storage_contiguous.placement import Placement
from inpart_storage_contiguous.publishing import claims_of
from inpart_storage_contiguous.rebuild import FoundImage
from inpart_storage_contiguous.scan import Marks
from inpart_storage_contiguous.store import ContiguousStore
from inpart_storage_contiguous.structs import SEGMENT_HEADER


def moved_store(volume: Volume, marks: Marks, claims: Sequence[Claim]) -> ContiguousStore | None:
    """The store of the newest table in ``marks`` if its files lie elsewhere and are gone from where they were.

    None if nothing was moved, or if all is still where it was written too: then those clusters are to be claimed again.
    ``toc_begin`` and the partial tables are not looked at: a commit that was cut short may have moved them.
    """
    found = [
        (base, table) for (_, base), group in marks.groups.items() if (table := newest_table(volume, group)) is not None
    ]
    if not found:
        return None
    base, table = max(found, key=lambda pair: (pair[1].generation, pair[0] == 0))
    actual = {claim.name.lower(): claim.runs for claim in claims}
    elsewhere = [
        claim.name
        for claim in claims_of(table)
        if not naming.is_shifting(claim.name) and actual.get(claim.name.lower(), claim.runs) != claim.runs
    ]
    gone = base != 0 or not all(_in_place(volume, entry) for entry in table.entries)
    if not elsewhere or not gone:
        return None
    finding = Finding(
        Severity.WARNING, "container.moved", ", ".join(elsewhere[:3]),
        f"{len(elsewhere)} files of the container were moved; without the file system their images cannot be found",
    )  # fmt: skip
    entries = tuple(_moved(entry, actual) for entry in table.entries)
    images = tuple(FoundImage.of(entry) for entry in entries)
    known = {claim.name.lower() for claim in claims_of(table)}
    files = tuple(claim for claim in claims if claim.name.lower() in known)
    return ContiguousStore(volume, 0, replace(table, entries=entries), images, (finding,), moved=files)


def _in_place(volume: Volume, entry: Entry) -> bool:
    """True if every segment header is where the table says."""
    for number, place in enumerate(entry.placement.places.tolist()):
        try:
            header = SegmentHeader.unpack(volume.read(place, SEGMENT_HEADER))
        except (IntegrityError, VolumeError):
            return False
        if (header.image_id, header.sequence) != (entry.image_id, number):
            return False
    return True


def _moved(entry: Entry, actual: Mapping[str, Runs]) -> Entry:
    """The entry with its segments where its files are now; as it was if a file is missing or has another size."""
    was = [runs.total for runs in entry.placement.files()]
    now = [actual.get(name.lower(), Runs()) for name in entry.files]
    if was != [runs.total for runs in now]:
        return entry
    path = np.concatenate([runs.array for runs in now])
    return replace(entry, placement=_laid(entry.placement, path))


def _laid(placement: Placement, path: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Placement:
    """The same segments along another path of the same length."""
    ends = np.cumsum(path[:, 1])
    cuts = np.cumsum(placement.allocated)
    points = np.union1d(ends, cuts)
    begins = np.concatenate([[0], points[:-1]])
    run = np.searchsorted(ends, begins, side="right")
    starts = path[run, 0] + begins - (ends[run] - path[run, 1])
    owner = np.searchsorted(cuts, begins, side="right")
    counts = np.bincount(owner, minlength=len(placement)).astype(np.int64)
    return replace(placement, runs=np.stack([starts, points - begins], axis=1), run_counts=counts)
