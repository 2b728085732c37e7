"""FAT as a file system of the contract: the editor."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import Claim, Edits, FilesystemEditor, Place, Vacated
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents, Runs
from inpart.volume import Volume

from inpart_fat.editor.bootfields import set_boot_field
from inpart_fat.editor.cells import TableWriter
from inpart_fat.editor.claim import Claimer
from inpart_fat.editor.mover import Mover
from inpart_fat.editor.shrink import shrink
from inpart_fat.editor.store import claim_of, files_of, find_store
from inpart_fat.editor.vacate import Region
from inpart_fat.filesystem import FatFilesystem

_HIDDEN_LIMIT = 1 << 32


class FatEditor(FatFilesystem, FilesystemEditor):
    """A FAT file system whose files can be moved, and that can be made to own given clusters."""

    def __init__(self, volume: Volume) -> None:
        """Raises FilesystemUnsupported if there is no FAT file system, FilesystemDamaged, VolumeError."""
        super().__init__(volume)
        self._writer: TableWriter | None = None

    def free(self) -> Extents:
        return Extents.span(self.geometry.data_start, self.geometry.data_end) - self.usage.used - self.usage.bad

    def immovable(self) -> Extents:
        return self.usage.bad

    def vacate(self, region: Extents, tx: Edits, *, avoid: Extents) -> Vacated:
        """Raises also FilesystemDamaged for what belongs to no file or to several."""
        writer = self._edit(tx)
        work = Region(self.table, region, avoid, writer.changes.freed)
        before = work.left
        rewritten = tx.fresh & region.align_out(self.geometry.sector_size)
        while work.left and not tx.full:
            batch = work.next_batch(tx.view, writer.table)
            moved = Mover(batch, writer, rewritten).move()
            work.done(batch.sources[moved], batch.targets[moved])
            if self.geometry.root_cluster in batch.sources:
                self._reopen()
        writer.count()
        self._forget()
        size = self.geometry.cluster_size
        return Vacated((before - work.left) * size, work.left * size)

    def claim(self, claims: Sequence[Claim], tx: Edits, *, directory: Runs) -> None:
        """Raises also UsageError for names and runs that cannot be."""
        Claimer(self, self._edit(tx)).claim(claims, directory)
        self._forget()

    def release(self, names: Sequence[str], tx: Edits) -> None:
        """Raises UsageError for a name that is not in ``/.inpart``."""
        if names:
            Claimer(self, self._edit(tx)).release(names)
            self._forget()

    def claims(self) -> tuple[Claim, ...]:
        store = find_store(self)
        if store is None or not store.is_dir:
            return ()
        return tuple(claim_of(self, entry) for entry in files_of(self, store).values())

    def adapt(self, place: Place, tx: Edits) -> None:
        """Set the number of hidden sectors, 0 where the field is too small for it, and shrink to the partition's size.

        Raises NoSpace if the file system cannot become as small as its new partition.
        """
        hidden = place.start // self.geometry.sector_size
        set_boot_field(tx, self.geometry, "BPB_HiddSec", hidden if hidden < _HIDDEN_LIMIT else 0)
        if self.geometry.size > place.size:
            shrink(self, place.size, tx)
        self._forget()

    def _edit(self, tx: Edits) -> TableWriter:
        """The writer of the table for the one transaction that this editor serves. Raises FilesystemDamaged."""
        if self.boot.notes or self.truncated:
            raise FilesystemDamaged(
                f"{self.volume.name} cannot be changed: {self._notes()[0]}", hint="run fsck.fat on it first"
            )
        if self._writer is None or self._writer.tx is not tx:
            self._writer = TableWriter(self.table, tx)
        return self._writer

    def _forget(self) -> None:
        """Drop what edits have made stale; the table follows them."""
        for name in ("info", "usage", "inventory"):
            self.__dict__.pop(name, None)

    def _reopen(self) -> None:
        """Follow the root directory to its new place."""
        self.refresh()
        if self._writer is not None:
            self._writer.table, self._writer.geometry = self.table, self.geometry
