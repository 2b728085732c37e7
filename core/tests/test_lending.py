"""Chunks that are damaged in one image and held by another image of the same partition as well."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from inpart.contracts import Severity
from inpart.encodings import builtin_encodings
from inpart.errors import IntegrityError
from inpart.operations.create import CreateOptions, create
from inpart.operations.files import open_tree
from inpart.operations.images import open_image
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Policy, Session
from inpart.operations.verify import verify
from inpart.plugins import Plugins
from inpart.testing.null import NullFilesystem, make_null, null_plugins
from inpart.volume import Access, FileVolume

SIZE = 8 << 20
FILES = {f"/f{number}": random.Random(number).randbytes(150_000) for number in range(8)}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def session(said: list[str]) -> Session:
    null = null_plugins()
    plugins = Plugins(null.filesystems, builtin_encodings(), null.layouts, null.aids)
    return Session(plugins, Policy(layout="null"), warn=said.append)


@pytest.fixture
def disk(tmp_path: Path, session: Session) -> Path:
    """Two images; between them the content of one file changes."""
    path = tmp_path / "null.img"
    with FileVolume.create(path, SIZE) as volume:
        make_null(volume, FILES)
    create(session, str(path), CreateOptions("old", "factory"))
    with FileVolume(path, Access.WRITE) as volume:
        place = volume.read(0, SIZE).index(FILES["/f3"][:64])
        volume.write(place, b"changed!")
    create(session, str(path), CreateOptions("new"))
    return path


def tree(session: Session, path: Path, image: str | None = None) -> dict[str, bytes]:
    with open_tree(session, str(path), image) as opened:
        return {name: b"".join(opened.read(name)) for name in FILES}


def damage(session: Session, path: Path, image: str, name: str) -> None:
    """Destroy the chunk of an image in which the second half of a file begins."""
    with open_image(session, str(path), image) as opened:
        reader = opened.reader
        middle = NullFilesystem(opened.volume).runs(name).extents().start + len(FILES[name]) // 2
        entry = reader.chunks[reader.row(middle // reader.chunk_size)]
        place = opened.found.image.extents.start + int(entry["frame_offset"])
    with FileVolume(path, Access.WRITE) as volume:
        volume.write(place + 256, bytes(8192))


def wreck(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(SIZE // 10))


@pytest.mark.parametrize("name", ["new", "old"])
def test_the_same_chunk_of_another_image_is_taken(session: Session, disk: Path, said: list[str], name: str) -> None:
    content = dict(FILES) if name == "old" else {**FILES, "/f3": b"changed!" + FILES["/f3"][8:]}
    damage(session, disk, name, "/f6")
    report = verify(session, str(disk), name)
    assert [(one.code, one.severity) for one in report.findings] == [("image.chunk-elsewhere", Severity.WARNING)]
    assert not report.ok
    assert tree(session, disk, name) == content
    wreck(disk)
    assert restore(session, str(disk), RestoreOptions(name)).lost_bytes == 0
    assert tree(session, disk) == content
    assert any("is there once more" in one for one in said)


def test_what_both_have_lost_is_lost(session: Session, disk: Path) -> None:
    for name in ("old", "new"):
        damage(session, disk, name, "/f6")
    before = disk.read_bytes()
    with pytest.raises(IntegrityError, match="chunk"):
        restore(session, str(disk), RestoreOptions("new"))
    assert disk.read_bytes() == before
    report = restore(session, str(disk), RestoreOptions("new", allow_incomplete=True))
    assert report.affected == ("/f6",)


def test_a_chunk_with_other_content_is_not_taken(session: Session, disk: Path) -> None:
    with open_image(session, str(disk), "new") as opened:
        place = NullFilesystem(opened.volume).runs("/f3").extents().start // opened.reader.chunk_size
        row = opened.reader.row(place)
        assert opened.reader.borrowed(place, row) is None
        assert opened.reader.borrowed(place + 1, opened.reader.row(place + 1)) is not None


def test_nothing_is_taken_from_images_that_are_given_up(session: Session, disk: Path) -> None:
    damage(session, disk, "new", "/f6")
    before = disk.read_bytes()
    with pytest.raises(IntegrityError, match="chunk"):
        restore(session, str(disk), RestoreOptions("new", retain=False))
    assert disk.read_bytes() == before


def test_a_new_image_is_proven_by_its_own_bytes(session: Session, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading back after a create does not pass because an older image has what was written wrong."""
    plain, hit = FileVolume.write, []

    def write(volume: FileVolume, offset: int, data: bytes) -> None:
        plain(volume, offset, data)
        if len(data) > 100_000 and not hit:
            hit.append(offset)
            plain(volume, offset + 90_000, bytes(512))

    monkeypatch.setattr(FileVolume, "write", write)
    with pytest.raises(IntegrityError):
        create(session, str(disk), CreateOptions("third"))
    assert hit
