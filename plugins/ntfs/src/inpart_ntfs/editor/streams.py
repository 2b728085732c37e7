"""Streams of files while they are edited: made longer, and written where nobody reads yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Stage
from inpart.errors import FilesystemDamaged

from inpart_ntfs.attributes import attribute_title
from inpart_ntfs.editor.clusters import Numbers, mapped
from inpart_ntfs.editor.drafts import Draft, DraftAttribute
from inpart_ntfs.runs import byte_runs, joined

if TYPE_CHECKING:
    from inpart_ntfs.editor.ground import Ground

NO_ROWS: Numbers = np.empty((0, 3), dtype=np.int64)


def rows_of_stream(attribute: DraftAttribute) -> Numbers:
    """vcn, lcn, count of its clusters; none if it is resident."""
    return attribute.rows if attribute.rows is not None else NO_ROWS


def required(draft: Draft, kind: int, name: str = "") -> DraftAttribute:
    """An attribute that lies in clusters. Raises FilesystemDamaged if there is none or it has holes."""
    found = draft.find(kind, name)
    if found is None or found.rows is None or (found.rows[:, 1] < 0).any():
        title = attribute_title(kind, name)
        raise FilesystemDamaged(f"record {draft.number} has no {title} in clusters", hint="run chkdsk on it first")
    return found


def length(attribute: DraftAttribute) -> int:
    """Clusters that are mapped."""
    return int(rows_of_stream(attribute)[:, 2].sum())


def extend(ground: Ground, attribute: DraftAttribute, rows: Numbers) -> None:
    """Append free clusters, rows of first cluster and count, whatever is in them; the sizes stay.

    They do not count as new data of the transaction: what is put into them keeps its stage.
    """
    ground.ledger.take(rows)
    attribute.rows = joined(np.concatenate([rows_of_stream(attribute), mapped(rows, length(attribute))]))


def put(ground: Ground, attribute: DraftAttribute, offset: int, content: bytes, stage: Stage) -> None:
    """Edit the content of an attribute that lies in clusters."""
    runs = byte_runs(rows_of_stream(attribute), ground.cluster_size)
    ground.edit_runs(runs, offset, content, stage)


def fill_up(ground: Ground, attribute: DraftAttribute) -> None:
    """Zeros behind what was ever written to a stream, so that all of it counts."""
    missing = attribute.data_size - attribute.initialized_size
    if attribute.rows is not None and missing > 0:
        put(ground, attribute, attribute.initialized_size, bytes(missing), Stage.ALLOCATE)
        attribute.initialized_size = attribute.data_size


def lengthen_bitmap(ground: Ground, bitmap: DraftAttribute, size: int, take_clusters: Callable[[int], Numbers]) -> None:
    """Make a bitmap at least ``size`` bytes long; what is added is zero."""
    if size <= bitmap.data_size:
        return
    if bitmap.rows is None:
        bitmap.value = bitmap.value.ljust(size, b"\0")
    else:
        missing = -(-size // ground.cluster_size) - length(bitmap)
        if missing > 0:
            extend(ground, bitmap, take_clusters(missing))
        put(ground, bitmap, bitmap.data_size, bytes(size - bitmap.data_size), Stage.ALLOCATE)
    bitmap.data_size = bitmap.initialized_size = size
