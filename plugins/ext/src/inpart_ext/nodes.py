"""What following a tree of blocks yields: pieces of content, the blocks of the tree, and problems."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


MAX_PROBLEMS = 101
"""So many problems of one kind in one window are put into words."""


class Problem(NamedTuple):
    """Something wrong with the tree of the ``owner``-th inode; ``code`` is stable, ``block`` where, 0 for the inode."""

    owner: int
    code: str
    block: int
    message: str


@dataclass(frozen=True)
class _Columns:
    """Arrays of equal length, ``owner`` the first of them."""

    owner: Numbers

    def __len__(self) -> int:
        return len(self.owner)

    def pick(self, chosen: Mask | Numbers) -> Self:
        """Those rows only."""
        return type(self)(*(getattr(self, column.name)[chosen] for column in fields(self)))

    def of(self, owner: int) -> Self:
        """The rows of one inode, in file order; ``owner`` must be ascending."""
        first, last = np.searchsorted(self.owner, [owner, owner + 1])
        return self.pick(np.arange(first, last, dtype=np.int64))

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """All rows, ordered by owner, otherwise in the given order."""
        whole = cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))
        return whole.pick(np.argsort(whole.owner, kind="stable").astype(np.int64))


@dataclass(frozen=True)
class Pieces(_Columns):
    """Content: ``length`` blocks from block ``logical`` of the file on lie at block ``physical``.

    ``entry`` is the byte of the volume at which the extent or the first of ``length`` block pointers stands.
    """

    logical: Numbers
    physical: Numbers
    length: Numbers
    uninit: Mask
    entry: Numbers


@dataclass(frozen=True)
class Nodes(_Columns):
    """Blocks of trees: ``block``, what of the file starts there, and ``entry``, where the reference to it stands.

    ``height`` is 0 for leaves of extent trees, 1 to 3 for blocks that are that many times indirect.
    """

    block: Numbers
    logical: Numbers
    height: Numbers
    entry: Numbers


def no_pieces() -> Pieces:
    """Nothing."""
    none = np.empty(0, dtype=np.int64)
    return Pieces(none, none, none, none, np.empty(0, dtype=bool), none)


def no_nodes() -> Nodes:
    """Nothing."""
    none = np.empty(0, dtype=np.int64)
    return Nodes(none, none, none, none, none)


def few(wrong: Mask) -> list[int]:
    """The first few places where ``wrong``."""
    return [int(index) for index in np.flatnonzero(wrong)[:MAX_PROBLEMS]]


def unshared(nodes: Nodes, problems: list[Problem]) -> Nodes:
    """The nodes without those whose block another one has already: so a hostile tree cannot grow without bound."""
    _, first = np.unique(nodes.block, return_index=True)
    if len(first) == len(nodes):
        return nodes
    keep = np.zeros(len(nodes), dtype=bool)
    keep[first] = True
    for index in few(~keep):
        owner, block = int(nodes.owner[index]), int(nodes.block[index])
        problems.append(Problem(owner, "tree-shared", block, f"block {block} is referred to twice by trees of blocks"))
    return nodes.pick(keep)
