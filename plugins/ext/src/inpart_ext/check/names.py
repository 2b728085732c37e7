"""What pass 2 keeps of all directories, for passes 3 and 4: who names whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def _numbers() -> list[Numbers]:
    return [np.empty(0, dtype=np.int64)]


@dataclass
class Names:
    """Inode numbers: ``folders`` hold names for ``targets``; ``.`` and ``..`` name ``dots`` and ``parents``."""

    folders: list[Numbers] = field(default_factory=_numbers)
    targets: list[Numbers] = field(default_factory=_numbers)
    dots: list[Numbers] = field(default_factory=_numbers)
    parent_holders: list[Numbers] = field(default_factory=_numbers)
    parents: list[Numbers] = field(default_factory=_numbers)

    @cached_property
    def folder(self) -> Numbers:
        """The directory that holds each name."""
        return np.concatenate(self.folders)

    @cached_property
    def target(self) -> Numbers:
        """The inode of each name."""
        return np.concatenate(self.targets)

    @property
    def dot_targets(self) -> Numbers:
        """The inodes that ``.`` and ``..`` entries name."""
        return np.concatenate([*self.dots, *self.parents])

    def parent_of(self, folders: Numbers) -> Numbers:
        """What ``..`` of each directory names, -1 where there is none."""
        holders, parents = np.concatenate(self.parent_holders), np.concatenate(self.parents)
        order = np.argsort(holders, kind="stable")
        holders, parents = holders[order], parents[order]
        place = np.minimum(np.searchsorted(holders, folders), max(0, len(holders) - 1))
        if not len(holders):
            return np.full(len(folders), -1, dtype=np.int64)
        return np.where(holders[place] == folders, parents[place], -1)
