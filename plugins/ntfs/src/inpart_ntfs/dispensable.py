"""What of files need not be imaged: swap and hibernation files, and the slack behind the ends of files."""

from __future__ import annotations

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_ntfs.codes import FIRST_USER, AttributeFlag, AttributeType, Number
from inpart_ntfs.directory import DirectoryReader
from inpart_ntfs.mft import Mft
from inpart_ntfs.runs import COUNT, HOLE, LCN, OWNER, VCN, byte_runs

SWAP_FILES = ("pagefile.sys", "swapfile.sys")
HIBERNATION_FILE = "hiberfil.sys"

_PACKED = AttributeFlag.COMPRESSION_MASK | AttributeFlag.ENCRYPTED

Numbers = NDArray[np.int64]


def swap_space(reader: DirectoryReader, *, hibernated: bool) -> Extents:
    """Clusters of the swap files in the root directory, and of hiberfil.sys behind its first cluster.

    The first cluster says whether there is something to wake up from; ``hibernated`` keeps the whole file.
    """
    found = Extents()
    for name in SWAP_FILES:
        found |= _clusters(reader, name, 0)
    return found if hibernated else found | _clusters(reader, HIBERNATION_FILE, 1)


def _clusters(reader: DirectoryReader, name: str, skip: int) -> Extents:
    place = reader.find(Number.ROOT, name)
    if place is None:
        return Extents()
    folder, index = place
    size = reader.mft.boot.cluster_size
    try:
        stream = reader.mft.assembled(int(folder.record[index])).stream(AttributeType.DATA)
        runs = byte_runs(stream.rows, size) if stream else None
    except FilesystemDamaged:
        return Extents()
    return runs.slice(skip * size, runs.total).extents() if runs else Extents()


def slack(mft: Mft) -> Extents:
    """Whole sectors behind the last byte of each stream of users' files, inside its last cluster."""
    found = [np.empty((0, 2), dtype=np.int64)]
    for window in mft.windows():
        table = window.attributes()
        plain = (table.type == AttributeType.DATA) & table.non_resident & (table.owner >= FIRST_USER)
        plain &= (table.flags & _PACKED == 0) & (table.lowest_vcn == 0) & (table.data_size > 0)
        table = table.pick(plain)
        found.append(_tails(mft, table.decode(mft.boot.clusters).rows, table.data_size))
        for index in np.flatnonzero((table.data_size - 1) // mft.boot.cluster_size > table.highest_vcn).tolist():
            one = table.pick(np.array([index]))
            found.append(_far_tail(mft, int(one.owner[0]), one.names_of()[0]))
    return Extents(np.concatenate(found))


def _far_tail(mft: Mft, number: int, name: str) -> Numbers:
    """The same for a stream whose last cluster is mapped in another record."""
    try:
        stream = mft.assembled(number).stream(AttributeType.DATA, name)
        rows = stream.rows if stream else np.empty((0, 3), dtype=np.int64)
    except FilesystemDamaged:
        return np.empty((0, 2), dtype=np.int64)
    size = np.array([stream.data_size if stream else 0], dtype=np.int64)
    return _tails(mft, np.column_stack([np.zeros(len(rows), dtype=np.int64), rows]), size)


def _tails(mft: Mft, rows: Numbers, sizes: Numbers) -> Numbers:
    """Where last clusters are not used up: start and end of the sectors behind; owners in ``rows`` index ``sizes``."""
    cluster, sector = mft.boot.cluster_size, mft.boot.bytes_per_sector
    size = sizes[rows[:, OWNER]]
    last = (size - 1) // cluster
    rest = -(-size // sector) * sector % cluster
    hit = (rows[:, VCN] <= last) & (last < rows[:, VCN] + rows[:, COUNT]) & (rows[:, LCN] != HOLE) & (rest > 0)
    start = (rows[:, LCN] + last - rows[:, VCN])[hit] * cluster
    return np.stack([start + rest[hit], start + cluster], axis=1)
