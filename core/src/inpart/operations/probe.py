"""Probe: what is on a partition, told without changing or locking anything."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import FilesystemInfo
from inpart.operations.filesystems import find_filesystem
from inpart.operations.session import Session
from inpart.partitions import open_target
from inpart.volume.busy import users_of


@dataclass(frozen=True)
class ProbeReport:
    """What ``inpart probe`` tells: the file system's own words, where it lies, and who uses it; sizes in bytes."""

    address: str
    partition_start: int
    partition_size: int
    info: FilesystemInfo
    used_by: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The keys of docs/CLI.md."""
        info = self.info
        return {
            "device": self.address,
            "filesystem": info.kind,
            "label": info.label,
            "uuid": info.uuid,
            "cluster_size": info.cluster_size,
            "size": info.size,
            "used_bytes": info.used_bytes,
            "free_bytes": info.free_bytes,
            "state": info.state.value,
            "data_start": info.data_start,
            "data_end": info.data_end,
            "partition_start": self.partition_start,
            "partition_size": self.partition_size,
            "used_by": list(self.used_by),
            "notes": list(info.notes),
        }


def probe(session: Session, address: str) -> ProbeReport:
    """Recognise the file system at ``address``. Raises FilesystemError, UsageError."""
    with open_target(address) as target:
        filesystem = find_filesystem(session, target.volume).open(target.volume)
        uses = tuple(users_of(target.path))
        return ProbeReport(address, target.start, target.volume.size, filesystem.info, uses)
