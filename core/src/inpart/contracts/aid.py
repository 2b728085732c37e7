"""The contract of a recovery aid: a record outside the image that helps to find images again."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from inpart.contracts.common import Provider
from inpart.volume import Volume

if TYPE_CHECKING:
    from inpart.contracts.aid_record import AidCheck, AidRecord


class AidState(StrEnum):
    """Whether an aid agrees with the disk."""

    IN_SYNC = "in sync"
    STALE = "stale"
    MISSING = "missing"


class RecoveryAid(Provider, Protocol):
    """Writes, reads and compares records at one kind of place; ``target`` is what that kind calls its place."""

    def write(self, target: str, record: AidRecord) -> None:
        """Store the record durably; a cut while writing leaves the old one or the new one."""

    def read(self, target: str) -> AidRecord:
        """Raises NoImageFound if there is none, IntegrityError if it is damaged."""

    def check(self, target: str, record: AidRecord) -> AidCheck:
        """Compare the stored record with one made from the disk now."""

    def find(self, volume: Volume) -> list[AidRecord]:
        """Records that can be found on a disk without being told where; empty if this kind cannot."""


@runtime_checkable
class PartitionAid(RecoveryAid, Protocol):
    """An aid with a partition of its own, which holds a record for each partition of the disk that has images.

    ``target`` is that partition: the path of a device or file, or ``PATH@START+SIZE`` in bytes for one inside it.
    ``read`` gives the record that was written last, ``find`` all of them.
    """

    @property
    def partition_types(self) -> tuple[str, str]:
        """Its type as an MBR has it, such as ``0xe9``, and as a GPT has it: a GUID in upper case."""

    def records(self, target: str) -> list[AidRecord]:
        """All of them, the one that was written last first. Raises as ``read``."""
