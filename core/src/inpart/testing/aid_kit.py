"""Conformance of a recovery aid: behaviours A1 to A7 of docs/PLUGINS.md."""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar

import pytest

from inpart.contracts import AidImage, AidRecord, AidState, ByteRun, RecoveryAid
from inpart.errors import InpartError, IntegrityError, NoImageFound
from inpart.plugins import Kind
from inpart.testing.kit import ProviderKit, noting
from inpart.testing.specimen import FrozenVolume
from inpart.units import KIB, MIB

RECORD = AidRecord(
    generation=1,
    disk_signature="5a3c77e1",
    partition_start=1048576,
    partition_size=64 * MIB,
    filesystem="null",
    store_ids=("00" * 16,),
    places=(60 * MIB,),
    images=(
        AidImage(
            image_id="0123456789abcdef" * 2,
            name="as delivered",
            kind="factory",
            created="2026-01-02T03:04:05+00:00",
            layout="null",
            digest="ab" * 32,
            stream_size=5 * MIB,
            extents=(ByteRun(50 * MIB, 4 * MIB), ByteRun(60 * MIB, MIB)),
        ),
    ),
    system_areas={"boot-sector": (0, bytes(range(256)) * 2)},
    reserved=(ByteRun(8 * KIB, 8 * KIB),),
)


class AidKit(ProviderKit):
    """The adopter gives ``provider``, and ``target`` where its kind of place is not a file."""

    kind = Kind.RECOVERY_AID
    provider: ClassVar[RecoveryAid]

    def target(self, folder: Path) -> str:
        """A place to write to that holds no record yet."""
        return str(folder / "aid")

    def stored(self, target: str) -> Path:
        """The file whose bytes hold what was written to ``target``."""
        return Path(target)

    def test_a1_what_was_written_is_read(self, tmp_path: Path) -> None:
        """A1: read yields the record that was written, bytes of system areas included; a second one replaces it."""
        target = self.target(tmp_path)
        for generation in (1, 2, 3):
            record = RECORD.model_copy(update={"generation": generation})
            self.provider.write(target, record)
            assert self.provider.read(target) == record, f"A1: generation {generation}"

    def test_a2_nothing_there_is_no_image_found(self, tmp_path: Path) -> None:
        """A2: reading a place without a record raises NoImageFound, and check says that it is missing."""
        target = self.target(tmp_path)
        with noting("A2"), pytest.raises(NoImageFound):
            self.provider.read(target)
        check = self.provider.check(target, RECORD)
        assert check.state is AidState.MISSING, f"A2: {check}"

    def test_a3_damage_is_an_integrity_error(self, tmp_path: Path) -> None:
        """A3: a flipped bit never yields another record: it raises IntegrityError or yields the one written."""
        target, chance = self.target(tmp_path), random.Random(3)
        self.provider.write(target, RECORD)
        file = self.stored(target)
        content = file.read_bytes()
        for _ in range(64):
            damaged = bytearray(content)
            damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            file.write_bytes(damaged)
            try:
                record = self.provider.read(target)
            except (IntegrityError, NoImageFound):
                continue
            assert record == RECORD, "A3: a damaged record passes for a good one"
        file.write_bytes(content[: len(content) // 2])
        with noting("A3: half a record"), pytest.raises(InpartError):
            self.provider.read(target)

    def test_a4_check_tells_what_differs(self, tmp_path: Path) -> None:
        """A4: check is in sync with the same facts, and stale with a reason for each that differs."""
        target = self.target(tmp_path)
        self.provider.write(target, RECORD)
        check = self.provider.check(target, RECORD)
        assert check.state is AidState.IN_SYNC, f"A4: {check}"
        assert not check.reasons, f"A4: {check}"
        moved = RECORD.images[0].model_copy(update={"extents": (ByteRun(0, 5 * MIB),)})
        for update in ({"images": ()}, {"images": (moved,)}, {"partition_start": 0}, {"store_ids": ()}):
            check = self.provider.check(target, RECORD.model_copy(update=update))
            assert check.state is AidState.STALE, f"A4: {update}: {check}"
            assert check.reasons, f"A4: {update}: no reason is given"

    def test_a5_a_damaged_aid_is_not_in_sync(self, tmp_path: Path) -> None:
        """A5: check never says "in sync" of a record that cannot be read, and does not raise."""
        target = self.target(tmp_path)
        self.provider.write(target, RECORD)
        self.stored(target).write_bytes(b"\xff" * 100)
        assert self.provider.check(target, RECORD).state is not AidState.IN_SYNC, "A5"

    def test_a6_finding_never_raises(self) -> None:
        """A6: find yields nothing on disks without a record: empty, zero, full of noise."""
        for content in (b"", bytes(MIB), random.Random(6).randbytes(MIB)):
            assert self.provider.find(FrozenVolume(content)) == [], f"A6: found on {len(content)} bytes"

    def test_a7_ordinary_use_leaves_it_in_sync(self, tmp_path: Path) -> None:
        """A7: check is in sync whatever the generation and the bytes of system areas of the file system."""
        target = self.target(tmp_path)
        self.provider.write(target, RECORD)
        used = {name: (start, bytes(len(data))) for name, (start, data) in RECORD.system_areas.items()}
        for update in ({"generation": 9}, {"system_areas": used}):
            check = self.provider.check(target, RECORD.model_copy(update=update))
            assert check.state is AidState.IN_SYNC, f"A7: {update.keys()}: {check}"
