"""The aid file: what cuts, damage, strangers and readers of another version meet."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from inpart.checksums import blake3_digest
from inpart.contracts import AidRecord, AidState
from inpart.errors import IntegrityError, NoImageFound, UsageError, VolumeError
from inpart.testing.aid_kit import RECORD
from inpart_aid_file.aid import FileAid
from inpart_aid_file.text import FILE_LIMIT, pack

AID = FileAid()


def generation(number: int) -> AidRecord:
    return RECORD.model_copy(update={"generation": number})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An aid in its second generation."""
    path = tmp_path / "box.ipaid"
    AID.write(str(path), generation(1))
    AID.write(str(path), generation(2))
    return path


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def test_the_file_can_be_read_by_people(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("inpart recovery aid, version 1\nblake3 ")
    assert '"name": "as delivered"' in text
    assert f'"partition_start": {RECORD.partition_start},' in text


def test_two_generations_are_kept(path: Path) -> None:
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.old"]
    assert AID.read(str(path)).generation == 2
    assert AID.read(f"{path}.old").generation == 1


@pytest.mark.parametrize("length", [0, 1, 40, 700, None])
@pytest.mark.parametrize("step", ["writing", "renaming"])
def test_a_cut_while_writing_loses_nothing(path: Path, step: str, length: int | None) -> None:
    new = beside(path, ".new")
    new.write_bytes(pack(generation(3))[:length])
    if step == "renaming":
        path.replace(beside(path, ".old"))
    assert AID.read(str(path)).generation == 2
    AID.write(str(path), generation(4))
    assert AID.read(str(path)).generation == 4
    assert AID.read(f"{path}.old").generation == 2
    assert not new.exists()


def test_damage_anywhere_is_seen_and_the_older_generation_helps(path: Path) -> None:
    content, chance = path.read_bytes(), random.Random(1)
    for at in chance.sample(range(len(content)), 200):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :])
        assert AID.read(str(path)).generation == 1
        assert AID.check(str(path), RECORD).state is AidState.STALE
    beside(path, ".old").unlink()
    with pytest.raises(IntegrityError):
        AID.read(str(path))


def test_a_damaged_generation_does_not_replace_a_good_one(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])
    AID.write(str(path), generation(3))
    assert (AID.read(str(path)).generation, AID.read(f"{path}.old").generation) == (3, 1)


def test_a_change_by_hand_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "aid"
    AID.write(str(path), RECORD)
    path.write_text(path.read_text().replace('"as delivered"', '"as forged"'))
    with pytest.raises(IntegrityError, match="changed by hand"):
        AID.read(str(path))


def test_another_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "aid"
    path.write_bytes(pack(RECORD).replace(b"version 1", b"version 2", 1))
    with pytest.raises(IntegrityError, match="version 2") as caught:
        AID.read(str(path))
    assert caught.value.hint
    path.write_bytes(pack(RECORD.model_copy(update={"version": 7})))
    with pytest.raises(IntegrityError, match="version 7"):
        AID.read(str(path))


def test_what_is_no_record_has_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "aid"
    for body in (b"", b"{", b"[]", b'{"version": "x"}', b'{"images": 3}', b'{"places": [1e400]}', b"\xff"):
        path.write_bytes(b"inpart recovery aid, version 1\nblake3 " + blake3_digest(body).hex().encode() + b"\n" + body)
        with pytest.raises(IntegrityError):
            AID.read(str(path))
    with path.open("wb") as file:
        file.truncate(FILE_LIMIT * 4)
    with pytest.raises(IntegrityError):
        AID.read(str(path))


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear reader")
    with pytest.raises(UsageError, match="no recovery aid"):
        AID.write(str(letter), RECORD)
    assert letter.read_text() == "Dear reader"
    with pytest.raises(UsageError, match="not a file"):
        AID.write(str(tmp_path), RECORD)
    with pytest.raises(UsageError):
        AID.write("", RECORD)


def test_a_stick_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="No such file"):
        AID.write(str(tmp_path / "stick" / "aid"), RECORD)
    with pytest.raises(NoImageFound):
        AID.read(str(tmp_path / "stick" / "aid"))


def test_a_path_that_cannot_be_looked_at(tmp_path: Path) -> None:
    """As a folder that another user may not enter: asking whether there is a link fails already."""
    target = str(tmp_path / ("x" * 300))
    with pytest.raises(VolumeError, match="File name too long"):
        FileAid().read(target)
    with pytest.raises(VolumeError, match="File name too long"):
        FileAid().write(target, RECORD)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link, real = tmp_path / "link", tmp_path / "real" / "aid"
    real.parent.mkdir()
    link.symlink_to(real)
    AID.write(str(link), RECORD)
    AID.write(str(link), generation(2))
    assert link.is_symlink()
    assert AID.read(str(real)).generation == 2
