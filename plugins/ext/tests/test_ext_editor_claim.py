"""Claiming and releasing on ext2, ext3 and ext4: judged by e2fsck, debugfs and the kernel."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from extediting import HIDDEN, snapshot
from extmaker import debugfs, e2fsck, ext, make_filled, make_partition, mounted
from inpart.contracts import Claim, Place, Stage
from inpart.errors import FilesystemUnclean, FilesystemUnsupported, NoSpace, UsageError
from inpart.extents import Runs
from inpart.testing.tools import copied, run
from inpart.transaction import Transaction
from inpart.volume import Access, FileVolume
from inpart_ext.editor import ExtEditor
from inpart_ext.editor.claim import Claimer
from inpart_ext.hashing import HALF_MD4, LEGACY, TEA, name_hash
from inpart_ext.quota import read_usage
from inpart_ext.structs import FT_REG_FILE

PLAIN = ext("claim-ext4", "-t ext4 -b 1024 -O ^has_journal", 12)
HASHES = {"legacy": LEGACY, "half_md4": HALF_MD4, "tea": TEA}


def claim(path: Path, claims: Sequence[Claim], directory: Runs | None = None) -> None:
    with FileVolume(path, access=Access.WRITE) as volume:
        tx = Transaction(volume)
        ExtEditor(tx.view).claim(claims, tx, directory=directory or Runs())
        tx.commit(None)


def release(path: Path, names: Sequence[str]) -> None:
    with FileVolume(path, access=Access.WRITE) as volume:
        tx = Transaction(volume)
        ExtEditor(tx.view).release(names, tx)
        tx.commit(None)


def claims_of(path: Path) -> dict[str, Claim]:
    with FileVolume(path) as volume:
        return {one.name: one for one in ExtEditor(volume).claims()}


def free_pieces(path: Path, blocks: int) -> list[tuple[int, int]]:
    """Free runs of at most so many blocks, in random order, those that metadata is taken from left out."""
    with FileVolume(path) as volume:
        filesystem = ExtEditor(volume)
        pieces = filesystem.free().split(blocks * filesystem.info.cluster_size)[20:]
    found = [(start, end - start) for start, end in pieces.tolist()]
    random.Random(1).shuffle(found)
    return found


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return make_partition(tmp_path / "p.img", PLAIN)


@pytest.mark.parametrize("pieces", [4, 5, 300])
@pytest.mark.parametrize("kind", ["ext2", "ext4"])
def test_files_of_many_pieces(tmp_path: Path, kind: str, pieces: int) -> None:
    path = make_partition(tmp_path / "p.img", ext("pieces", f"-t {kind} -b 1024 -O ^has_journal", 12))
    runs = Runs(free_pieces(path, 5)[:pieces])
    claim(path, [Claim("image.ipi", runs, runs.total - 3)])
    assert e2fsck(path) == []
    assert claims_of(path)["image.ipi"].runs == runs
    with mounted(path, "ro") as root:
        file = root / HIDDEN / "image.ipi"
        status = file.stat()
        assert (status.st_size, status.st_mode & 0o777, status.st_uid) == (runs.total - 3, 0o400, 0)
        assert (root / HIDDEN).stat().st_mode & 0o7777 == 0o700
        content = b"".join(path.read_bytes()[start : start + length] for start, length in runs)
        assert file.read_bytes() == content[:-3]
    release(path, ["image.ipi"])
    assert e2fsck(path) == []
    assert claims_of(path) == {}


def test_extents_longer_than_one_entry(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "p.img", ext("long", "-t ext4 -b 1024 -O ^has_journal -G 64", 160))
    with FileVolume(path) as volume:
        free = ExtEditor(volume).free()
        longest = max(free, key=lambda run: run[1] - run[0])
    runs = Runs([(longest[0], longest[1] - longest[0])])
    assert runs.total > 33 << 20
    claim(path, [Claim("image.ipi", runs, runs.total)])
    assert e2fsck(path) == []
    assert claims_of(path)["image.ipi"].runs == runs


@pytest.mark.parametrize("algorithm", HASHES)
def test_hashes_are_those_of_debugfs(algorithm: str) -> None:
    seed = "01234567-89ab-cdef-0123-456789abcdef"
    words = [int.from_bytes(bytes.fromhex(seed.replace("-", ""))[at : at + 4], "little") for at in range(0, 16, 4)]
    chance = random.Random(2)
    for length in (1, 3, 4, 7, 16, 17, 31, 32, 33, 64, 100, 255):
        name = "".join(chance.choice("abcdefgh.XYZ-0129") for _ in range(length))
        said = run("debugfs", "-R", f"dx_hash -h {algorithm} -s {seed} {name}")
        wanted = int(said.split(" is ")[1].split()[0], 16)
        assert name_hash(name.encode(), HASHES[algorithm], words) == wanted, name


@pytest.mark.parametrize("algorithm", HASHES)
@pytest.mark.parametrize("existing", [0, 150, 1200])
def test_root_directory_with_an_index(tmp_path: Path, algorithm: str, existing: int) -> None:
    """Names are entered by hash, leaves are split; e2fsck and the kernel find each of them."""
    path = make_partition(tmp_path / "p.img", PLAIN)
    run("tune2fs", "-E", f"hash_alg={algorithm}", path)
    with mounted(path) as root:
        for number in range(existing):
            (root / f"ein längerer Name für {number:05d}").touch()
        (root / "target").write_bytes(b"all names lead here")
        inode = (root / "target").stat().st_ino
    names = [f"neu hinzugefügt {number * 7919:08d}" for number in range(120)]
    with FileVolume(path, access=Access.WRITE) as volume:
        tx = Transaction(volume)
        claimer = Claimer(tx)
        claimer._rooms(claimer.ground.free(), claimer.ground.free())
        for name in names:
            claimer.root.insert(name.encode(), inode, FT_REG_FILE)
        target = claimer.ground.inode(inode)
        target["i_links_count"] += len(names)
        claimer.ground.write(target, Stage.LINK)
        claimer.ground.store(claimer.root, claimer.root_nodes, Stage.SWITCH, claimer._root_block)
        claimer.ledger.settle()
        tx.commit(None)
    assert e2fsck(path) == []
    with mounted(path, "ro") as root:
        assert {(root / name).stat().st_ino for name in names} == {inode}
        assert len(list(root.iterdir())) == existing + len(names) + 2


def test_many_files_and_their_release(plain: Path) -> None:
    pieces = free_pieces(plain, 3)
    wanted = [Claim(f"image.{number:03d}", Runs([pieces[number]]), pieces[number][1]) for number in range(300)]
    claim(plain, wanted)
    assert e2fsck(plain) == []
    assert claims_of(plain) == {one.name: one for one in wanted}
    release(plain, [one.name for one in wanted[::2]])
    assert e2fsck(plain) == []
    release(plain, [one.name for one in wanted[1::2]])
    assert e2fsck(plain) == []
    with mounted(plain, "ro") as root:
        assert not (root / HIDDEN).exists()
        assert root.stat().st_nlink == 3


def test_the_directory_takes_its_place(plain: Path) -> None:
    (start, length), (place, room) = free_pieces(plain, 8)[:2]
    claim(plain, [Claim("toc_end", Runs([(start, length)]), length)], Runs([(place, room)]))
    claim(plain, [Claim("inter1", Runs([(start, length)]), length), Claim("toc_end", Runs(), 0)], Runs([(place, room)]))
    assert e2fsck(plain) == []
    with FileVolume(plain) as volume:
        held = ExtEditor(volume).runs(f"/{HIDDEN}").extents()
    assert place <= held.start < held.end <= place + room


REFUSED: dict[str, tuple[str, tuple[str, ...], type[Exception], str]] = {
    "replay": ("", ("feature needs_recovery",), FilesystemUnclean, "journal needs to be replayed"),
    "errors": ("", ("ssv state 2",), FilesystemUnclean, "state is errors"),
    "dirty": ("", ("ssv state 0",), FilesystemUnclean, "state is dirty"),
    "encrypted-root": ("", ("sif <2> flags 0x80800",), FilesystemUnsupported, "encrypt"),
    "inline-root": ("-O inline_data", ("sif <2> flags 0x10000000",), FilesystemUnsupported, "inline_data"),
    "bigalloc": ("-O bigalloc -C 16384", (), FilesystemUnsupported, "bigalloc"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_must_not_be_edited_is_refused_by_name(tmp_path: Path, case: str) -> None:
    options, commands, error, text = REFUSED[case]
    path = make_partition(tmp_path / "p.img", ext("refused", f"-t ext4 {options}", 24))
    if commands:
        debugfs(path, *commands)
    before = path.read_bytes()
    runs = Runs(free_pieces(path, 2)[:1])
    with pytest.raises(error, match=text):
        claim(path, [Claim("image.ipi", runs, runs.total)])
    assert path.read_bytes() == before


def test_mounted_elsewhere_is_refused(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "p.img", ext("mmp", "-t ext4 -b 1024 -O mmp", 24))
    runs = Runs(free_pieces(path, 2)[:1])
    found = re.search(r"MMP block number:\s+(\d+)", run("dumpe2fs", "-h", path))
    assert found is not None
    with path.open("r+b") as file:
        file.seek(int(found[1]) * 1024 + 4)
        file.write((7).to_bytes(4, "little"))
    with pytest.raises(FilesystemUnclean, match="mmp"):
        claim(path, [Claim("image.ipi", runs, runs.total)])


def test_what_is_there_already_is_left_alone(plain: Path) -> None:
    with mounted(plain) as root:
        (root / HIDDEN).write_bytes(b"mine")
    runs = Runs(free_pieces(plain, 2)[:1])
    with pytest.raises(FilesystemUnsupported, match="is a file"):
        claim(plain, [Claim("image.ipi", runs, runs.total)])


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "x" * 256])
def test_impossible_names(plain: Path, name: str) -> None:
    runs = Runs(free_pieces(plain, 2)[:1])
    with pytest.raises(UsageError):
        claim(plain, [Claim(name, runs, runs.total)])


def test_no_inode_left(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "p.img", ext("few-inodes", "-t ext2 -b 1024 -N 16", 4))
    pieces = free_pieces(path, 1)
    with pytest.raises(NoSpace, match="inode"):
        claim(path, [Claim(f"f{number}", Runs([pieces[number]]), 1) for number in range(30)])


def test_adapt_refuses_what_is_too_small(plain: Path) -> None:
    with FileVolume(plain) as volume:
        tx = Transaction(volume)
        ExtEditor(tx.view).adapt(Place(0, volume.size), tx)
        with pytest.raises(NoSpace, match=str(volume.size)):
            ExtEditor(tx.view).adapt(Place(0, volume.size - 1024), tx)


def test_quota_without_entry_for_root_is_refused(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "p.img", ext("quota", "-t ext4 -O quota -E root_owner=7:7", 24))
    with FileVolume(path) as volume:
        filesystem = ExtEditor(volume)
        usage = read_usage(volume, filesystem.inodes, "user", 3)
        place = int(usage.place[usage.ids == 0][0])
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(72))
    before, runs = path.read_bytes(), Runs(free_pieces(path, 2)[:1])
    with pytest.raises(FilesystemUnsupported, match="has no entry for user 0"):
        claim(path, [Claim("image.ipi", runs, runs.total)])
    assert path.read_bytes() == before


def test_user_files_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "p.img"
    make_filled(path, PLAIN, entries=50)
    facts, kept = snapshot(path), copied(path, tmp_path / "before.img")
    pieces = free_pieces(path, 9)
    claim(path, [Claim("image.ipi", Runs(pieces[:20]), Runs(pieces[:20]).total)])
    assert snapshot(path) == facts
    release(path, ["image.ipi"])
    assert snapshot(path) == facts
    assert e2fsck(kept) == e2fsck(path) == []
