"""How an editor hands its work to a transaction."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from inpart.extents import Extents
from inpart.units import KIB, MIB, align_up
from inpart.volume import Buffer, Volume


def journal_size(partition_size: int) -> int:
    """How many bytes a place for journals should have in a partition of that size.

    From 4 MiB on it is so large that a table of contents at the end of the partition begins below what mke2fs clears,
    the last whole 64 KiB and what follows them: no image data should lie there.
    """
    smallest = 32 * KIB if partition_size < 4 * MIB else 64 * KIB + align_up(partition_size % (64 * KIB), 4 * KIB)
    return max(smallest, min(partition_size // 2048 // (4 * KIB) * (4 * KIB), 16 * MIB))


class Stage(IntEnum):
    """The order in which metadata edits reach the medium, with a flush between stages (soft updates).

    A cut between two stages must leave at worst clusters that are allocated and unused. An edit is put into the stage
    of its meaning; the bytes of one sector may change in several stages.
    """

    MARK = 0
    """Say in the file system's own way that it has to be checked, for those who boot instead of resuming.

    What announces an image that is to be removed goes in this stage, before anybody lets go of its clusters.
    """
    ALLOCATE = 1
    """Mark clusters as used, nobody refers to them yet."""
    LINK = 2
    """Fill in what is not referred to yet: an inode, an entry that follows the end mark of a directory."""
    SWITCH = 3
    """Make one reference, in one sector, point to what is ready."""
    FOLLOW = 4
    """References that may lag behind the switch: ``..`` entries, second references."""
    RELEASE = 5
    """Mark as free what nobody refers to any more; counters."""
    PUBLISH = 6
    """What announces the result to the world: a table of contents, and that nothing has to be checked."""


class Edits(Protocol):
    """A transaction as an editor sees it. Nothing reaches the volume before the transaction is committed.

    ``view`` is the volume with everything handed in so far applied to it; editors read through it. Offsets and lengths
    are bytes of the volume.
    """

    @property
    def view(self) -> Volume:
        """The volume as it will be."""

    @property
    def fresh(self) -> Extents:
        """The bytes that ``copy`` and ``write`` fill: nothing on the disk refers to them yet."""

    @property
    def lasting(self) -> bool:
        """False if nothing of it will reach the volume: it is only looked at through ``view``, and no order matters."""

    @property
    def full(self) -> bool:
        """True when a batch (of moved files) should end here, because journal or memory are used up."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy user data to free clusters. What is at ``source`` before the transaction is what is copied."""

    def write(self, offset: int, data: Buffer) -> None:
        """Put new data into free clusters."""

    def edit(self, offset: int, data: Buffer, stage: Stage) -> None:
        """Change metadata in place. An edit inside ``fresh`` becomes part of the new data."""

    def set_bits(self, offset: int, bits: Buffer, stage: Stage) -> None:
        """Set those bits of a bitmap that are set in ``bits``, from ``stage`` on.

        Unlike ``edit`` it may touch bytes that were changed before in a later stage, to clear others of their bits.
        """
