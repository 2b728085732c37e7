"""Containers of every format version ever written stay readable: small files, kept for ever beside their recipe.

A file is a whole partition of 1 MiB, deflated. ``python test_golden_container.py`` writes the one of the present
version, if it is not there yet; an existing file is never written again.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import container_reader
import pytest
from inpart.contracts import Search, SearchMethod
from inpart.extents import Extents
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume
from inpart_storage_contiguous.structs import MAJOR, MINOR
from partition_rig import LAYOUT, Partition, content

GOLDEN = Path(__file__).parent / "golden"
STREAMS = {
    "factory": b"the factory image " * 9000,
    "second": b"a user's image " * 700,
    "third": b"x",
}


def recipe() -> bytes:
    """Three images in clusters of 1 KiB, with a bad cluster in the way."""
    part = Partition(MemoryVolume(MIB), KIB, data_start=20 * KIB, immovable=Extents.span(900 * KIB, 901 * KIB))
    for name, stream in STREAMS.items():
        part.create(stream, name, "factory" if name == "factory" else "user")
    return bytes(part.volume.data)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.z")), ids=lambda path: path.stem)
def test_a_golden_container_is_read(path: Path) -> None:
    disk = zlib.decompress(path.read_bytes())
    for method in (SearchMethod.FIXED, SearchMethod.PARTITION, SearchMethod.DISK):
        (store,) = LAYOUT.locate(MemoryVolume(disk), Search(method))
        assert not store.findings
        found = {image.summary.name: content(store, image.summary.image_id) for image in store.images}
        assert found == STREAMS
    assert sorted(container_reader.leftovers(disk).values()) == sorted(STREAMS.values())


def test_the_present_version_has_a_golden_container() -> None:
    assert (GOLDEN / f"container-{MAJOR}.{MINOR}.z").exists()


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    with (GOLDEN / f"container-{MAJOR}.{MINOR}.z").open("xb") as file:
        file.write(zlib.compress(recipe(), 9))
