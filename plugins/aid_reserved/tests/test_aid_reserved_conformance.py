"""The aid in reserved places conforms to the kit of recovery aids."""

from __future__ import annotations

from pathlib import Path

from inpart.testing.aid_kit import RECORD, AidKit
from inpart_aid_reserved.plugin import inpart_recovery_aids


class TestReservedAid(AidKit):
    provider = inpart_recovery_aids()[0]

    def target(self, folder: Path) -> str:
        path = folder / "partition"
        start, boot_sector = RECORD.system_areas["boot-sector"]
        with path.open("wb") as file:
            file.truncate(sum(RECORD.reserved[0]))
            file.seek(start)
            file.write(boot_sector)
        return str(path)
