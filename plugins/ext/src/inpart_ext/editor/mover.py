"""Moving what one inode has in a region: its content, its tree of blocks, its block of extended attributes."""

from __future__ import annotations

import numpy as np
from inpart.contracts import Stage, carry
from inpart.extents import Extents

from inpart_ext.editor.blocks import Numbers, Room, single_rows
from inpart_ext.editor.ground import Ground, rows_of_pieces
from inpart_ext.editor.records import Inode
from inpart_ext.editor.trees import COUNT, LOGICAL, PHYSICAL, UNWRITTEN, build
from inpart_ext.nodes import Nodes, Pieces
from inpart_ext.structs import I_BLOCK_OFFSET, XATTR_HEADER, field_offset
from inpart_ext.sums import crc


class Mover:
    """Moves inodes of one region, one at a time; ``given`` counts the blocks that have left the region."""

    def __init__(self, ground: Ground, region: Extents, room: Room) -> None:
        """``region`` in blocks."""
        self.ground = ground
        self.region = region
        self.room = room
        self.given = 0
        self._rewritten = ground.tx.fresh.in_units(ground.block_size)

    def move_attributes(self, block: int, owners: list[int]) -> None:
        """Move a block of extended attributes, for all inodes that share it. Raises NoSpace."""
        ground, size = self.ground, self.ground.block_size
        target = self.room.take_one()
        content = bytearray(ground.tx.view.read(block * size, size))
        if ground.superblock.metadata_csum:
            at = field_offset(XATTR_HEADER, "h_checksum")
            content[at : at + 4] = bytes(4)
            seed = crc(ground.superblock.csum_seed, target.to_bytes(8, "little"))
            content[at : at + 4] = crc(seed, content).to_bytes(4, "little")
        ground.fill_blocks({target: bytes(content)})
        for number in owners:
            inode = ground.inode(number)
            inode.file_acl = target
            ground.write(inode, Stage.SWITCH)
        self._give(single_rows([block]))

    def move(self, inode: Inode, pieces: Pieces, nodes: Nodes, limit: int) -> bool:
        """Move up to ``limit`` blocks of content of an inode, and its tree; True if nothing is left in the region.

        Raises NoSpace before anything has been changed for this inode.
        """
        ground, rows = self.ground, rows_of_pieces(pieces)
        stay, leave, done = self._parted(rows, limit)
        arrived = self._place(leave)
        if inode.has_extents:
            tree = build(inode, np.concatenate([stay, arrived]), self.room.take_one)
            i_block, blocks, dropped = tree.i_block, tree.blocks, nodes.block
        else:
            i_block, blocks, dropped = self._redirect(inode, nodes, leave, arrived)
        ground.fill_blocks(blocks)
        ground.ledger.take(arrived[:, [PHYSICAL, COUNT]])
        self._copy(leave, arrived)
        inode.i_block = i_block
        inode.add_blocks(len(blocks) - len(dropped))
        ground.write(inode, Stage.SWITCH)
        self._give(leave[:, [PHYSICAL, COUNT]])
        self._give(single_rows(dropped))
        return done

    def _give(self, rows: Numbers) -> None:
        self.ground.ledger.give(rows)
        self.given += int(rows[self.region.touches(rows[:, 0], rows[:, 1]), 1].sum())

    def _parted(self, rows: Numbers, limit: int) -> tuple[Numbers, Numbers, bool]:
        """What stays, what leaves now, and whether all leaves."""
        pieces = _cut(rows, self.region)
        mask = self.region.touches(pieces[:, PHYSICAL], pieces[:, COUNT])
        before = np.cumsum(pieces[:, COUNT] * mask) - pieces[:, COUNT] * mask
        leaves = mask & (before < limit)
        whole = pieces[leaves]
        excess = int(whole[:, COUNT].sum()) - limit
        if excess <= 0:
            return pieces[~leaves], whole, bool((leaves == mask).all())
        kept = whole[-1:].copy()
        kept[0, COUNT] = excess
        shift = int(whole[-1, COUNT]) - excess
        kept[0, [LOGICAL, PHYSICAL]] += shift
        whole[-1, COUNT] = shift
        return np.concatenate([pieces[~leaves], kept]), whole, False

    def _place(self, leave: Numbers) -> Numbers:
        """New places for rows of a map, in the same order of the file."""
        targets = self.room.take(int(leave[:, COUNT].sum()))
        return _aligned(leave, targets)

    def _copy(self, leave: Numbers, arrived: Numbers) -> None:
        """``arrived`` are pieces of ``leave`` in the same order."""
        size, tx = self.ground.block_size, self.ground.tx
        starts = np.searchsorted(np.cumsum(leave[:, COUNT]), np.cumsum(arrived[:, COUNT]) - 1, side="right")
        skip = np.cumsum(arrived[:, COUNT]) - arrived[:, COUNT]
        skip -= (np.cumsum(leave[:, COUNT]) - leave[:, COUNT])[starts]
        sources = leave[starts, PHYSICAL] + skip
        anew = self._rewritten.touches(sources, arrived[:, COUNT])
        rows = zip(sources.tolist(), arrived.tolist(), anew.tolist(), strict=True)
        for source, (_, target, count, unwritten), rewritten in rows:
            if not unwritten:
                carry(tx, source * size, target * size, count * size, anew=rewritten)

    def _redirect(
        self, inode: Inode, nodes: Nodes, leave: Numbers, arrived: Numbers
    ) -> tuple[bytes, dict[int, bytes], Numbers]:
        """Copies of the indirect blocks that lie in the region or lead to what moves; i_block; the old blocks."""
        size, view = self.ground.block_size, self.ground.tx.view
        old, new = _numbers(leave), _numbers(arrived)
        order = np.argsort(old)
        old, new = old[order], new[order]
        moves = self.region.touches(nodes.block, np.ones_like(nodes.block))
        content: dict[int, bytes] = {}
        dropped: list[int] = []
        heads = np.frombuffer(inode.i_block, dtype="<u4").astype(np.int64)
        heads = _translated(heads, old, new)
        renamed: dict[int, int] = {}
        for index in np.argsort(nodes.height, kind="stable").tolist():
            block = int(nodes.block[index])
            before = np.frombuffer(view.read(block * size, size), dtype="<u4").astype(np.int64)
            if nodes.height[index] == 1:
                after = _translated(before, old, new)
            else:
                names = np.array(sorted(renamed), dtype=np.int64)
                after = _translated(before, names, np.array([renamed[name] for name in names.tolist()], dtype=np.int64))
            if not moves[index] and np.array_equal(before, after):
                continue
            renamed[block] = self.room.take_one()
            content[renamed[block]] = after.astype("<u4").tobytes()
            dropped.append(block)
        base = inode.offset + I_BLOCK_OFFSET
        for index in np.flatnonzero((nodes.entry >= base) & (nodes.entry < base + 60)).tolist():
            block = int(nodes.block[index])
            heads[(int(nodes.entry[index]) - base) // 4] = renamed.get(block, block)
        return heads.astype("<u4").tobytes(), content, np.array(dropped, dtype=np.int64)


def _numbers(rows: Numbers) -> Numbers:
    """All blocks of rows of a map, one by one."""
    count = rows[:, COUNT]
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(rows[:, PHYSICAL], count) + within


def _translated(pointers: Numbers, old: Numbers, new: Numbers) -> Numbers:
    """Pointers with the sorted ``old`` ones replaced by ``new``."""
    if not len(old):
        return pointers
    index = np.minimum(np.searchsorted(old, pointers), len(old) - 1)
    return np.where((old[index] == pointers) & (pointers > 0), new[index], pointers)


def _cut(rows: Numbers, region: Extents) -> Numbers:
    """A map with runs cut at the borders of ``region``."""
    borders = region.array.ravel()
    first = np.searchsorted(borders, rows[:, PHYSICAL], side="right")
    last = np.searchsorted(borders, rows[:, PHYSICAL] + rows[:, COUNT], side="left")
    pieces = last - first + 1
    owner = np.repeat(np.arange(len(rows)), pieces)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    low = rows[owner, PHYSICAL].copy()
    later = nth > 0
    low[later] = borders[first[owner[later]] + nth[later] - 1]
    end = rows[owner, PHYSICAL] + rows[owner, COUNT]
    earlier = nth < pieces[owner] - 1
    end[earlier] = borders[first[owner[earlier]] + nth[earlier]]
    cut = rows[owner].copy()
    cut[:, LOGICAL] += low - rows[owner, PHYSICAL]
    cut[:, PHYSICAL], cut[:, COUNT] = low, end - low
    return cut


def _aligned(leave: Numbers, targets: Numbers) -> Numbers:
    """The rows of ``leave`` laid along ``targets``, cut where either of them ends."""
    total = int(leave[:, COUNT].sum())
    ends = np.unique(np.concatenate([np.cumsum(leave[:, COUNT]), np.cumsum(targets[:, 1])]))
    starts = np.concatenate([[0], ends[:-1]]) if total else ends
    row = np.searchsorted(np.cumsum(leave[:, COUNT]), starts, side="right")
    target = np.searchsorted(np.cumsum(targets[:, 1]), starts, side="right")
    logical = leave[row, LOGICAL] + starts - (np.cumsum(leave[:, COUNT]) - leave[:, COUNT])[row]
    physical = targets[target, 0] + starts - (np.cumsum(targets[:, 1]) - targets[:, 1])[target]
    return np.stack([logical, physical, ends - starts, leave[row, UNWRITTEN]], axis=1)
