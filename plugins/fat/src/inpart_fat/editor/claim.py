"""Claiming and releasing: files in ``/.inpart`` that own given clusters, in an order that no power cut can harm.

A file whose clusters are all free, or its own already, appears in stage SWITCH. A file that takes over clusters of
another one is *late*: its old entry is emptied and the other file's entry leaves the clusters in SWITCH, they are
chained anew in FOLLOW, and only in RELEASE does the entry lead to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import numpy as np
from inpart.contracts import Claim, Stage
from inpart.errors import FilesystemUnsupported, NoSpace, UsageError
from inpart.extents import Extents, Runs
from inpart.units import format_size

from inpart_fat.directory import DirEntry
from inpart_fat.editor.cells import TableWriter, cluster_mask, first_true
from inpart_fat.editor.folder import FolderWriter, link_chain
from inpart_fat.editor.names import check_name, dot_slots, fat_date, fat_time
from inpart_fat.editor.store import MAX_FILE, NAME, PROTECTED, claim_of, files_of, find_store
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.geometry import Clusters, Geometry
from inpart_fat.structs import ATTR_DIRECTORY, DIR, MAX_DIRECTORY, SLOT

_WINDOW = 1 << 20
_HINT = "this is for inpart alone; rename what stands there"


class Claimer:
    """One call of ``claim`` or ``release``."""

    def __init__(self, fs: FatFilesystem, writer: TableWriter, dropped: set[int]) -> None:
        """Raises FilesystemUnsupported if ``/.inpart`` is a file."""
        self.fs = fs
        self.geometry: Geometry = fs.geometry
        self.writer = writer
        self.dropped = dropped
        self.when = datetime.now()
        self.store = find_store(fs)
        if self.store is not None and not self.store.is_dir:
            raise FilesystemUnsupported(f"/{NAME} is a file, not a directory", hint=_HINT)
        self.files = files_of(fs, self.store) if self.store is not None else {}
        self.reserved = Extents()

    def claim(self, claims: Sequence[Claim], directory: Runs) -> None:
        """Raises NoSpace, UsageError, FilesystemUnsupported, FilesystemDamaged."""
        wanted = self._check(claims)
        before = self.writer.table.free().sum()
        old = {name: claim_of(self.fs, self.files[name]) for name in wanted if name in self.files}
        owned = _union(old.values())
        self.reserved = _union(claims) | directory.extents()
        if self.reserved.total < _union(claims).total + directory.extents().total:
            raise UsageError(f"the directory /{NAME} and its files are to have the same clusters")
        self._check_free(_union(claims) - owned)
        late = {name for name, claim in wanted.items() if self._is_late(claim, old.get(name), owned)}
        folder = self._open_folder(directory, late=bool(late))
        for name, claim in wanted.items():
            self._chain(claim.runs)
            entry = self.files.get(name)
            if entry is None:
                folder.insert(claim.name, PROTECTED, self._head(claim), claim.size, self.when, self._more)
            elif name in late:
                self._replace(folder, entry, 0, 0, Stage.SWITCH)
                self._replace(folder, entry, self._head(claim), claim.size, Stage.RELEASE)
            else:
                self._replace(folder, entry, self._head(claim), claim.size, Stage.SWITCH)
        for window in _windows(self.geometry, (owned - _union(claims))):
            self.writer.free(window)
        self.writer.count(int(self.writer.table.free().sum() - before))

    def release(self, names: Sequence[str]) -> None:
        """Raises UsageError for a name that is not there, FilesystemDamaged."""
        missing = [name for name in names if name.lower() not in self.files]
        if missing or self.store is None:
            raise UsageError(f"there is no file {missing[0] if missing else ''} in /{NAME}")
        before = self.writer.table.free().sum()
        folder = self._folder(self.store.cluster)
        gone = {name.lower(): self.files[name.lower()] for name in names}
        freed = _union(claim_of(self.fs, entry) for entry in gone.values())
        if len(folder.slots.files) == len(gone):
            self._folder(0).remove(self.store, Stage.SWITCH)
            freed |= self.geometry.extents(folder.clusters)
        else:
            for entry in gone.values():
                folder.remove(entry, Stage.SWITCH)
        for window in _windows(self.geometry, freed):
            self.writer.free(window)
        self.writer.count(int(self.writer.table.free().sum() - before))

    def _check(self, claims: Sequence[Claim]) -> dict[str, Claim]:
        """The claims by lower-case name."""
        geometry, size = self.geometry, self.geometry.cluster_size
        area = Extents.span(geometry.data_start, geometry.data_end)
        for claim in claims:
            check_name(claim.name)
            if claim.size > MAX_FILE:
                raise FilesystemUnsupported(
                    f"{claim.name} would have {claim.size} bytes, a file on FAT can have {MAX_FILE}",
                    hint="choose a smaller file size limit",
                )
            skewed = (claim.runs.array - (geometry.data_start, 0)) % size
            if skewed.any() or not area.covers(claim.runs.extents()):
                raise UsageError(f"{claim.name} is to be put where no clusters are")
            if claim.runs.total != -(-claim.size // size) * size:
                raise UsageError(f"{claim.name} has {claim.size} bytes and {claim.runs.total} bytes of clusters")
        wanted = {claim.name.lower(): claim for claim in claims}
        if len(wanted) < len(claims) or _union(claims).total != sum(claim.runs.total for claim in claims):
            raise UsageError("two files are to have the same name or the same clusters")
        return wanted

    def _check_free(self, needed: Extents) -> None:
        for window in _windows(self.geometry, needed):
            used = window[self.writer.table.next[window] != 0]
            if len(used):
                offset = self.geometry.offset(int(used[0]))
                raise NoSpace(
                    f"cluster {used[0]} at byte {offset} is to be claimed, but it is in use",
                    hint="the file system has changed meanwhile; repeat the command",
                )

    def _is_late(self, claim: Claim, old: Claim | None, owned: Extents) -> bool:
        """True if the file takes clusters that another one has, or had when the transaction began."""
        if old is not None and old.runs == claim.runs:
            return False
        if claim.runs.extents() & owned:
            return True
        freed = self.writer.freed
        return any(freed[window].any() for window in _windows(self.geometry, claim.runs.extents()))

    def _head(self, claim: Claim) -> int:
        return self.geometry.cluster_at(int(claim.runs.array[0, 0])) if len(claim.runs) else 0

    def _chain(self, runs: Runs) -> None:
        """Chain the clusters along ``runs``: free ones at once, those that belong to a file after it has let go."""
        size, total, table = self.geometry.cluster_size, runs.total, self.writer.table
        for at in range(0, total, _WINDOW * size):
            path = self.geometry.clusters_of(runs.slice(at, (_WINDOW + 1) * size))
            clusters, following = path[:_WINDOW], path[1 : _WINDOW + 1]
            if len(following) < len(clusters):
                following = np.append(following, self.geometry.end_of_chain)
            current = table.next[clusters].astype(np.int64)
            current = np.where(current > self.geometry.bad, self.geometry.end_of_chain, current)
            free, changed = current == 0, (current != 0) & (current != following)
            self.writer.set(clusters[free], following[free], Stage.ALLOCATE)
            self.writer.set(clusters[changed], following[changed], Stage.FOLLOW)

    def _replace(self, folder: FolderWriter, entry: DirEntry, cluster: int, size: int, stage: Stage) -> None:
        slot = np.frombuffer(folder.data, dtype=DIR, count=1, offset=entry.slot * SLOT).copy()
        slot["DIR_Attr"] = PROTECTED
        slot["DIR_FstClusLO"], slot["DIR_FileSize"] = cluster & 0xFFFF, size
        if self.geometry.fat32:
            slot["DIR_FstClusHI"] = cluster >> 16
        slot["DIR_WrtDate"], slot["DIR_WrtTime"] = fat_date(self.when), fat_time(self.when)
        slot["DIR_LstAccDate"] = slot["DIR_WrtDate"]
        folder.put(entry.slot, slot.tobytes(), stage)

    def _open_folder(self, directory: Runs, *, late: bool) -> FolderWriter:
        """The directory, made if need be, with all of the ``directory`` clusters that are meant for it."""
        limit = MAX_DIRECTORY // self.geometry.cluster_size
        meant = self.geometry.clusters_of(directory.slice(0, MAX_DIRECTORY))
        if self.store is None:
            return self._make_folder(meant)
        stages = (Stage.FOLLOW, Stage.RELEASE) if late else (Stage.LINK, Stage.SWITCH)
        folder = self._folder(self.store.cluster, *stages)
        more = meant[~np.isin(meant, folder.clusters)][: limit - len(folder.clusters)]
        if len(more):
            self._check_free(self.geometry.extents(more))
            folder.grow(more)
        return folder

    def _make_folder(self, meant: Clusters) -> FolderWriter:
        self._check_free(self.geometry.extents(meant))
        clusters = meant if len(meant) else self._more(1)
        link_chain(self.writer, clusters)
        first = int(clusters[0])
        for start, length in self.geometry.runs(clusters):
            self.writer.tx.write(start, bytes(length))
        self.writer.tx.write(self.geometry.offset(first), dot_slots(first, 0, PROTECTED, self.when))
        self._folder(0).insert(NAME, PROTECTED | ATTR_DIRECTORY, first, 0, self.when, self._more_for_root)
        return self._folder(first)

    def _folder(self, cluster: int, prepare: Stage = Stage.LINK, reveal: Stage = Stage.SWITCH) -> FolderWriter:
        return FolderWriter(self.fs.reader, self.writer, cluster, dropped=self.dropped, prepare=prepare, reveal=reveal)

    def _more(self, count: int) -> Clusters:
        """Free clusters for the directory, the highest ones."""
        return len(self.fs.table.next) - 1 - self._available(count, step=-1)[::-1]

    def _more_for_root(self, count: int) -> Clusters:
        """Free clusters for the root directory, the lowest ones."""
        return self._available(count, step=1)

    def _available(self, count: int, *, step: int) -> Clusters:
        """Places of the first clusters in one direction that are free and meant for nothing else. Raises NoSpace."""
        usable = self.writer.table.free() & ~self.writer.freed & ~cluster_mask(self.geometry, self.reserved)
        found = first_true(usable[::step], count)
        if len(found) < count:
            raise NoSpace(
                f"a directory needs {format_size(count * self.geometry.cluster_size)}, no cluster is left for it",
                hint="remove a file",
            )
        return found


def _union(claims: Iterable[Claim]) -> Extents:
    """Every byte of the files."""
    return Extents(np.concatenate([np.empty((0, 2), np.int64), *(claim.runs.extents().array for claim in claims)]))


def _windows(geometry: Geometry, extents: Extents) -> Iterator[Clusters]:
    """The clusters of whole-cluster extents in arrays of bounded length."""
    for start, end in extents.shift(-geometry.data_start).split(_WINDOW * geometry.cluster_size).tolist():
        first = start // geometry.cluster_size + 2
        yield np.arange(first, first + (end - start) // geometry.cluster_size)
