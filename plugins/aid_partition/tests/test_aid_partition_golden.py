"""Recovery partitions of every format version ever written stay readable: small files, kept for ever.

A file is a whole recovery partition, deflated. ``python test_aid_partition_golden.py`` writes the one of the present
version, if it is not there yet; an existing file is never written again.
"""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import partition_reader
import pytest
from inpart.contracts import AidRecord
from inpart.testing.aid_kit import RECORD
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume
from inpart_aid_partition.aid import RecoveryPartition
from inpart_aid_partition.slots import MAJOR, MINOR

GOLDEN = Path(__file__).parent / "golden"


def records() -> list[AidRecord]:
    """In the order in which they are written; the last one replaces the first."""
    other = RECORD.model_copy(update={"partition_start": 200 * MIB, "store_ids": ("11" * 16,), "filesystem": "other"})
    return [RECORD, other, RECORD.model_copy(update={"generation": 2})]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.z")), ids=lambda path: path.stem)
def test_a_golden_partition_is_read(path: Path) -> None:
    content = zlib.decompress(path.read_bytes())
    first, other, second = records()
    assert RecoveryPartition().find(MemoryVolume(content)) == [second, other]
    assert [one["generation"] for one in partition_reader.records(content)] == [2, 1]
    damaged = bytes(4096) + content[4096:]
    assert RecoveryPartition().find(MemoryVolume(damaged)) == [other, first]


def test_the_present_version_has_a_golden_partition() -> None:
    assert (GOLDEN / f"partition-{MAJOR}.{MINOR}.z").exists()


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile() as scratch, (GOLDEN / f"partition-{MAJOR}.{MINOR}.z").open("xb") as file:
        scratch.truncate(64 * KIB)
        for one in records():
            RecoveryPartition().write(scratch.name, one)
        file.write(zlib.compress(Path(scratch.name).read_bytes(), 9))
