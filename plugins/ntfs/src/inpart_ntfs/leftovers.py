"""Extension records that no attribute list names: what an interrupted change leaves behind, and nobody can reach."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
from inpart.errors import FilesystemDamaged, VolumeError

from inpart_ntfs.attributes import parse_record
from inpart_ntfs.codes import REFERENCE_MASK, AttributeType
from inpart_ntfs.locating import attribute_list
from inpart_ntfs.mft import Mft
from inpart_ntfs.records import Mask, Records

_KEPT = 1024
_SHIFT = np.uint64(48)


class Leftovers:
    """Finds them: extension records whose base record is sound and does not name them, is not there yet, or is deleted.

    What has a damaged base record, or one with a damaged list, is damaged itself and no leftover.
    """

    def __init__(self, mft: Mft) -> None:
        self._mft = mft
        self._named = lru_cache(maxsize=_KEPT)(partial(_named_by, mft))

    def apart(self) -> Iterator[tuple[Records, Records]]:
        """All records, window by window: those that count, used or not, and leftovers."""
        for window in self._mft.windows():
            left = self.among(window)
            yield (window.pick(~left), window.pick(left)) if left.any() else (window, window.pick(left))

    def among(self, records: Records) -> Mask:
        """Which of the records are."""
        found = np.zeros(len(records), dtype=bool)
        rows = np.flatnonzero(records.in_use & records.is_extension)
        own = records.numbers.astype(np.uint64) | records.header["sequence_number"].astype(np.uint64) << _SHIFT
        bases = records.header["base_mft_record"]
        for row in rows.tolist():
            named = self._named(int(bases[row]))
            found[row] = named is not None and int(own[row]) not in named
        return found


def _named_by(mft: Mft, reference: int) -> frozenset[int] | None:
    """The file references in the attribute list of a base record; None if that cannot be said."""
    number, sequence = reference & REFERENCE_MASK, reference >> 48
    if number >= mft.count:
        return None
    base = mft.read(np.array([number], dtype=np.int64))
    if not base.sound.all() or base.is_extension.any():
        return None
    found = int(base["sequence_number"][0])
    if found == sequence % 0xFFFF + 1 or (found == sequence and not base.in_use.all()):
        return frozenset()
    if found != sequence:
        return None
    try:
        record = parse_record(number, base.raw[0].tobytes(), mft.boot.clusters)
        where = record.find(AttributeType.ATTRIBUTE_LIST)
        listed = attribute_list(mft.volume, mft.boot, where) if where else ()
    except (FilesystemDamaged, VolumeError):
        return None
    return frozenset(entry.reference for entry in listed)
