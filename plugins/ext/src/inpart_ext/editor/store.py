"""The directory ``/.inpart`` as it stands: finding it, its files and their blocks."""

from __future__ import annotations

from inpart.contracts import Claim
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, InpartError
from inpart.extents import Runs
from inpart.volume import Volume

from inpart_ext.editor.folder import Folder
from inpart_ext.editor.ground import rows_of_pieces
from inpart_ext.editor.records import Inode, read_inode
from inpart_ext.groups import Groups
from inpart_ext.inodes import InodeTable
from inpart_ext.mapping import Mapping, map_inodes
from inpart_ext.structs import CASEFOLD_FL, ENCRYPT_FL, INLINE_DATA_FL, ROOT_INO, S_IFMT, S_IFREG, VERITY_FL

NAME = b".inpart"
_HINT = "run e2fsck on the file system; images can still be found with `inpart locate`"
_FOREIGN = "this is for inpart alone; rename what stands there"


class Reader:
    """Inodes and directories of a volume, read and not changed."""

    def __init__(self, volume: Volume, groups: Groups) -> None:
        self.volume = volume
        self.table = InodeTable(volume, groups)

    def mapping(self, number: int) -> Mapping:
        """Where the content of an inode lies. Raises FilesystemDamaged."""
        return map_inodes(self.volume, self.table.one(number)).require_sound()

    def inode(self, number: int) -> Inode:
        """Raises FilesystemDamaged."""
        return read_inode(self.table, number)

    def folder(self, number: int) -> Folder:
        """Raises FilesystemDamaged, FilesystemUnsupported for one that is kept in its inode, or encrypted."""
        inode = self.inode(number)
        check_directory(inode)
        return Folder(self.volume, inode, rows_of_pieces(self.mapping(number).pieces))

    def claim(self, name: bytes, number: int) -> Claim:
        """What a file owns. Raises FilesystemDamaged if its blocks do not fit its size."""
        inode = self.inode(number)
        runs = self.mapping(number).runs()
        size, block_size = inode.size, inode.superblock.block_size
        holes = bool((runs.array[:, 0] == Runs.HOLE).any())
        if inode["i_mode"] & S_IFMT != S_IFREG or holes or runs.total != -(-size // block_size) * block_size:
            raise FilesystemDamaged(
                f"/.inpart/{name.decode('utf-8', 'replace')} has {size} bytes in {runs.total} bytes of blocks",
                hint=_HINT,
            )
        return Claim(name.decode("utf-8", "replace"), runs, size)


def check_directory(inode: Inode) -> None:
    """Raise FilesystemUnsupported, FilesystemDamaged for an inode that is no directory whose blocks can be read."""
    if not inode.is_dir:
        raise FilesystemDamaged(f"inode {inode.number} is no directory", hint=_HINT)
    for flag, what in ((INLINE_DATA_FL, "inline_data"), (ENCRYPT_FL, "encrypt"), (VERITY_FL, "verity")):
        if inode["i_flags"] & flag:
            which = "the root directory" if inode.number == ROOT_INO else f"directory {inode.number}"
            raise FilesystemUnsupported(
                f"{which} uses {what}, it cannot be edited", hint="images can be stored outside, with --to FILE"
            )


def find_store(root: Folder) -> int:
    """The inode of ``/.inpart``, 0 if there is none."""
    if root.inode["i_flags"] & CASEFOLD_FL:
        return next((number for name, number in root.names().items() if name.lower() == NAME), 0)
    return root.find(NAME)


def read_claims(reader: Reader) -> tuple[Claim, ...]:
    """The files in ``/.inpart``, by name; empty if there is no such directory. Raises FilesystemDamaged."""
    try:
        root = reader.folder(ROOT_INO)
    except FilesystemUnsupported:
        return ()
    number = find_store(root)
    if not number or not reader.inode(number).is_dir:
        return ()
    return tuple(reader.claim(name, inode) for name, inode in sorted(reader.folder(number).names().items()))


def foreign() -> InpartError:
    """The error for something else that has the name."""
    return FilesystemUnsupported("/.inpart is a file, not a directory", hint=_FOREIGN)
