"""Directory slots to entries: short and long names, deleted slots, labels, and where each lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inpart_fat import structs
from inpart_fat.structs import CHARS_PER_SLOT, DIR, LDIR, MAX_NAME_SLOTS, SLOT

OEM_CODE_PAGE = "cp437"
"""Linux and DOS read short names so unless told otherwise."""

_UNSAFE = str.maketrans({"/": "\ufffd", "\0": "\ufffd"})


@dataclass(frozen=True, slots=True)
class DirEntry:
    """One file or directory. ``slot`` is the index of its short slot, ``first_slot`` of the first of its long name.

    ``short`` are the 11 bytes as stored; ``name`` is what users see. Dates and times are as stored.
    """

    name: str
    short: bytes
    attributes: int
    cluster: int
    size: int
    wrt_date: int
    wrt_time: int
    slot: int
    first_slot: int

    @property
    def alias(self) -> str:
        """The short name as text, in capitals."""
        return short_text(self.short)

    @property
    def is_dir(self) -> bool:
        """True for directories."""
        return bool(self.attributes & structs.ATTR_DIRECTORY)

    @property
    def modified(self) -> datetime | None:
        """Local time of the last change, without a time zone because FAT stores none; None if it is no date."""
        return decode_time(self.wrt_date, self.wrt_time)


class Slots:
    """The content of one directory as arrays, one element for each of the slots before the end mark.

    ``count`` is the number of slots in the directory, ``end`` the index of the end mark (``count`` if there is none).
    ``dirs`` and ``longs`` are views of the slots up to ``end`` as either structure.
    """

    def __init__(self, data: bytes | bytearray | memoryview, *, fat32: bool) -> None:
        """``data`` is the whole directory; what is behind the last whole slot is ignored."""
        self.data = memoryview(data)[: len(data) // SLOT * SLOT]
        self.fat32 = fat32
        self.count = len(self.data) // SLOT
        marks = np.frombuffer(self.data, dtype=np.uint8)[::SLOT]
        ends = np.flatnonzero(marks == structs.END_MARK)
        self.end = int(ends[0]) if len(ends) else self.count
        self.dirs = np.frombuffer(self.data, dtype=DIR, count=self.end)
        self.longs = np.frombuffer(self.data, dtype=LDIR, count=self.end)
        self.live: NDArray[np.bool_] = marks[: self.end] != structs.DELETED_MARK
        attributes = self.dirs["DIR_Attr"]
        part = attributes & structs.ATTR_LONG_NAME_MASK == structs.ATTR_LONG_NAME
        self.long: NDArray[np.bool_] = self.live & part
        self.short: NDArray[np.bool_] = self.live & ~part

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Indices of volume labels."""
        return np.flatnonzero(self.short & (self.dirs["DIR_Attr"] & structs.ATTR_VOLUME_ID != 0))

    @cached_property
    def dots(self) -> NDArray[np.int64]:
        """Indices of the entries ``.`` and ``..``, wherever they are."""
        names = self.dirs["DIR_Name"]
        dot = (names[:, 0] == ord(".")) & (names[:, 2:] == ord(" ")).all(axis=1)
        return np.flatnonzero(self.short & dot & ((names[:, 1] == ord(".")) | (names[:, 1] == ord(" "))))

    @cached_property
    def files(self) -> NDArray[np.int64]:
        """Indices of the short slots of files and directories: no labels, no ``.`` and ``..``."""
        chosen = self.short.copy()
        chosen[self.labels] = False
        chosen[self.dots] = False
        return np.flatnonzero(chosen)

    @cached_property
    def clusters(self) -> NDArray[np.int64]:
        """First cluster of each slot, read as a short entry."""
        low = self.dirs["DIR_FstClusLO"].astype(np.int64)
        return low | self.dirs["DIR_FstClusHI"].astype(np.int64) << 16 if self.fat32 else low

    @cached_property
    def first_slots(self) -> NDArray[np.int64]:
        """For each slot the first slot of its long name if it has a proper one, else the slot itself."""
        number = np.arange(self.end)
        if not self.long.any():
            return number
        follower = np.where(self.long, self.end, number)
        follower = np.minimum.accumulate(follower[::-1])[::-1]
        sums = np.append(structs.short_checksums(self.dirs["DIR_Name"]), 0)
        owned = np.append(self.short, False)[follower]
        order = self.longs["LDIR_Ord"]
        proper = owned & (order & structs.ORD_MASK == follower - number) & (order & 0x80 == 0)
        proper &= (self.longs["LDIR_Chksum"] == sums[follower]) & (self.longs["LDIR_Type"] == 0)
        breaks = np.maximum.accumulate(np.where(self.long & proper, -1, number))
        heads = self.long & (order & structs.LAST_LONG_ENTRY != 0)
        head = np.maximum.accumulate(np.where(heads, number, -1))
        previous = np.arange(-1, self.end - 1)
        named = self.short & (head > np.append(-1, breaks[:-1])) & (head < number) & (previous >= 0)
        named &= number - head <= MAX_NAME_SLOTS
        return np.where(named, head, number)

    @cached_property
    def stray(self) -> NDArray[np.int64]:
        """Indices of long name slots that belong to no entry."""
        change = np.zeros(self.end + 1, dtype=np.int32)
        starts = self.first_slots[self.short]
        np.add.at(change, starts, 1)
        np.add.at(change, np.flatnonzero(self.short), -1)
        return np.flatnonzero(self.long & (np.cumsum(change[:-1]) == 0))

    def entries(self) -> Iterator[DirEntry]:
        """Files and directories in the order of their slots."""
        chosen = self.files
        picked = self.dirs[chosen]
        columns = zip(
            chosen.tolist(),
            self.first_slots[chosen].tolist(),
            self.names(chosen),
            (bytes(name) for name in picked["DIR_Name"].reshape(-1, 11)),
            picked["DIR_Attr"].tolist(),
            self.clusters[chosen].tolist(),
            picked["DIR_FileSize"].tolist(),
            picked["DIR_WrtDate"].tolist(),
            picked["DIR_WrtTime"].tolist(),
            strict=True,
        )
        for slot, first, name, short, attributes, cluster, size, date, time in columns:
            yield DirEntry(name, short, attributes, cluster, size, date, time, slot, first)

    def name(self, slot: int) -> str:
        """The name of the entry whose short slot is given."""
        return self.names(np.array([slot]))[0]

    def names(self, slots: NDArray[np.int64]) -> list[str]:
        """The names of the entries whose short slots are given: the long one, or the short one as users see it."""
        names = short_names(self.dirs[slots])
        parts = slots - self.first_slots[slots]
        for count in np.unique(parts[parts > 0]).tolist():
            chosen = np.flatnonzero(parts == count)
            rows = slots[chosen, None] - 1 - np.arange(count)
            block = self._characters[rows].reshape(len(chosen), count * CHARS_PER_SLOT)
            for index, row in zip(chosen.tolist(), block, strict=True):
                long = row.tobytes().decode("utf-16-le", "replace").partition("\0")[0].translate(_UNSAFE)
                if long.strip(". "):
                    names[index] = long
        return names

    @cached_property
    def _characters(self) -> NDArray[np.uint16]:
        """The 13 UTF-16 code units of each slot, read as a part of a long name."""
        parts = [self.longs["LDIR_Name1"], self.longs["LDIR_Name2"], self.longs["LDIR_Name3"]]
        return np.concatenate(parts, axis=1)


def short_names(records: NDArray[np.void]) -> list[str]:
    """The names of short slots as users see them: with a dot, and in the case that DIR_NTRes says."""
    raw = records["DIR_Name"].reshape(-1, 11).copy()
    raw[raw[:, 0] == structs.KANJI_E5, 0] = structs.DELETED_MARK
    text = raw.tobytes().decode(OEM_CODE_PAGE)
    names = []
    for index, case in enumerate(records["DIR_NTRes"].tolist()):
        base = text[index * 11 : index * 11 + 8].rstrip(" ")
        extension = text[index * 11 + 8 : index * 11 + 11].rstrip(" ")
        if case & structs.NT_LOWER_BASE:
            base = base.lower()
        if case & structs.NT_LOWER_EXT:
            extension = extension.lower()
        names.append((f"{base}.{extension}" if extension else base).translate(_UNSAFE))
    return names


def short_text(short: bytes) -> str:
    """The 11 bytes of one short name as text with a dot, in capitals."""
    record = np.zeros(1, dtype=DIR)
    record["DIR_Name"] = np.frombuffer(short, dtype=np.uint8)
    return short_names(record)[0]


def decode_time(date: int, time: int) -> datetime | None:
    """DIR_WrtDate and DIR_WrtTime as local time; None if they are no valid date."""
    try:
        return datetime(
            1980 + (date >> 9), date >> 5 & 15, date & 31, time >> 11, time >> 5 & 63, min((time & 31) * 2, 59)
        )
    except ValueError:
        return None
