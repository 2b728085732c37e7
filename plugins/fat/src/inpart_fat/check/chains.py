"""Checks of cluster chains against the directory entries that own them, for all files at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from numpy.typing import NDArray

from inpart_fat.chains import Links
from inpart_fat.check.report import error, warning
from inpart_fat.follow import Ending
from inpart_fat.geometry import Clusters
from inpart_fat.inventory import Inventory
from inpart_fat.structs import MAX_DIRECTORY

if TYPE_CHECKING:
    from inpart_fat.filesystem import FatFilesystem

_ENDINGS = {
    Ending.FREE: "its cluster chain leads to a free cluster",
    Ending.BAD: "its cluster chain leads to a bad cluster",
    Ending.OUT_OF_RANGE: "its cluster chain leads to a cluster that does not exist",
    Ending.LOOP: "its cluster chain runs in a loop",
}
_ROOT = -1


def check_chains(filesystem: FatFilesystem) -> Iterator[Finding]:
    """Start clusters, ends, lengths, sharing, and clusters that nobody owns."""
    listing, geometry = filesystem.inventory, filesystem.geometry
    present = geometry.exist(listing.cluster)
    yield from _check_starts(listing, present)
    entries = np.flatnonzero(present)
    heads = listing.cluster[entries]
    if geometry.root_cluster:
        entries = np.append(entries, _ROOT)
        heads = np.append(heads, geometry.root_cluster)
    links = filesystem.links(heads)
    stretch = links.index(heads)
    yield from _check_ends(listing, links, entries, stretch)
    yield from _check_lengths(listing, links, entries, stretch)
    yield from _check_shared(listing, links, entries, stretch)
    yield from _check_lost(links, stretch)


def _check_starts(listing: Inventory, present: NDArray[np.bool_]) -> Iterator[Finding]:
    wrong = np.flatnonzero(~present & ((listing.cluster != 0) | listing.is_dir))
    for entry, path in _named(listing, wrong):
        yield error("start-cluster", path, f"its start cluster {listing.cluster[entry]} does not exist")
    empty = np.flatnonzero((listing.cluster == 0) & ~listing.is_dir & (listing.size > 0))
    for entry, path in _named(listing, empty):
        yield error("size", path, f"it has no cluster, but a size of {listing.size[entry]} bytes")


def _check_ends(listing: Inventory, links: Links, entries: Clusters, stretch: NDArray[np.int64]) -> Iterator[Finding]:
    endings = links.reach.endings[stretch]
    wrong = np.flatnonzero(endings != Ending.END)
    for index, path in _named(listing, entries[wrong], wrong):
        yield error("chain", path, _ENDINGS[Ending(int(endings[index]))])


def _check_lengths(
    listing: Inventory, links: Links, entries: Clusters, stretch: NDArray[np.int64]
) -> Iterator[Finding]:
    size = links.geometry.cluster_size
    proper = links.reach.endings[stretch] == Ending.END
    clusters = links.reach.clusters[stretch]
    is_dir = listing.is_dir[entries] | (entries == _ROOT) if len(listing.is_dir) else entries == _ROOT
    large = np.flatnonzero(proper & is_dir & (clusters > max(1, MAX_DIRECTORY // size)))
    for index, path in _named(listing, entries[large], large):
        yield warning("directory-length", path, f"the directory has {clusters[index] * size} bytes, more than allowed")
    files = np.flatnonzero(proper & ~is_dir)
    needed = -(-listing.size[entries[files]] // size)
    for index, path in _named(listing, entries[files[needed > clusters[files]]], files[needed > clusters[files]]):
        yield error("size", path, _size_message(listing, int(entries[index]), int(clusters[index]) * size))
    for index, path in _named(listing, entries[files[needed < clusters[files]]], files[needed < clusters[files]]):
        yield warning("size", path, _size_message(listing, int(entries[index]), int(clusters[index]) * size))


def _size_message(listing: Inventory, entry: int, chain: int) -> str:
    return f"its size is {listing.size[entry]} bytes, its cluster chain has {chain}"


def _check_shared(listing: Inventory, links: Links, entries: Clusters, stretch: NDArray[np.int64]) -> Iterator[Finding]:
    """Stretches that are entered twice, by two files or by links of two chains; loops are told elsewhere."""
    owned = _marked(links, stretch)
    owned = links.downstream(owned)
    following = links.after[owned]
    entered = np.bincount(following[following < links.count], minlength=links.count)
    entered += np.bincount(stretch, minlength=links.count)
    shared = owned & (entered > 1) & ~links.hollow & (links.reach.endings != Ending.LOOP)
    shared |= np.bincount(stretch, minlength=links.count) > 1
    wrong = np.flatnonzero(links.upstream(shared)[stretch])
    for _, path in _named(listing, entries[wrong], wrong):
        yield error("cross-link", path, "it shares clusters with another file or directory")


def _check_lost(links: Links, stretch: NDArray[np.int64]) -> Iterator[Finding]:
    unowned = ~links.downstream(_marked(links, stretch)) & ~links.hollow
    lost = np.flatnonzero(unowned)
    if len(lost):
        following = links.after[lost]
        following = following[following < links.count]
        chains = len(lost) - len(np.unique(following[unowned[following]]))
        count = int(links.lengths[lost].sum())
        where = f"cluster {links.starts[lost[0]]}"
        yield warning("lost-clusters", where, f"{count} clusters in {max(1, chains)} chains belong to no file")


def _marked(links: Links, stretch: NDArray[np.int64]) -> NDArray[np.bool_]:
    marked = np.zeros(links.count, dtype=bool)
    marked[stretch] = True
    return marked


def _named(
    listing: Inventory, entries: NDArray[np.int64], indices: NDArray[np.int64] | None = None
) -> Iterator[tuple[int, str]]:
    """(index, path) of as many entries as are reported and one more; without ``indices`` the entry is the index."""
    entries = entries[:ENOUGH]
    shown = entries if indices is None else indices[:ENOUGH]
    paths = iter(listing.paths(entries[entries != _ROOT]))
    for entry, index in zip(entries.tolist(), shown.tolist(), strict=True):
        yield index, "/" if entry == _ROOT else next(paths)
