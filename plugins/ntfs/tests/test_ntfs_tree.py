"""Files, directories and streams are shown as ntfs-3g shows them: names, sizes, times, record numbers, every byte."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from inpart.contracts import EntryType
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, UsageError
from inpart.extents import Extents, Runs
from inpart.volume import FileVolume, MemoryVolume
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.details import moment
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.gathering import content_of
from inpart_ntfs.names import UNITS, Upcase, unicode_rules
from inpart_ntfs.reparse import WOF, tag_name, target_of
from inpart_ntfs.runs import byte_runs
from ntfsmaker import ATTRIB, MATRIX, SMALL, Recipe, make_partition, mounted

Filled = Callable[[Recipe], tuple[Path, dict[str, bytes]]]
Facts = tuple[str, int, int, int, object]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink"}
ODD = {"/pipe": "an empty file with the system attribute", "/junction": "ntfs-3g shows where it leads on this machine"}


def opened(path: Path) -> NtfsFilesystem:
    return NtfsFilesystem(FileVolume(path))


def shown_by_mount(root: Path) -> dict[str, Facts]:
    """Type, size, time in microseconds, record number and content of each file and stream."""
    found: dict[str, Facts] = {}
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            file = Path(folder, name)
            path, status = "/" + str(file.relative_to(root)), file.lstat()
            kind = KINDS.get(stat.S_IFMT(status.st_mode), "special")
            content: object = None
            if kind == "file":
                content = file.read_bytes()
            elif kind == "symlink":
                content = str(file.readlink())
            facts = status.st_mtime_ns // 1000, status.st_ino
            found[path] = (kind, len(content) if isinstance(content, bytes) else 0, *facts, content)
            with suppress(OSError):
                for stream in os.listxattr(file, follow_symlinks=False):
                    if stream.startswith("user."):
                        data = os.getxattr(file, stream, follow_symlinks=False)
                        found[f"{path}:{stream.removeprefix('user.')}"] = ("file", len(data), *facts, data)
    return found


def shown_by_us(filesystem: NtfsFilesystem) -> Iterator[tuple[str, Facts]]:
    for entry in filesystem.walk():
        content: object = None
        if entry.type is EntryType.FILE:
            content = b"".join(filesystem.read(entry.path))
        elif entry.type is EntryType.SYMLINK:
            content = entry.target
        assert entry.mtime is not None
        time = (entry.mtime - EPOCH) // timedelta(microseconds=1)
        yield entry.path, (entry.type.value, entry.size, time, entry.record, content)


@pytest.mark.parametrize("recipe", MATRIX, ids=lambda recipe: recipe.name)
def test_the_same_as_in_the_mount(filled: Filled, recipe: Recipe) -> None:
    path, _ = filled(recipe)
    with mounted(path, "ro") as root:
        expected = shown_by_mount(root)
    found = dict(shown_by_us(opened(path)))
    assert sorted(found) == sorted(expected)
    for name, facts in expected.items():
        assert name in ODD or found[name] == facts, name
    assert found["/junction"][4] == "C:\\a"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume with the special cases of names."""
    path = make_partition(tmp_path_factory.mktemp("ntfs-tree") / "names.img", SMALL)
    with mounted(path) as root:
        folder = root / "Folder With Long Name"
        folder.mkdir()
        (folder / "A long name.text").write_bytes(b"long")
        os.setxattr(folder / "A long name.text", "system.ntfs_dos_name", b"ALONGN~1.TEX")
        os.setxattr(folder, "system.ntfs_dos_name", b"FOLDER~1")
        os.setxattr(folder, "user.on a directory", b"stream of a directory")
        os.setxattr(folder / "A long name.text", "user.Stream", b"content of the stream")
        for name in ("same", "Same", "SAME"):
            (folder / name).write_bytes(name.encode())
        (folder / "grüße \U0001f600").write_bytes(b"unicode")
        (folder / "with:colon").write_bytes(b"colon")
        (root / "hiberfil.sys").write_bytes(bytes(4096) + b"\x01" * 20_000)
        (root / "pagefile.sys").write_bytes(b"\x02" * 30_000)
        (root / "swapfile.sys").write_bytes(b"\x03" * 5000)
        (folder / "pagefile.sys").write_bytes(b"\x04" * 5000)
        (root / "sparse").write_bytes(b"\x05" * 5000)
        os.truncate(root / "sparse", 1 << 20)
    return path


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/folder with long name/a LONG name.TEXT", "/Folder With Long Name/A long name.text"),
        ("/FOLDER~1/alongn~1.tex", "/Folder With Long Name/A long name.text"),
        ("/folder~1/GRÜSSE \U0001f600", ""),
        ("/folder~1/GRÜßE \U0001f600", "/Folder With Long Name/grüße \U0001f600"),
        ("/folder~1/Same", "/Folder With Long Name/Same"),
        ("/folder~1/SAME", "/Folder With Long Name/SAME"),
        ("/folder~1/with:colon", "/Folder With Long Name/with:colon"),
        ("/folder~1/alongn~1.tex:STREAM", "/Folder With Long Name/A long name.text:Stream"),
        ("/folder~1/alongn~1.tex:Stream:$DATA", "/Folder With Long Name/A long name.text:Stream"),
        ("/folder~1/alongn~1.tex::$DATA", "/Folder With Long Name/A long name.text"),
        ("/folder~1:on a directory", "/Folder With Long Name:on a directory"),
        ("/folder~1/alongn~1.tex:other", ""),
        ("/$mft", "/$MFT"),
        ("/$Extend/$Reparse", "/$Extend/$Reparse"),
        ("/$Secure:$SDS", "/$Secure:$SDS"),
    ],
)
def test_names_lead_to_files(image: Path, path: str, real: str) -> None:
    filesystem = opened(image)
    if real:
        assert filesystem.stat(path).path == real
    else:
        with pytest.raises(UsageError):
            filesystem.stat(path)


def test_what_is_listed(image: Path) -> None:
    filesystem = opened(image)
    entries = {entry.path: entry for entry in filesystem.walk()}
    assert "/Folder With Long Name:on a directory" in entries
    assert "/Folder With Long Name/A long name.text:Stream" in entries
    assert not [path for path in entries if "~1" in path or "$" in path]
    assert [entry.path for entry in filesystem.list("/FOLDER~1/same")] == ["/Folder With Long Name/same"]
    stream = entries["/Folder With Long Name/A long name.text:Stream"]
    assert stream == filesystem.stat(stream.path)
    assert (stream.type, stream.size, stream.attributes) == (EntryType.FILE, 21, ("stream",))
    assert b"".join(filesystem.read(stream.path, 11, 100)) == b"the stream"
    assert b"".join(filesystem.read("/Folder With Long Name:on a directory")) == b"stream of a directory"


def test_dispensable_files(image: Path) -> None:
    """Only those in the root directory, and of hiberfil.sys not the cluster that says whether it is one."""
    filesystem = opened(image)
    size = filesystem.info.cluster_size
    hibernation = filesystem.runs("/hiberfil.sys")
    expected = hibernation.slice(size, hibernation.total).extents()
    expected |= filesystem.runs("/pagefile.sys").extents() | filesystem.runs("/swapfile.sys").extents()
    assert filesystem.dispensable() == expected


def test_slack_is_behind_the_ends(filled: Filled) -> None:
    path, files = filled(next(recipe for recipe in MATRIX if recipe.name == "c4k"))
    filesystem = opened(path)
    slack = filesystem.slack()
    runs = filesystem.runs("/medium.bin")
    size = len(files["/medium.bin"])
    tail = -(-size // 512) * 512
    whole = -(-size // 4096) * 4096
    assert slack & runs.extents() == runs.slice(tail, whole - tail).extents()
    for name in ("/compressed/text", "/compressed/mixed", "/fragments"):
        assert not slack & filesystem.runs(name).extents()
    stream = filesystem.runs("/tiny:third")
    assert slack & stream.extents() == stream.slice(-(-60_000 // 512) * 512, 4096).extents()


def test_owners_are_named_by_all_their_names(filled: Filled) -> None:
    filesystem = opened(filled(SMALL)[0])
    assert set(filesystem.owners(filesystem.runs("/medium.bin").extents())) == {"/medium.bin", "/hard link"}
    assert list(filesystem.owners(filesystem.runs("/tiny:third").extents())) == ["/tiny:third"]
    assert list(filesystem.owners(filesystem.runs("/many").extents())) == ["/many"]
    mft = byte_runs(filesystem.mft.rows, filesystem.info.cluster_size).extents()
    assert list(filesystem.owners(Extents.span(mft.start, mft.start + 1))) == ["/$MFT"]
    secure = filesystem.runs("/$Secure:$SDS").extents()
    assert list(filesystem.owners(secure)) == ["/$Secure:$SDS"]
    assert not list(filesystem.owners(Extents()))


def test_runs_of_what_has_no_clusters(filled: Filled) -> None:
    filesystem = opened(filled(SMALL)[0])
    assert filesystem.runs("/empty") == filesystem.runs("/link") == Runs()
    assert filesystem.runs("/hole only").extents() == Extents()
    assert filesystem.runs("/hole only").total >= 50 * SMALL.cluster


def edited(path: Path, file: str, kind: int, at: int, data: bytes) -> NtfsFilesystem:
    """The volume with bytes of an attribute changed, the last two of a sector excepted."""
    filesystem = opened(path)
    attribute = filesystem.mft.assembled(filesystem.stat(file).record).stream(kind)
    assert attribute is not None
    first = attribute.first
    size = filesystem.boot.record_size
    runs = byte_runs(filesystem.mft.rows, filesystem.info.cluster_size)
    place = runs.slice(first.record * size, size).extents().start
    volume = MemoryVolume(path.read_bytes())
    volume.write(place + first.offset + at, data)
    return NtfsFilesystem(volume)


def test_bytes_behind_the_initialized_size_are_zeros(filled: Filled) -> None:
    path, files = filled(SMALL)
    filesystem = edited(path, "/medium.bin", AttributeType.DATA, 56, (70_001).to_bytes(8, "little"))
    content = b"".join(filesystem.read("/medium.bin"))
    assert content == files["/medium.bin"][:70_001].ljust(len(content), b"\0")
    assert len(content) == len(files["/medium.bin"])
    assert b"".join(filesystem.read("/medium.bin", 69_999, 4)) == content[69_999:70_003]
    compressed = edited(path, "/compressed/text", AttributeType.DATA, 56, (20_000).to_bytes(8, "little"))
    text = files["/compressed/text"]
    assert b"".join(compressed.read("/compressed/text")) == text[:20_000].ljust(len(text), b"\0")


def test_impossible_sizes_are_damage(filled: Filled) -> None:
    path, _ = filled(SMALL)
    for file, at, data in (
        ("/medium.bin", 48, b"\xff" * 7),
        ("/medium.bin", 48, b"\xff" * 8),
        ("/compressed/text", 34, b"\x14"),
        ("/compressed/text", 34, b"\xff"),
    ):
        filesystem = edited(path, file, AttributeType.DATA, at, data)
        with suppress(FilesystemDamaged):
            assert sum(map(len, filesystem.read(file))) < 10 << 20


def test_files_whose_content_is_elsewhere(tmp_path: Path) -> None:
    """What Windows packs by WOF has holes where its content should be; nobody gets zeros for it."""
    path = make_partition(tmp_path / "packed.img", SMALL)
    with mounted(path) as root:
        (root / "packed").write_bytes(b"")
        data = WOF.to_bytes(4, "little") + (16).to_bytes(2, "little") + bytes(2) + bytes(16)
        os.setxattr(root / "packed", "system.ntfs_reparse_data", data)
        (root / "system").write_bytes(b"plain")
        os.setxattr(root / "system", ATTRIB, (0x26).to_bytes(4, "big"))
    filesystem = opened(path)
    packed = filesystem.stat("/packed")
    assert (packed.type, packed.attributes) == (EntryType.FILE, ("archive", "reparse:wof"))
    with pytest.raises(FilesystemUnsupported, match="wof"):
        list(filesystem.read("/packed"))
    assert filesystem.stat("/system").attributes == ("hidden", "system", "archive")


def test_a_damaged_record_does_not_hide_the_others(filled: Filled) -> None:
    path, _ = filled(SMALL)
    whole = {entry.path for entry in opened(path).walk()}
    filesystem = opened(path)
    size = filesystem.boot.record_size
    number = filesystem.stat("/medium.bin").record
    place = byte_runs(filesystem.mft.rows, filesystem.info.cluster_size).slice(number * size, size).extents().start
    volume = MemoryVolume(path.read_bytes())
    volume.write(place, b"BAAD")
    damaged = NtfsFilesystem(volume)
    entries = {entry.path: entry for entry in damaged.walk()}
    assert set(entries) | {"/medium.bin:short", "/medium.bin:longer"} >= whole - {
        "/hard link:short",
        "/hard link:longer",
    }
    assert entries["/medium.bin"].attributes == ("damaged",)
    with pytest.raises(FilesystemDamaged):
        list(damaged.read("/medium.bin"))


def test_the_table_of_upper_case(filled: Filled) -> None:
    """That of mkntfs is the one of Windows; the rules of Unicode, which stand in for it, are nearly the same."""
    filesystem = opened(filled(SMALL)[0])
    table = filesystem.upcase.table
    assert not filesystem.upcase.standing_in
    assert int((table != unicode_rules()).sum()) < UNITS // 200
    assert filesystem.upcase.fold("ünïcödé") == Upcase(None).fold("ÜNÏCÖDÉ")
    assert (table == np.frombuffer(b"".join(filesystem.read("/$UpCase")), dtype="<u2")).all()


def test_links_of_windows() -> None:
    """Reparse points as Windows makes them: print names, relative links, links of its Linux subsystem."""

    def link(tag: int, flags: int | None, substitute: str, name: str) -> bytes:
        one, other = substitute.encode("utf-16-le"), name.encode("utf-16-le")
        fields = (0, len(one), len(one), len(other))
        body = b"".join(field.to_bytes(2, "little") for field in fields)
        body += b"" if flags is None else flags.to_bytes(4, "little")
        body += one + other
        return tag.to_bytes(4, "little") + len(body).to_bytes(2, "little") + bytes(2) + body

    assert target_of(link(0xA000000C, 0, "\\??\\C:\\x", "C:\\x")) == "C:\\x"
    assert target_of(link(0xA000000C, 0, "\\??\\C:\\x", "")) == "C:\\x"
    assert target_of(link(0xA000000C, 1, "..\\a\\b", "..\\a\\b")) == "../a/b"
    assert target_of(link(0xA0000003, None, "\\??\\D:\\", "D:\\")) == "D:\\"
    assert target_of(bytes.fromhex("1d0000a0 0800 0000 02000000") + b"/etc") == "/etc"
    assert target_of(b"\x0c\0\0\xa0") == target_of(bytes(40)) == ""
    assert tag_name(0x9000601A) == "cloud"
    assert tag_name(0x12345678) == "0x12345678"


def test_times_that_no_calendar_has() -> None:
    assert moment(0) is None
    assert moment(-5) is None
    assert moment((1 << 63) - 1) is None
    assert moment(116_444_736_000_000_000) == EPOCH


def test_system_files_can_be_read(filled: Filled) -> None:
    filesystem = opened(filled(SMALL)[0])
    assert filesystem.stat("/$Bitmap").record == Number.BITMAP
    bitmap = b"".join(filesystem.read("/$Bitmap"))
    assert len(bitmap) >= -(-filesystem.boot.clusters // 8)
    assert b"".join(filesystem.read("/$Boot", 3, 4)) == b"NTFS"


def test_content_of_many_files_is_found_without_their_paths(partition: tuple[Path, dict[str, bytes]]) -> None:
    """Only files with several streams, or with an attribute list, are looked up one by one."""
    with FileVolume(partition[0]) as volume:
        fs = NtfsFilesystem(volume)
        entries = [entry for entry in fs.walk() if entry.type is EntryType.FILE]
        asked: list[str] = []

        def runs(path: str) -> Runs:
            asked.append(path)
            return fs.runs(path)

        found = content_of(fs.mft, entries, runs)
        assert found == Extents.union(fs.runs(entry.path).extents() for entry in entries)
        assert found == fs.content(iter(entries))
        assert not [path for path in asked if path.startswith("/many/")]
        lost = [replace(entries[0], record=number) for number in (-1, 1 << 40)]
        assert fs.content(lost) == fs.runs(entries[0].path).extents()
