"""Plugins as they were written for each API version still do all of their work."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from inpart.contracts import API_VERSION, AidState, FilesystemTree
from inpart.operations.create import CreateOptions, create
from inpart.operations.images import list_images
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Policy, Session
from inpart.operations.stores import EVERY
from inpart.operations.verify import verify
from inpart.plugins import OLDEST_API_VERSION, Kind, Plugins, load
from inpart.testing.aid_kit import RECORD
from inpart.volume import MemoryVolume

FOLDER = Path(__file__).parent / "old_plugins"
SIZE = 4 << 20
CLUSTER = 4096


@pytest.fixture(params=range(OLDEST_API_VERSION, API_VERSION + 1))
def plugins(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """All that is installed, with the old plugin of one API version."""
    monkeypatch.syspath_prepend(FOLDER / f"api_{request.param}")
    monkeypatch.delitem(sys.modules, f"inpart_old_api_{request.param}", raising=False)
    return load()


@pytest.fixture
def partition(tmp_path: Path) -> Path:
    """Two files: one at the beginning, one at the end, in the way of an image."""
    chance, path = random.Random(1), tmp_path / "old.img"
    records = [(b"first", 0, 40), (b"last", SIZE // CLUSTER - 2 - 30, 30)]
    image = bytearray(SIZE)
    image[:5] = b"OLDFS"
    for number, (name, first, count) in enumerate(records):
        at = CLUSTER + 24 * number
        image[at : at + 24] = name.ljust(16, b"\0") + first.to_bytes(4, "little") + count.to_bytes(4, "little")
        start = (2 + first) * CLUSTER
        image[start : start + count * CLUSTER] = chance.randbytes(count * CLUSTER)
    path.write_bytes(image)
    return path


def test_every_provider_is_in_use(plugins: Plugins) -> None:
    assert not [problem for problem in plugins.problems if problem.source.entry_point == "old"]
    (old,) = [plugin for plugin in plugins.loaded if plugin.source.entry_point == "old"]
    assert [provider.kind for provider in old.providers] == sorted(Kind)
    assert {provider.name for provider in old.providers} == {"old"}


def test_an_image_is_made_verified_and_restored(plugins: Plugins, partition: Path) -> None:
    session = Session(plugins, Policy(layout="old", encoding="old"))
    original = partition.read_bytes()
    report = create(session, str(partition), CreateOptions("then"))
    assert report.layout == "old"
    assert report.vacated == 30 * CLUSTER
    (row,) = list_images(session, str(partition), EVERY).images
    assert (row.name, row.state) == ("then", "committed")
    assert verify(session, str(partition), None).ok
    with open(partition, "r+b") as file:
        file.write(bytes(100 * CLUSTER))
    restore(session, str(partition), RestoreOptions())
    filesystem = plugins.filesystem("old").open(MemoryVolume(partition.read_bytes()))
    assert isinstance(filesystem, FilesystemTree)
    for path, start, count in (("/first", 2, 40), ("/last", SIZE // CLUSTER - 30, 30)):
        content = b"".join(filesystem.read(path))
        assert content == original[start * CLUSTER : (start + count) * CLUSTER], path
    assert [row.name for row in list_images(session, str(partition), EVERY).images] == ["then"]


def test_an_aid_keeps_its_record(plugins: Plugins, tmp_path: Path) -> None:
    aid, target = plugins.aid("old"), str(tmp_path / "aid")
    aid.write(target, RECORD)
    assert aid.read(target) == RECORD
    assert aid.check(target, RECORD).state is AidState.IN_SYNC
    assert aid.check(target, RECORD.model_copy(update={"images": ()})).state is AidState.STALE
