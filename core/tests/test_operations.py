"""The workflows over null providers: no plugin is needed to test what the core promises."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from inpart.contracts import Claim, FilesystemEditor, Finding, journal_size
from inpart.encodings import builtin_encodings
from inpart.errors import FilesystemUnsupported, IntegrityError, Interrupted, NoImageFound, NoSpace, UsageError
from inpart.extents import Extents, Runs
from inpart.operations.copying import copy_extents
from inpart.operations.create import CreateOptions, create
from inpart.operations.delete import delete_images
from inpart.operations.exchange import export_image, import_image
from inpart.operations.files import open_tree
from inpart.operations.forecast import forecast
from inpart.operations.images import list_images, open_image
from inpart.operations.journals import JOURNAL, find_unfinished
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.resume import resume
from inpart.operations.selection import Selection
from inpart.operations.session import Policy, Session
from inpart.operations.stores import EVERY
from inpart.operations.verify import verify
from inpart.plugins import Plugins
from inpart.testing.null import make_null, null_plugins
from inpart.testing.null.filesystem import NullTree
from inpart.transaction import Transaction
from inpart.volume import FileVolume, MemoryVolume

SIZE = 8 << 20
Tree = dict[str, bytes]


def content(seed: int, count: int = 20, most: int = 120_000) -> Tree:
    """Files of which half the blocks can be compressed; sizes do not end at cluster bounds."""
    dice = random.Random(seed)

    def body(size: int) -> bytes:
        return b"".join(dice.choice((dice.randbytes(512), b"abcd" * 128)) for _ in range(size // 512)) + b"tail"

    return {f"/d{index % 3}/f{index}.bin": body(dice.randrange(most)) for index in range(count)}


@pytest.fixture
def session() -> Session:
    null = null_plugins()
    plugins = Plugins(null.filesystems, builtin_encodings(), null.layouts, null.aids)
    return Session(plugins, Policy(layout="null"))


@pytest.fixture
def files() -> Tree:
    return content(3)


@pytest.fixture
def disk(tmp_path: Path, files: Tree) -> Path:
    path = tmp_path / "null.img"
    with FileVolume.create(path, SIZE) as volume:
        make_null(volume, files, fragments=4, seed=3)
    return path


def tree(session: Session, path: Path, image: str | None = None) -> Tree:
    with open_tree(session, str(path), image) as opened:
        entries = [entry for entry in opened.walk() if entry.type == "file" and not entry.path.startswith("/.inpart")]
        return {entry.path: b"".join(opened.read(entry.path)) for entry in entries}


def wreck(path: Path, length: int = 400_000) -> None:
    with path.open("r+b") as file:
        file.write(bytes(length))


def names(session: Session, path: Path) -> list[str]:
    return [row.name for row in list_images(session, str(path), EVERY).images]


def test_wrecked_partition_comes_back_with_all_images(session: Session, disk: Path, files: Tree) -> None:
    create(session, str(disk), CreateOptions("first", "factory"))
    create(session, str(disk), CreateOptions("second"))
    assert tree(session, disk) == files
    wreck(disk)
    report = restore(session, str(disk), RestoreOptions())
    assert report.name == "second"
    assert report.retained == ("first", "second")
    assert tree(session, disk) == files
    assert names(session, disk) == ["first", "second"]
    assert verify(session, str(disk)).ok
    assert verify(session, str(disk), level="fs").ok


def test_image_never_contains_images(session: Session, disk: Path, files: Tree) -> None:
    first = create(session, str(disk), CreateOptions("first"))
    second = create(session, str(disk), CreateOptions("second"))
    assert second.image_bytes <= first.image_bytes
    with open_tree(session, str(disk), "second") as opened:
        assert not [entry.path for entry in opened.walk() if ".inpart" in entry.path]
    assert tree(session, disk, "first") == tree(session, disk, "second") == files


def test_default_choice_is_newest_user_image_then_factory(session: Session, disk: Path) -> None:
    create(session, str(disk), CreateOptions("factory-1", "factory"))
    assert restore(session, str(disk), RestoreOptions(dry_run=True)).name == "factory-1"
    create(session, str(disk), CreateOptions("mine"))
    assert restore(session, str(disk), RestoreOptions(dry_run=True)).name == "mine"
    assert restore(session, str(disk), RestoreOptions("factory", dry_run=True)).name == "factory-1"
    assert restore(session, str(disk), RestoreOptions("latest", dry_run=True)).name == "mine"
    with pytest.raises(NoImageFound, match="found: factory-1, mine"):
        restore(session, str(disk), RestoreOptions("other"))


def test_older_image_gives_way_to_retained_newer_one(session: Session, disk: Path, files: Tree) -> None:
    create(session, str(disk), CreateOptions("first"))
    create(session, str(disk), CreateOptions("second"))
    report = restore(session, str(disk), RestoreOptions("first"))
    assert report.moved_bytes > 0
    assert tree(session, disk) == files
    assert names(session, disk) == ["first", "second"]
    assert verify(session, str(disk)).ok


def test_no_retain_drops_the_others(session: Session, disk: Path, files: Tree) -> None:
    create(session, str(disk), CreateOptions("first"))
    create(session, str(disk), CreateOptions("second"))
    report = restore(session, str(disk), RestoreOptions("first", retain=False))
    assert (report.retained, report.dropped, report.moved_bytes) == (("first",), ("second",), 0)
    assert names(session, disk) == ["first"]
    assert tree(session, disk) == files


def test_changed_only_writes_little(session: Session, disk: Path, files: Tree) -> None:
    create(session, str(disk), CreateOptions("first"))
    full = restore(session, str(disk), RestoreOptions())
    again = restore(session, str(disk), RestoreOptions(changed_only=True))
    assert again.written_bytes * 20 < full.written_bytes
    assert tree(session, disk) == files


def test_restore_elsewhere(session: Session, disk: Path, files: Tree, tmp_path: Path) -> None:
    create(session, str(disk), CreateOptions("first"))
    larger = tmp_path / "larger.img"
    with FileVolume.create(larger, 2 * SIZE):
        pass
    for target in (tmp_path / "new.img", larger):
        report = restore(session, str(disk), RestoreOptions(to=str(target)))
        assert report.retained == ()
        assert tree(session, target) == files
        with pytest.raises(NoImageFound):
            list_images(session, str(target))
    smaller = tmp_path / "smaller.img"
    with FileVolume.create(smaller, SIZE // 16):
        pass
    before = smaller.read_bytes()
    with pytest.raises(NoSpace, match=str(SIZE // 16)):
        restore(session, str(disk), RestoreOptions(to=str(smaller)))
    assert smaller.read_bytes() == before


def test_create_to_file_and_back(session: Session, disk: Path, files: Tree, tmp_path: Path) -> None:
    before = disk.read_bytes()
    outside = tmp_path / "outside.ipi"
    create(session, str(disk), CreateOptions("out", to=outside))
    assert disk.read_bytes() == before
    assert tree(session, outside) == files
    restore(session, str(outside), RestoreOptions(to=str(tmp_path / "back.img")))
    assert tree(session, tmp_path / "back.img") == files
    with pytest.raises(UsageError, match="in a file"):
        restore(session, str(outside), RestoreOptions())
    with pytest.raises(UsageError, match="exists already"):
        create(session, str(disk), CreateOptions("out", to=outside))


def test_export_and_import(session: Session, disk: Path, files: Tree, tmp_path: Path) -> None:
    create(session, str(disk), CreateOptions("first", "factory"))
    out = tmp_path / "first.ipi"
    export_image(session, str(disk), "first", out)
    with pytest.raises(UsageError, match="already"):
        import_image(session, str(disk), out)
    other = tmp_path / "other.img"
    with FileVolume.create(other, SIZE) as volume:
        make_null(volume, content(9, 4), seed=9)
    import_image(session, str(other), out)
    restore(session, str(other), RestoreOptions("first"))
    assert tree(session, other) == files
    assert names(session, other) == ["first"]


def test_a_file_cut_short_is_a_part_of_an_image(session: Session, disk: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.ipi"
    create(session, str(disk), CreateOptions("out", to=out))
    whole = out.read_bytes()
    for size, state in ((len(whole), "committed"), (len(whole) - 1, "committed"), (len(whole) // 2, "partial")):
        out.write_bytes(whole[:size])
        (row,) = list_images(session, str(out)).images
        assert row.state == state, size


def test_name_taken_or_impossible(session: Session, disk: Path) -> None:
    create(session, str(disk), CreateOptions("first"))
    with pytest.raises(UsageError, match="already"):
        create(session, str(disk), CreateOptions("first"))
    for name in ("", "x" * 129, "a\nb"):
        with pytest.raises(UsageError, match="name"):
            create(session, str(disk), CreateOptions(name))


def test_full_partition_is_refused_untouched(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "full.img"
    dice = random.Random(5)
    with FileVolume.create(path, SIZE) as volume:
        make_null(volume, {f"/f{index}": dice.randbytes(1 << 20) for index in range(7)})
    before = path.read_bytes()
    with pytest.raises(NoSpace, match=r"\d"):
        create(session, str(path), CreateOptions("first"))
    assert path.read_bytes() == before


def test_dry_run_writes_nothing(session: Session, disk: Path) -> None:
    before = disk.read_bytes()
    report = create(session, str(disk), CreateOptions("first", dry_run=True))
    assert report.expected_bytes <= report.upper_bytes
    assert disk.read_bytes() == before


def test_excluded_files_come_back_as_zeros(session: Session, disk: Path, files: Tree, tmp_path: Path) -> None:
    chosen = Selection(exclude=("f1*.bin",))
    whole = create(session, str(disk), CreateOptions("whole", to=tmp_path / "whole.ipi"))
    part = create(session, str(disk), CreateOptions("part", selection=chosen))
    assert part.image_bytes < whole.image_bytes
    gone = {path for path in files if path.rpartition("/")[2].startswith("f1")}
    assert part.left_out == len(gone)
    with open_tree(session, str(disk), "part") as held:
        for path, data in files.items():
            if path in gone:
                with pytest.raises(UsageError, match="left out of the image"):
                    held.read(path)
            else:
                assert b"".join(held.read(path)) == data
    report = restore(session, str(disk), RestoreOptions(image="part"))
    assert (report.left_out, set(report.left_out_paths), report.complete) == (len(gone), gone, False)
    assert tree(session, disk) == {path: bytes(len(data)) if path in gone else data for path, data in files.items()}


@pytest.mark.parametrize("name", ["", "n" * 129, "two\nlines", "latest", "factory"])
def test_names_that_no_image_can_have(session: Session, disk: Path, name: str) -> None:
    with pytest.raises(UsageError):
        create(session, str(disk), CreateOptions(name))
    assert create(session, str(disk), CreateOptions("factory", "factory", dry_run=True)).name == "factory"


def test_patterns_that_leave_no_file(session: Session, disk: Path) -> None:
    with pytest.raises(UsageError, match="no file with content fits --include"):
        create(session, str(disk), CreateOptions("typo", selection=Selection(include=("*.bim",))))
    with pytest.raises(UsageError, match="every sector"):
        create(session, str(disk), CreateOptions("both", selection=Selection(include=("*",), all_sectors=True)))


def test_report_says_where_the_image_is(session: Session, disk: Path) -> None:
    report = create(session, str(disk), CreateOptions("first"))
    row = list_images(session, str(disk)).images[0]
    assert (report.extents, report.image_bytes, report.stored_bytes) == (row.extents, row.image_bytes, row.stored_bytes)


def test_import_of_what_builds_on_another_image(session: Session, disk: Path, files: Tree, tmp_path: Path) -> None:
    for name, parent in (("whole", None), ("rest", "whole")):
        create(session, str(disk), CreateOptions(name, parent=parent))
        export_image(session, str(disk), name, tmp_path / name)
    other = tmp_path / "other.img"
    with FileVolume.create(other, SIZE) as volume:
        make_null(volume)
    before = other.read_bytes()
    with pytest.raises(NoImageFound, match="'rest' builds on"):
        import_image(session, str(other), tmp_path / "rest")
    assert other.read_bytes() == before
    for name in ("whole", "rest"):
        import_image(session, str(other), tmp_path / name)
    assert tree(session, other, "rest") == files


def test_images_made_at_once_have_an_order(session: Session, disk: Path) -> None:
    for name in ("first", "second", "third"):
        create(session, str(disk), CreateOptions(name, selection=Selection(include=("f1.bin",))))
    rows = list_images(session, str(disk)).images
    assert [row.name for row in rows] == ["first", "second", "third"]
    assert len({row.created for row in rows}) == 3
    with open_image(session, str(disk), "latest") as image:
        assert image.reader.manifest.name == "third"
    delete_images(session, str(disk), ["second"])
    create(session, str(disk), CreateOptions("fourth", selection=Selection(include=("f1.bin",))))
    assert [row.name for row in list_images(session, str(disk)).images] == ["first", "third", "fourth"]


def test_image_of_all_sectors_does_not_hold_itself(session: Session, disk: Path) -> None:
    report = create(session, str(disk), CreateOptions("every", selection=Selection(all_sectors=True)))
    with open_image(session, str(disk), "every") as image:
        own = Extents((start, start + length) for start, length in report.extents)
        assert not image.reader.extents & own
        assert report.image_bytes == image.reader.extents.total > SIZE // 2


def test_estimate_of_what_differs(session: Session, disk: Path) -> None:
    create(session, str(disk), CreateOptions("first"))
    alone = forecast(session, str(disk), Selection())
    after = forecast(session, str(disk), Selection(), "first")
    assert after.expected_bytes < alone.expected_bytes / 2
    report = create(session, str(disk), CreateOptions("second", parent="first"))
    assert report.stored_bytes <= after.expected_bytes + after.must_move


def test_interrupted_restore_is_resumed(
    session: Session, disk: Path, files: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(session, str(disk), CreateOptions("first"))

    def stopping(request: object, progress: Callable[[int], None]) -> object:
        del progress
        return copy_extents(request, _stop)  # type: ignore[arg-type]

    monkeypatch.setattr("inpart.operations.rewrite.copy_extents", stopping)
    with pytest.raises(Interrupted, match="restored in part and does not mount"):
        restore(session, str(disk), RestoreOptions())
    monkeypatch.undo()
    assert list_images(session, str(disk), EVERY).unfinished is not None
    assert not verify(session, str(disk)).ok
    assert resume(session, str(disk)).restored is not None
    assert tree(session, disk) == files
    assert resume(session, str(disk)).restored is None


def _stop(_: int) -> None:
    raise KeyboardInterrupt


def test_damaged_image_is_named_and_not_restored(session: Session, disk: Path, files: Tree) -> None:
    create(session, str(disk), CreateOptions("first", encoding="store"))
    row = list_images(session, str(disk)).images[0]
    start, length = row.extents[0]
    with open_tree(session, str(disk)) as opened:
        path = next(path for path in files if opened.runs(path).array[0, 0] > 1 << 20)
    needle = next(block for at in range(0, 4096, 512) if (block := files[path][at : at + 512])[:4] != b"abcd")
    place = disk.read_bytes().index(needle, start, start + length)
    with disk.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))
    report = verify(session, str(disk))
    assert not report.ok
    assert path in {finding.where for finding in report.findings}
    before = disk.read_bytes()
    with pytest.raises(IntegrityError):
        restore(session, str(disk), RestoreOptions())
    assert disk.read_bytes() == before


def test_unknown_content_is_copied_sector_by_sector(session: Session, tmp_path: Path) -> None:
    raw = tmp_path / "raw.img"
    raw.write_bytes(random.Random(4).randbytes(1 << 20))
    with pytest.raises(FilesystemUnsupported, match="no file system"):
        create(session, str(raw), CreateOptions("raw", to=tmp_path / "no.ipi"))
    every = Selection(all_sectors=True)
    create(session, str(raw), CreateOptions("raw", to=tmp_path / "raw.ipi", selection=every))
    restore(session, str(tmp_path / "raw.ipi"), RestoreOptions(to=str(tmp_path / "back.img")))
    assert (tmp_path / "back.img").read_bytes() == raw.read_bytes()
    with pytest.raises(FilesystemUnsupported):
        create(session, str(raw), CreateOptions("raw", selection=every))


def test_all_sectors_keeps_what_was_deleted(session: Session, disk: Path, tmp_path: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(SIZE - 1_000_000)
        file.write(b"deleted and not overwritten")
    create(session, str(disk), CreateOptions("exact", to=tmp_path / "exact.ipi", selection=Selection(all_sectors=True)))
    restore(session, str(tmp_path / "exact.ipi"), RestoreOptions(to=str(tmp_path / "back.img")))
    assert (tmp_path / "back.img").read_bytes() == disk.read_bytes()


@pytest.mark.parametrize("every", [False, True])
def test_the_file_system_is_checked_once(
    session: Session, disk: Path, tmp_path: Path, every: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[object] = []
    plain = NullTree.check

    def check(filesystem: NullTree) -> Iterator[Finding]:
        checked.append(filesystem)
        return plain(filesystem)

    monkeypatch.setattr(NullTree, "check", check)
    create(session, str(disk), CreateOptions("once", to=tmp_path / "once.ipi", selection=Selection(all_sectors=every)))
    assert len(checked) == 1


class PowerCut(Exception):
    """Raised where the power goes."""


class CutVolume(MemoryVolume):
    """A volume whose power goes at the end of a flush."""

    def __init__(self, data: bytearray, flushes: int) -> None:
        super().__init__(data)
        self.flushes = flushes

    def flush(self) -> None:
        super().flush()
        self.flushes -= 1
        if not self.flushes:
            raise PowerCut


@pytest.mark.parametrize("flushes", [2, 3])
def test_journal_is_found_before_its_place_is_claimed(session: Session, flushes: int) -> None:
    """After the commit record, and after the stage that takes the clusters of the journal itself."""
    volume = MemoryVolume(bytearray(64 << 20))
    make_null(volume, content(3), fragments=4, seed=3)
    editor = session.plugins.filesystems[0].open(volume)
    assert isinstance(editor, FilesystemEditor)
    start, end = max(editor.free(), key=lambda run: run[1] - run[0])
    assert end > start
    assert start < volume.size - (16 << 20), "this place would be found near the end"
    size, unit = journal_size(volume.size), editor.info.cluster_size
    place = Runs(((start, -(-size // unit) * unit),))
    cut = CutVolume(volume.data, flushes)
    tx = Transaction(cut)
    view = session.plugins.filesystems[0].open(tx.view)
    assert isinstance(view, FilesystemEditor)
    view.claim([Claim(JOURNAL, place, place.total)], tx, directory=Runs(((start + place.total, 2 * unit),)))
    with pytest.raises(PowerCut):
        tx.commit(place)
    found = find_unfinished(session, MemoryVolume(cut.data), ())
    assert [journal.header.runs for journal in found.journals] == [place]
