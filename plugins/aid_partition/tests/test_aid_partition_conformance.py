"""The recovery partition conforms to the kit of recovery aids."""

from __future__ import annotations

from pathlib import Path

from inpart.testing.aid_kit import AidKit
from inpart.units import KIB
from inpart_aid_partition.plugin import inpart_recovery_aids


class TestRecoveryPartition(AidKit):
    provider = inpart_recovery_aids()[0]

    def target(self, folder: Path) -> str:
        path = folder / "partition"
        with path.open("wb") as file:
            file.truncate(256 * KIB)
        return str(path)
