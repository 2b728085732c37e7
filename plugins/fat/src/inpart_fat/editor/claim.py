"""Claiming and releasing: files in ``/.inpart`` that own given clusters, in an order that no power cut can harm.

A file whose clusters are all free, or its own already, appears in stage SWITCH. A file that takes over clusters of
another one is *late*: its old entry is emptied and the other file's entry leaves the clusters in SWITCH, they are
chained anew in FOLLOW, and only in RELEASE does the entry lead to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
from inpart.contracts import Claim, Stage, checked_claims
from inpart.errors import FilesystemUnsupported, UsageError
from inpart.extents import Extents, Runs

from inpart_fat.directory import DirEntry
from inpart_fat.editor.cells import TableWriter, check_free, cluster_windows
from inpart_fat.editor.folder import FolderWriter
from inpart_fat.editor.home import Home
from inpart_fat.editor.names import check_name, fat_date, fat_time
from inpart_fat.editor.store import MAX_FILE, NAME, PROTECTED, claim_of, files_of, find_store
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.geometry import Geometry

_WINDOW = 1 << 17
_HINT = "this is for inpart alone; rename what stands there"


class Claimer:
    """One call of ``claim`` or ``release``."""

    def __init__(self, fs: FatFilesystem, writer: TableWriter) -> None:
        """Raises FilesystemUnsupported if ``/.inpart`` is a file."""
        self.fs = fs
        self.geometry: Geometry = fs.geometry
        self.writer = writer
        self.when = datetime.now()
        self.store = find_store(fs)
        if self.store is not None and not self.store.is_dir:
            raise FilesystemUnsupported(f"/{NAME} is a file, not a directory", hint=_HINT)
        self.files = files_of(fs, self.store) if self.store is not None else {}

    def claim(self, claims: Sequence[Claim], directory: Runs) -> None:
        """Raises NoSpace, UsageError, FilesystemUnsupported, FilesystemDamaged."""
        wanted = self._check(claims, directory)
        if not wanted:
            return
        old = {name: claim_of(self.fs, self.files[name]) for name in wanted if name in self.files}
        owned = _union(old.values())
        reserved = _union(claims) | directory.extents()
        check_free(self.writer, _union(claims) - owned)
        late = {name for name, claim in wanted.items() if self._is_late(claim, old.get(name), owned)}
        home = Home(self.fs, self.writer, self.store, self.when, reserved)
        folder = home.open(directory, late=bool(late))
        for stage in (Stage.ALLOCATE, Stage.FOLLOW):
            for claim in claims:
                self._chain(claim.runs, stage)
        for name, claim in wanted.items():
            entry = self.files.get(name)
            if entry is None:
                folder.insert(claim.name, PROTECTED, self._head(claim), claim.size, self.when, home.more)
            elif old[name] != claim:
                self._lead(folder, entry, claim, late=name in late)
        for window in cluster_windows(self.geometry, (owned - _union(claims))):
            self.writer.free(window)
        self.writer.count()

    def release(self, names: Sequence[str]) -> None:
        """Raises UsageError for a name that is not there, FilesystemDamaged."""
        missing = [name for name in names if name.lower() not in self.files]
        if missing or self.store is None:
            raise UsageError(f"there is no file {missing[0] if missing else ''} in /{NAME}")
        folder = FolderWriter(self.fs.reader, self.writer, self.store.cluster)
        gone = {name.lower(): self.files[name.lower()] for name in names}
        freed = _union(claim_of(self.fs, entry) for entry in gone.values())
        if len(folder.slots.files) == len(gone):
            FolderWriter(self.fs.reader, self.writer, 0).remove(self.store, Stage.SWITCH)
            freed |= self.geometry.extents(folder.clusters)
        else:
            for entry in gone.values():
                folder.remove(entry, Stage.SWITCH)
        for window in cluster_windows(self.geometry, freed):
            self.writer.free(window)
        self.writer.count()

    def _check(self, claims: Sequence[Claim], directory: Runs) -> dict[str, Claim]:
        """The claims by lower-case name."""
        for claim in claims:
            check_name(claim.name)
            if claim.size > MAX_FILE:
                raise FilesystemUnsupported(
                    f"{claim.name} would have {claim.size} bytes, a file on FAT can have {MAX_FILE}",
                    hint="choose a smaller file size limit",
                )
        area = self.geometry.data_start, self.geometry.data_end
        return checked_claims(claims, directory, area, self.geometry.cluster_size, str.lower)

    def _is_late(self, claim: Claim, old: Claim | None, owned: Extents) -> bool:
        """True if the file takes clusters that another one has, or had when the transaction began."""
        if old is not None and old.runs == claim.runs:
            return False
        if claim.runs.extents() & owned:
            return True
        freed = self.writer.changes.freed
        return any(freed.of(window).any() for window in cluster_windows(self.geometry, claim.runs.extents()))

    def _head(self, claim: Claim) -> int:
        return self.geometry.cluster_at(int(claim.runs.array[0, 0])) if len(claim.runs) else 0

    def _chain(self, runs: Runs, stage: Stage) -> None:
        """Chain the clusters along ``runs``: in ALLOCATE the free ones, in FOLLOW those that belonged to a file."""
        size, total, table = self.geometry.cluster_size, runs.total, self.writer.table
        for at in range(0, total, _WINDOW * size):
            path = self.geometry.clusters_of(runs.slice(at, (_WINDOW + 1) * size))
            clusters, following = path[:_WINDOW], path[1 : _WINDOW + 1]
            if len(following) < len(clusters):
                following = np.append(following, self.geometry.end_of_chain)
            current = table.at(clusters).astype(np.int64)
            current = np.where(current > self.geometry.bad, self.geometry.end_of_chain, current)
            chosen = current == 0 if stage is Stage.ALLOCATE else current != following
            self.writer.set(clusters[chosen], following[chosen], stage)

    def _lead(self, folder: FolderWriter, entry: DirEntry, claim: Claim, *, late: bool) -> None:
        """Let the entry lead to other clusters; to none as long as another file may have them."""
        if late:
            self._replace(folder, entry, 0, 0, Stage.SWITCH)
        self._replace(folder, entry, self._head(claim), claim.size, Stage.RELEASE if late else Stage.SWITCH)

    def _replace(self, folder: FolderWriter, entry: DirEntry, cluster: int, size: int, stage: Stage) -> None:
        date, time = fat_date(self.when), fat_time(self.when)
        dates = {"DIR_WrtDate": date, "DIR_WrtTime": time, "DIR_LstAccDate": date}
        folder.update(entry, {"DIR_Attr": PROTECTED, "DIR_FileSize": size, **dates}, cluster, stage)


def _union(claims: Iterable[Claim]) -> Extents:
    """Every byte of the files."""
    return Extents.union(claim.runs.extents() for claim in claims)
