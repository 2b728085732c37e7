"""What all edits stand on: the file system as the transaction's view shows it, its inodes and their trees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from inpart.contracts import Edits, Stage
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents

from inpart_ext.bitmaps import Bitmaps
from inpart_ext.editor.accounts import Accounts
from inpart_ext.editor.blocks import Numbers, single_rows
from inpart_ext.editor.folder import Folder
from inpart_ext.editor.guard import check_editable
from inpart_ext.editor.ledger import Ledger
from inpart_ext.editor.records import Inode, read_inode
from inpart_ext.editor.trees import build
from inpart_ext.groups import read_groups
from inpart_ext.inodes import Inodes, InodeTable
from inpart_ext.locating import find_superblock
from inpart_ext.mapping import Mapping, map_inodes
from inpart_ext.nodes import Pieces

Take = Callable[[], int]


class Ground:
    """One call of an editor; everything is read anew from the view."""

    def __init__(self, tx: Edits) -> None:
        """Raises FilesystemDamaged, FilesystemUnclean, FilesystemUnsupported if the file system must not be edited."""
        self.tx = tx
        found = find_superblock(tx.view)
        self.superblock = found.superblock
        self.block_size = self.superblock.block_size
        self.groups = read_groups(tx.view, self.superblock)
        check_editable(tx.view, found, self.groups)
        if self.superblock.size > tx.view.size:
            raise FilesystemDamaged(f"the file system reaches beyond the end of {tx.view.name}")
        self.ledger = Ledger(tx, self.groups)
        self.table = InodeTable(tx.view, self.groups)
        self.accounts = Accounts(tx, self.table)
        self.used = Bitmaps(tx.view, self.groups).used()

    def free(self) -> Extents:
        """Blocks that may be filled in this transaction."""
        used = Extents(self.used.array // self.block_size)
        blocks = used.complement(self.superblock.first_data_block, self.superblock.blocks_count)
        return blocks - self.ledger.desk.freed

    def inode(self, number: int) -> Inode:
        """Raises FilesystemDamaged, VolumeError."""
        return read_inode(self.table, number)

    def pick(self, inodes: Inodes, index: int) -> Inode:
        """One of several inodes, to be changed."""
        return Inode(
            self.superblock,
            int(inodes.numbers[index]),
            int(inodes.places[index]),
            bytearray(inodes.raw[index].tobytes()),
        )

    def mapping(self, inode: Inode) -> Mapping:
        """Where the content of an inode lies. Raises FilesystemDamaged."""
        raw = np.frombuffer(bytes(inode.raw), dtype=np.uint8)[np.newaxis]
        number, place = np.array([[inode.number], [inode.offset]], dtype=np.int64)
        return map_inodes(self.tx.view, Inodes(self.superblock, number, place, raw)).require_sound()

    def rows(self, inode: Inode) -> tuple[Numbers, Numbers]:
        """The map of an inode and the blocks of its tree."""
        mapping = self.mapping(inode)
        return rows_of_pieces(mapping.pieces), mapping.nodes.block

    def folder(self, inode: Inode) -> tuple[Folder, Numbers]:
        """A directory and the blocks of its tree."""
        rows, nodes = self.rows(inode)
        return Folder(self.tx.view, inode, rows), nodes

    def write(self, inode: Inode, stage: Stage) -> None:
        """Put an inode into the transaction."""
        content = inode.sealed()
        self.accounts.note(inode.number, inode.offset, content)
        self.ledger.edit(inode.offset, content, stage)

    def settle(self) -> None:
        """Enter what was taken and given into bitmaps, counts and quotas. Raises FilesystemUnsupported."""
        self.ledger.settle()
        self.accounts.settle()

    def rebuild(self, inode: Inode, rows: Numbers, old_nodes: Numbers, take: Take) -> None:
        """Let an inode have this map, with new tree blocks; the old ones are given back. The inode is not written."""
        tree = build(inode, rows, take)
        self.fill_blocks(tree.blocks)
        inode.i_block = tree.i_block
        inode.add_blocks(len(tree.blocks) - len(old_nodes))
        if len(old_nodes):
            self.ledger.give(single_rows(old_nodes))

    def fill_blocks(self, blocks: dict[int, bytes]) -> None:
        """Write new blocks of metadata and take them."""
        for block, content in blocks.items():
            self.tx.write(block * self.block_size, content)
        if blocks:
            self.ledger.take(single_rows(list(blocks)))

    def store(self, folder: Folder, nodes: Numbers, stage: Stage, take: Take) -> None:
        """Write what has changed in a directory to new blocks and let its inode lead to them.

        Blocks that this transaction has filled already are filled again: taken later, they would be marked as used in a
        later stage than the inode leads to them, because the bitmap has been changed for RELEASE meanwhile.
        """
        before, fresh = folder.rows, self.tx.fresh.in_units(self.block_size)
        content, replaced = folder.store(take, fresh)
        again = [block for block in content if fresh.contains(block)]
        for block in again:
            self.tx.edit(block * self.block_size, content.pop(block), stage)
        self.fill_blocks(content)
        folder.inode.add_blocks(int(folder.rows[:, 2].sum() - before[:, 2].sum()))
        self.ledger.give(replaced)
        self.rebuild(folder.inode, folder.rows, nodes, take)
        self.write(folder.inode, stage)


def rows_of_pieces(pieces: Pieces) -> Numbers:
    """The pieces of one inode as a map."""
    columns = [pieces.logical, pieces.physical, pieces.length, pieces.uninit.astype(np.int64)]
    rows = np.stack(columns, axis=1)
    return rows[np.argsort(rows[:, 0], kind="stable")]
