"""Paths of the files that own given clusters, climbed up from the names in their records."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_ntfs.codes import REFERENCE_MASK, AttributeType, Namespace, Number
from inpart_ntfs.mft import Mft
from inpart_ntfs.names import shown
from inpart_ntfs.runs import COUNT, HOLE, LCN, OWNER
from inpart_ntfs.streams import Stream
from inpart_ntfs.structs import FILE_NAME

MAX_DEPTH = 1000
_KEPT = 100_000

Numbers = NDArray[np.int64]


def owners(mft: Mft, extents: Extents) -> Iterator[str]:
    """Paths of files, directories and streams that have clusters in ``extents``, in order of record.

    A file whose names lead nowhere is called ``record 123``.
    """
    paths: dict[int, str] = {}
    for number, stream in sorted(set(_touching(mft, extents))):
        for path in _paths(mft, number, paths):
            yield f"{path}:{stream}" if stream else path


def _touching(mft: Mft, extents: Extents) -> Iterator[tuple[int, str]]:
    """The base record and stream of every attribute with clusters in ``extents``; what is no content has no stream."""
    size = mft.boot.cluster_size
    for window in mft.windows():
        table = window.attributes()
        rows = table.decode(mft.boot.clusters).rows
        rows = rows[rows[:, LCN] != HOLE]
        start = rows[:, LCN] * size
        hit = _overlaps(extents, start, start + rows[:, COUNT] * size)
        chosen = table.pick(np.unique(rows[hit, OWNER]))
        names = chosen.names_of()
        for owner, kind, name in zip(chosen.owner.tolist(), chosen.type.tolist(), names, strict=True):
            yield owner, name if kind == AttributeType.DATA else ""


def _overlaps(extents: Extents, start: Numbers, end: Numbers) -> NDArray[np.bool_]:
    """Which runs ``[start, end)`` have bytes in common with the extents."""
    if not extents:
        return np.zeros(len(start), dtype=bool)
    after = np.searchsorted(extents.array[:, 1], start, side="right")
    inside = after < len(extents)
    return np.asarray(inside & (extents.array[np.minimum(after, len(extents) - 1), 0] < end))


def _paths(mft: Mft, number: int, known: dict[int, str]) -> Iterator[str]:
    """All paths of a file but those with short names."""
    names = _names(mft, number)
    if number == Number.ROOT:
        yield "/"
        return
    if not names:
        yield f"record {number}"
    for parent, name in names:
        above = _path(mft, parent, known)
        yield f"record {number}" if above is None else f"{above.rstrip('/')}/{name}"


def _path(mft: Mft, number: int, known: dict[int, str]) -> str | None:
    """The path of a directory; None if it does not hang below the root."""
    climbed: list[tuple[int, str]] = []
    while number != Number.ROOT and number not in known:
        names = _names(mft, number)
        if not names or len(climbed) == MAX_DEPTH:
            return None
        climbed.append((number, names[0][1]))
        number = names[0][0]
    path = known.get(number, "")
    if len(known) > _KEPT:
        known.clear()
    for one, name in reversed(climbed):
        path = f"{path}/{name}"
        known[one] = path
    return path or "/"


def _names(mft: Mft, number: int) -> list[tuple[int, str]]:
    """Record of the parent and name, for each name of a file but short ones."""
    try:
        file = mft.assembled(number)
    except FilesystemDamaged:
        return []
    return [name for name in map(_name, file.all(AttributeType.FILE_NAME)) if name]


def _name(stream: Stream) -> tuple[int, str] | None:
    if len(stream.value) < FILE_NAME.itemsize:
        return None
    header = np.frombuffer(stream.value, FILE_NAME, 1)[0]
    if int(header["file_name_type"]) == Namespace.DOS:
        return None
    name = stream.value[FILE_NAME.itemsize : FILE_NAME.itemsize + 2 * int(header["file_name_length"])]
    return int(header["parent_directory"]) & REFERENCE_MASK, shown(name[: len(name) // 2 * 2])
