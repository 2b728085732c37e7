"""ext2, ext3 and ext4 as a file system of the contract: the editor."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import Claim, Edits, FilesystemEditor, Place, Vacated
from inpart.errors import NoSpace
from inpart.extents import Extents, Runs

from inpart_ext.editor.claim import Claimer
from inpart_ext.editor.ownership import fixed_blocks
from inpart_ext.editor.store import Reader, read_claims
from inpart_ext.editor.vacate import Vacater
from inpart_ext.filesystem import ExtFilesystem
from inpart_ext.inodes import InodeTable


class ExtEditor(ExtFilesystem, FilesystemEditor):
    """An ext file system whose files can be moved, and that can be made to own given blocks."""

    def free(self) -> Extents:
        return self.used.complement(self.superblock.data_start, self.superblock.data_end)

    def immovable(self) -> Extents:
        return fixed_blocks(InodeTable(self.volume, self.groups), self.groups)

    def vacate(self, region: Extents, tx: Edits, *, avoid: Extents) -> Vacated:
        """Raises also FilesystemDamaged for what belongs to no file or to several."""
        result = Vacater(tx, region.clip(self.superblock.data_start, self.superblock.data_end), avoid).run()
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
        return read_claims(Reader(self.volume, self.groups))

    def adapt(self, place: Place, tx: Edits) -> None:
        """Nothing depends on the position. Raises NoSpace if the file system is larger than its new partition."""
        if self.superblock.size > place.size:
            raise NoSpace(
                f"the file system has {self.superblock.size} bytes, its new partition has {place.size}",
                hint="make the partition at least that large",
            )
