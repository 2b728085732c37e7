"""Claiming and releasing: files in ``/.inpart`` that own given blocks, in an order that no power cut can harm.

What a file or directory consists of is written to new blocks and shown by one sector, the one with its inode: not
before the groups of these blocks say that their bitmaps count. A name appears before what it stands for: the root
directory names an empty ``/.inpart`` in stage SWITCH, this one names empty files in FOLLOW, and they get their blocks
in RELEASE; what goes is emptied before it loses its name. For e2fsck mends an empty inode without a name by itself, and
asks about others. A file that takes over blocks of another one is *late*: it is empty until stage RELEASE, too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from inpart.contracts import Claim, Edits, Stage, checked_claims, in_use
from inpart.errors import FilesystemUnsupported, UsageError
from inpart.extents import Extents, Runs

from inpart_ext.editor.blocks import Numbers, Room, single_rows
from inpart_ext.editor.folder import Folder
from inpart_ext.editor.ground import Ground
from inpart_ext.editor.records import I_BLOCK_SIZE, Inode, new_inode
from inpart_ext.editor.store import NAME, check_directory, find_store, foreign
from inpart_ext.editor.trees import COUNT, PHYSICAL, Tree, build, map_of, merged
from inpart_ext.features import RoCompat
from inpart_ext.structs import FT_DIR, FT_REG_FILE, ROOT_INO, S_IFDIR, S_IFREG

_MAX_NAME = 255
_MAX_LINKS = 65000
_SMALL_FILE = (1 << 31) - 1
_NO_ROWS: Numbers = np.empty((0, 4), dtype=np.int64)
_NO_BLOCKS: Numbers = np.empty(0, dtype=np.int64)


@dataclass
class _Owned:
    """A file that is there: its inode, its map and the blocks of its tree."""

    inode: Inode
    rows: Numbers
    nodes: Numbers


class Claimer:
    """One call of ``claim`` or ``release``."""

    def __init__(self, tx: Edits) -> None:
        """Raises FilesystemUnsupported if ``/.inpart`` is a file or the root directory cannot be edited."""
        self.ground = Ground(tx)
        self.ledger = self.ground.ledger
        self.block_size = self.ground.block_size
        root = self.ground.inode(ROOT_INO)
        check_directory(root)
        self.root, self.root_nodes = self.ground.folder(root)
        number = find_store(self.root)
        self.home: Folder | None = None
        self.home_nodes = _NO_BLOCKS
        if number:
            inode = self.ground.inode(number)
            if not inode.is_dir:
                raise foreign()
            check_directory(inode)
            self.home, self.home_nodes = self.ground.folder(inode)
        self.files = self.home.names() if self.home is not None else {}
        self._new_names: dict[bytes, int] = {}

    def claim(self, claims: Sequence[Claim], directory: Runs) -> None:
        """Raises NoSpace, UsageError, FilesystemUnsupported, FilesystemDamaged."""
        wanted = self._check(claims, directory)
        if not wanted:
            return
        every = Extents.union(claim.runs.extents() for claim in claims).in_units(self.block_size)
        pool = directory.extents().in_units(self.block_size)
        old = {name: self._owned(self.files[name]) for name in wanted if name in self.files}
        owned = Extents.union(_data(one) for one in old.values())
        self._check_free(every - owned)
        free = self.ground.free()
        self._rooms(pool & free, free - every - pool)
        freed = self.ledger.desk.freed
        for name, claim in wanted.items():
            rows, before = claim.runs.array // self.block_size, old.get(name)
            if before is not None and _same(before, claim, rows):
                continue
            others = (owned | freed) - (_data(before) if before is not None else Extents())
            self._put(name, claim, rows, before, late=bool(Extents.from_rows(rows) & others))
        self.ledger.take((every - owned).rows)
        self.ledger.give((owned - every).rows)
        self._show()
        self.ground.settle()

    def release(self, names: Sequence[str]) -> None:
        """Raises UsageError for a name that is not there, FilesystemDamaged, NoSpace."""
        keys = [_key(name) for name in names]
        missing = [name for name, key in zip(names, keys, strict=True) if key not in self.files]
        if missing or self.home is None:
            raise UsageError(f"there is no file {missing[0] if missing else ''} in /.inpart")
        free = self.ground.free()
        self._rooms(Extents(), free)
        for key in dict.fromkeys(keys):
            self.home.remove(key)
            self._drop(self._owned(self.files[key]), Stage.ALLOCATE)
        if self.home.names():
            self.ground.store(self.home, self.home_nodes, Stage.SWITCH, self._meta)
        else:
            self._drop(_Owned(self.home.inode, self.home.rows, self.home_nodes), Stage.LINK)
            self.root.remove(NAME)
            self._link_root(-1)
            self.ground.store(self.root, self.root_nodes, Stage.SWITCH, self._root_block)
        self.ground.settle()

    def _check(self, claims: Sequence[Claim], directory: Runs) -> dict[bytes, Claim]:
        """The claims by name."""
        superblock = self.ground.superblock
        for claim in claims:
            if claim.size > _SMALL_FILE and not superblock.has(RoCompat.LARGE_FILE):
                raise FilesystemUnsupported(
                    f"{claim.name} would have {claim.size} bytes, and the file system has no large_file",
                    hint="choose a smaller file size limit",
                )
        area = superblock.data_start, superblock.data_end
        return checked_claims(claims, directory, area, self.block_size, _key)

    def _check_free(self, blocks: Extents) -> None:
        """Raise NoSpace if one of ``blocks`` is in use."""
        taken = blocks & self.ground.used.in_units(self.block_size)
        if taken:
            raise in_use(f"block {taken.start}")

    def _rooms(self, pool: Extents, others: Extents) -> None:
        self._pool, self._others = Room(pool.rows), Room(others.rows)

    def _meta(self) -> int:
        """A block for the directory or a tree: one that is meant for it, or the lowest that is free."""
        return self._pool.take_one() if self._pool.left else self._root_block()

    def _root_block(self) -> int:
        return int(self._others.take(1)[0, 0])

    def _owned(self, number: int) -> _Owned:
        inode = self.ground.inode(number)
        return _Owned(inode, *self.ground.rows(inode))

    def _put(self, name: bytes, claim: Claim, rows: Numbers, before: _Owned | None, *, late: bool) -> None:
        """Let a file have its blocks; one that is new or late is empty until RELEASE."""
        if before is None:
            inode = new_inode(self.ground.table, self.ledger.new_inode(directory=False), S_IFREG | 0o400)
        else:
            inode = before.inode
            self.ledger.give(single_rows(before.nodes))
        if before is None or late:
            self._empty(inode, Stage.LINK if before is None else Stage.SWITCH)
        tree = build(inode, map_of(rows), self._meta)
        self.ground.fill_blocks(tree.blocks)
        self._set(inode, claim.size, tree, int(rows[:, 1].sum()))
        self.ground.write(inode, Stage.RELEASE if before is None or late else Stage.SWITCH)
        if before is None:
            self._new_names[name] = inode.number

    def _empty(self, inode: Inode, stage: Stage) -> None:
        self._set(inode, 0, build(inode, _NO_ROWS, self._meta), 0)
        self.ground.write(inode, stage)

    def _set(self, inode: Inode, size: int, tree: Tree, count: int) -> None:
        inode.size, inode.i_block = size, tree.i_block
        inode["i_blocks_lo"] = inode["i_blocks_high"] = 0
        inode.add_blocks(count + len(tree.blocks) + (1 if inode.file_acl else 0))

    def _show(self) -> None:
        """Enter new names into the directory; make it if there is none."""
        if not self._new_names:
            return
        shown = Stage.SWITCH
        if self.home is None:
            inode = new_inode(self.ground.table, self.ledger.new_inode(directory=True), S_IFDIR | 0o700)
            self._empty(inode, Stage.LINK)
            self.home = Folder(self.ground.tx.view, inode, _NO_ROWS)
            self.home.start(ROOT_INO, FT_DIR)
            self.root.insert(NAME, inode.number, FT_DIR)
            self._link_root(1)
            self.ground.store(self.root, self.root_nodes, shown, self._root_block)
            shown = Stage.FOLLOW
        for name, number in self._new_names.items():
            self.home.insert(name, number, FT_REG_FILE)
        self.ground.store(self.home, self.home_nodes, shown, self._meta)

    def _link_root(self, change: int) -> None:
        """A directory that cannot count its subdirectories has a link count of 1 and keeps it."""
        links = self.root.inode["i_links_count"]
        if links == 1:
            return
        if links + change >= _MAX_LINKS:
            raise FilesystemUnsupported("the root directory has too many subdirectories")
        self.root.inode["i_links_count"] = links + change

    def _drop(self, owned: _Owned, emptied: Stage) -> None:
        """Empty an inode in a stage before SWITCH, in which it loses its name, and delete it after that."""
        inode = owned.inode
        self.ledger.give(owned.rows[:, [PHYSICAL, COUNT]])
        self.ledger.give(single_rows(owned.nodes))
        self.ledger.give_inode(inode.number, directory=inode.is_dir)
        self._empty(inode, emptied)
        inode["i_links_count"], inode["i_flags"], inode["i_dtime"] = 0, 0, int(time.time())
        self._set(inode, 0, Tree(bytes(I_BLOCK_SIZE)), 0)
        self.ground.write(inode, Stage.FOLLOW)


def _key(name: str) -> bytes:
    """A name as it is stored. Raises UsageError."""
    key = name.encode()
    if not 0 < len(key) <= _MAX_NAME or b"/" in key or b"\0" in key or key in (b".", b".."):
        raise UsageError(f"{name!r} cannot be the name of a file")
    return key


def _data(owned: _Owned) -> Extents:
    return Extents.from_rows(owned.rows[:, [PHYSICAL, COUNT]])


def _same(owned: _Owned, claim: Claim, rows: Numbers) -> bool:
    return owned.inode.size == claim.size and np.array_equal(merged(owned.rows), merged(map_of(rows)))
