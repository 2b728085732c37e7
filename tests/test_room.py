"""How much is moved out of the way of an image: for what is likely, and for the rest only if it comes to that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fatmaker import Recipe, copy_in, delete, fsck, make_partition
from inpart.errors import NoSpace
from inpart.operations.create import CreateOptions, create
from inpart.operations.estimate import SAMPLE_SIZE, SAMPLES
from inpart.operations.files import open_tree
from inpart.operations.forecast import forecast
from inpart.operations.reading import open_filesystem
from inpart.operations.selection import Selection
from inpart.operations.session import Policy, Session
from inpart.units import KIB, MIB

FILE = 40 * MIB


def _noise(size: int) -> bytearray:
    return bytearray(np.random.default_rng(7).bytes(size))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A partition with 40 MiB of noise behind 40 free ones: room for the worst case reaches into them."""
    path = make_partition(tmp_path / "disk", Recipe("room", 100 * MIB, ("-F16", "-s8")))
    copy_in(path, {"before.bin": bytes(FILE), "noise.bin": bytes(_noise(FILE))})
    delete(path, "before.bin")
    return path


def _content(path: Path) -> bytearray:
    """The file's bytes in the partition, which lie in one piece."""
    disk, noise = path.read_bytes(), _noise(FILE)
    start = disk.index(noise[:4096])
    assert disk[start : start + FILE] == noise
    return bytearray(disk[start : start + FILE])


def _rewrite(path: Path, content: bytearray) -> None:
    start = path.read_bytes().index(_noise(4096))
    with path.open("r+b") as disk:
        disk.seek(start)
        disk.write(content)


def _flattened(noise: bytearray, *, width: int) -> bytearray:
    """``noise`` with zeros where the estimate takes its samples, ``width`` times as wide as they are."""
    for middle in np.linspace(0, FILE, SAMPLES).astype(int).tolist():
        low, high = max(0, middle - width * SAMPLE_SIZE // 2), min(FILE, middle + width * SAMPLE_SIZE // 2)
        noise[low:high] = bytes(high - low)
    return noise


def test_files_are_moved_for_what_is_likely_only(session: Session, disk: Path) -> None:
    noise = _content(disk)
    worst = forecast(session, str(disk), Selection()).must_move
    assert worst > 20 * MIB
    noise[: FILE * 3 // 4] = bytes(FILE * 3 // 4)
    _rewrite(disk, noise)
    expected = forecast(session, str(disk), Selection())
    report = create(session, str(disk), CreateOptions("small"))
    assert report.vacated == expected.must_move
    assert report.vacated < worst - 15 * MIB
    assert report.stored_bytes < 11 * MIB


def test_what_the_sample_hides_is_given_room_all_the_same(session: Session, disk: Path) -> None:
    content = _flattened(_content(disk), width=3)
    _rewrite(disk, content)
    warnings: list[str] = []
    session = Session(session.plugins, warn=warnings.append)
    expected = forecast(session, str(disk), Selection())
    report = create(session, str(disk), CreateOptions("surprise"))
    assert report.expected_bytes + report.image_bytes // 8 < report.stored_bytes
    assert warnings == ["the image is larger than its sample made expect: it starts again, with more room"]
    assert report.vacated > expected.must_move
    assert not fsck(disk).complaints
    with open_tree(session, str(disk), "surprise") as tree:
        assert b"".join(tree.read("/noise.bin")) == content
    with open_tree(session, str(disk), None) as tree:
        assert b"".join(tree.read("/noise.bin")) == content


def test_files_that_were_moved_for_nothing_are_told(session: Session, disk: Path) -> None:
    """The sample hides that the image is larger than all that is free."""
    copy_in(disk, {"filler.bin": bytes(20 * MIB), "tail.bin": bytes(35 * MIB)})
    delete(disk, "filler.bin")
    noise, start = _content(disk), disk.read_bytes().index(_noise(4096))
    with open_filesystem(session, str(disk)) as (_, filesystem):
        used = filesystem.allocated()
    before = used.clip(0, start).total
    for sample in np.linspace(0, used.total - SAMPLE_SIZE, SAMPLES).astype(int).tolist():
        low, high = (min(max(at - before, 0), FILE) for at in (sample - SAMPLE_SIZE, sample + 2 * SAMPLE_SIZE))
        noise[low:high] = bytes(high - low)
    _rewrite(disk, noise)
    expected = forecast(session, str(disk), Selection())
    assert expected.fits
    assert expected.must_move
    with pytest.raises(NoSpace) as refused:
        create(session, str(disk), CreateOptions("surprise"))
    assert str(refused.value.hint).startswith("files were moved out of the way, none is lost")
    assert not fsck(disk).complaints


def test_estimate_and_create_agree(session: Session, tmp_path: Path) -> None:
    """Where the last bytes decide: room for the image, but not for the journal of what has to move for it."""
    session, said = replace(session, policy=Policy(min_free=0)), set[tuple[bool, bool]]()
    for size in range(860, 1460, 40):
        path = make_partition(tmp_path / f"{size}", Recipe("room", 4 * MIB, ("-F12", "-s4")))
        copy_in(path, {"/hole": bytes(900 * KIB), "/noise": bytes(_noise(1200 * KIB)), "/filler": bytes(size * KIB)})
        delete(path, "/hole")
        promised, before = forecast(session, str(path), Selection()).fits, path.read_bytes()
        try:
            create(session, str(path), CreateOptions("one"))
            said.add((promised, True))
        except NoSpace:
            said.add((promised, False))
            assert path.read_bytes() == before
    assert said == {(True, True), (False, False)}
