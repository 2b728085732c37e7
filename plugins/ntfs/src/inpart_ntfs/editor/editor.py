"""NTFS as a file system of the contract: the editor."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import Claim, Edits, FilesystemEditor, Place, Vacated
from inpart.extents import Extents, Runs
from inpart.volume import Volume

from inpart_ntfs.editor.adapt import adapt
from inpart_ntfs.editor.claim import Claimer
from inpart_ntfs.editor.home import read_claims
from inpart_ntfs.editor.ownership import Memory, fixed_clusters
from inpart_ntfs.editor.vacate import Vacater
from inpart_ntfs.filesystem import NtfsFilesystem


class NtfsEditor(NtfsFilesystem, FilesystemEditor):
    """An NTFS file system whose files can be moved, and that can be made to own given clusters."""

    def __init__(self, volume: Volume, memory: Memory | None = None) -> None:
        """``memory`` is what editors of the same volume know of batches of moved files. Raises as NtfsFilesystem."""
        super().__init__(volume)
        self._memory = memory or Memory()

    def free(self) -> Extents:
        return self.used.complement(0, self.boot.data_end)

    def immovable(self) -> Extents:
        """The clusters of the boot sector, and bad ones."""
        return fixed_clusters(self)

    def vacate(self, region: Extents, tx: Edits, *, avoid: Extents) -> Vacated:
        """Raises also FilesystemDamaged for what belongs to no file or to several."""
        result = Vacater(tx, region.clip(0, self.boot.data_end), avoid, self._memory).run()
        self.refresh()
        return result

    def claim(self, claims: Sequence[Claim], tx: Edits, *, directory: Runs) -> None:
        """Raises also UsageError for names and runs that cannot be."""
        if claims:
            Claimer(tx).claim(claims, directory)
            self.refresh()

    def release(self, names: Sequence[str], tx: Edits) -> None:
        """Raises UsageError for a name that is not in ``/.inpart``."""
        if names:
            Claimer(tx).release(names)
            self.refresh()

    def claims(self) -> tuple[Claim, ...]:
        return read_claims(self)

    def adapt(self, place: Place, tx: Edits) -> None:
        """Raises NoSpace if the file system is larger than its new partition."""
        adapt(tx, self.found, place)
        self.refresh()
