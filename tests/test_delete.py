"""Deleting images on every file system and in both layouts: what goes is gone, what stays is whole."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from fatmaker import copy_in
from inpart import plugins
from inpart.cli.app import run as run_cli
from inpart.contracts import Severity
from inpart.errors import ExitCode, FilesystemError, IntegrityError, NoImageFound, UnfinishedJournal, UsageError
from inpart.operations.aids.upkeep import aid_check, aid_show, aid_sync
from inpart.operations.create import CreateOptions, create
from inpart.operations.delete import DeleteOptions, DeleteReport, delete_images
from inpart.operations.images import list_images
from inpart.operations.probe import probe
from inpart.operations.resume import resume
from inpart.operations.session import Policy, Session
from inpart.operations.stores import EVERY, claims_of
from inpart.operations.verify import verify
from inpart.testing.powercut import recorded_file
from inpart.testing.tools import copied
from inpart.volume import Access, FileVolume
from matrix.grounds import LAYOUTS
from matrix.kinds import KINDS, Kind

ALL = DeleteOptions(allow_factory=True)
BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A filled partition of a kind, made once; not to be changed."""

    @cache
    def make(kind: str) -> Path:
        path = tmp_path_factory.mktemp(kind) / "plain.img"
        BY_NAME[kind].make(path)
        return path

    return make


@pytest.fixture(params=[kind.name for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> Kind:
    return BY_NAME[request.param]


@pytest.fixture
def path(kind: Kind, plain: Callable[[str], Path], tmp_path: Path) -> Path:
    return copied(plain(kind.name), tmp_path / "p.img")


def with_layout(session: Session, layout: str) -> Session:
    return replace(session, policy=replace(session.policy, layout=layout))


def make_images(session: Session, path: Path, names: Sequence[str], kind: str = "user") -> None:
    for name in names:
        create(session, str(path), CreateOptions(name, kind))


def names_of(session: Session, path: Path) -> list[str]:
    try:
        return [row.name for row in list_images(session, str(path), EVERY).images if row.state == "committed"]
    except NoImageFound:
        return []


def errors_in(session: Session, path: Path) -> list[object]:
    return [one for one in verify(session, str(path)).findings if one.severity is Severity.ERROR]


def delete(session: Session, path: Path, *names: str, options: DeleteOptions = ALL) -> DeleteReport:
    return delete_images(session, str(path), names, options)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_with_the_last_image_everything_goes(session: Session, kind: Kind, path: Path, layout: str) -> None:
    session = with_layout(session, layout)
    facts, before = kind.facts(path), probe(session, str(path)).info
    make_images(session, path, ["shipped"], "factory")
    create(session, str(path), CreateOptions("next", parent="shipped"))
    delete(session, path, "next")
    assert names_of(session, path) == ["shipped"]
    assert errors_in(session, path) == []
    delete(session, path, "shipped")
    assert kind.complaints(path) == []
    assert kind.facts(path) == facts
    assert names_of(session, path) == []
    with FileVolume(path) as volume:
        assert not claims_of(session, volume)
    grown = before.free_bytes - probe(session, str(path)).info.free_bytes
    assert 0 <= grown <= (64 * 1024 if kind.name == "ntfs" else 0)  # $MFT never shrinks
    make_images(session, path, ["again"])
    assert (names_of(session, path), kind.complaints(path)) == (["again"], [])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_the_others_stay_whole(
    session: Session, plain: Callable[[str], Path], tmp_path: Path, layout: str, victim: int
) -> None:
    path, session = copied(plain("fat32"), tmp_path / "p.img"), with_layout(session, layout)
    names = ["one", "two", "three"]
    make_images(session, path, names)
    free = probe(session, str(path)).info.free_bytes
    report = delete(session, path, names[victim])
    assert probe(session, str(path)).info.free_bytes == free + report.freed_bytes > free
    left = [name for name in names if name != names[victim]]
    assert (list(report.kept), names_of(session, path)) == (left, left)
    make_images(session, path, [names[victim]])
    assert names_of(session, path) == [*left, names[victim]]
    assert errors_in(session, path) == []
    assert BY_NAME["fat32"].complaints(path) == []


def test_both_layouts_at_once(session: Session, plain: Callable[[str], Path], tmp_path: Path) -> None:
    path = copied(plain("ext4"), tmp_path / "p.img")
    for number, layout in enumerate((*LAYOUTS, *LAYOUTS)):
        create(session, str(path), CreateOptions(f"{layout}-{number}", layout=layout))
    delete(session, path, "contiguous-0", "blocks-1")
    assert names_of(session, path) == ["contiguous-2", "blocks-3"]
    assert (errors_in(session, path), BY_NAME["ext4"].complaints(path)) == ([], [])
    delete(session, path, "contiguous-2", "blocks-3")
    assert names_of(session, path) == []


class TestWhatIsRefused:
    """Nothing is written then."""

    @pytest.fixture
    def path(self, plain: Callable[[str], Path], tmp_path: Path, session: Session) -> Path:
        path = copied(plain("fat16"), tmp_path / "p.img")
        make_images(session, path, ["shipped"], "factory")
        create(session, str(path), CreateOptions("base"))
        create(session, str(path), CreateOptions("child", parent="base"))
        create(session, str(path), CreateOptions("grandchild", parent="child", layout="blocks"))
        return path

    @pytest.mark.parametrize(
        ("wanted", "error", "said"),
        [
            (["base"], UsageError, "'child'"),
            (["child", "base"], UsageError, "'grandchild'"),
            (["shipped"], UsageError, "factory image"),
            (["factory"], UsageError, "factory image"),
            (["nobody"], NoImageFound, "nobody"),
            (["grandchild", "nobody"], NoImageFound, "nobody"),
        ],
    )
    def test_without_an_option(
        self, session: Session, path: Path, wanted: list[str], error: type[Exception], said: str
    ) -> None:
        before = path.read_bytes()
        with pytest.raises(error, match=said):
            delete(session, path, *wanted, options=DeleteOptions())
        assert path.read_bytes() == before

    def test_latest_is_never_a_factory_image_by_chance(self, session: Session, path: Path) -> None:
        create(session, str(path), CreateOptions("shipped-2", "factory"))
        with pytest.raises(UsageError, match="shipped-2"):
            delete(session, path, "latest", options=DeleteOptions())

    def test_children_go_with_an_option(self, session: Session, path: Path) -> None:
        report = delete(session, path, "base", options=DeleteOptions(with_children=True))
        assert [row.name for row in report.deleted] == ["base", "child", "grandchild"]
        assert names_of(session, path) == ["shipped"]
        assert errors_in(session, path) == []

    def test_a_dry_run_tells_and_writes_nothing(self, session: Session, path: Path) -> None:
        before = path.read_bytes()
        tried = delete(session, path, "grandchild", options=DeleteOptions(dry_run=True))
        assert path.read_bytes() == before
        done = delete(session, path, "grandchild")
        assert (tried.freed_bytes, tried.kept, tried.deleted) == (done.freed_bytes, done.kept, done.deleted)

    def test_an_unclean_file_system(self, session: Session, path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(0x25)
            file.write(b"\x01")  # BS_Reserved1: dirty
        before = path.read_bytes()
        with pytest.raises(FilesystemError) as caught:
            delete(session, path, "grandchild")
        assert caught.value.hint
        assert path.read_bytes() == before

    def test_an_unfinished_change(self, session: Session, path: Path) -> None:
        with recorded_file(path) as recording:
            delete(session, path, "grandchild")
        journal_done = next(
            cut for cut in recording.cuts(torn=0) if _is_unfinished(session, path, recording.disk(cut).data)
        )
        path.write_bytes(recording.disk(journal_done).data)
        with pytest.raises(UnfinishedJournal):
            delete(session, path, "child")
        assert resume(session, str(path)).journals == 1
        assert names_of(session, path) == ["shipped", "base", "child"]


def _is_unfinished(session: Session, path: Path, disk: bytes | bytearray) -> bool:
    path.write_bytes(disk)
    return list_images(session, str(path)).unfinished is not None


@pytest.mark.parametrize("layout", LAYOUTS)
class TestDamagedImages:
    """What is left of an image can be deleted like a whole one."""

    @pytest.fixture
    def path(self, plain: Callable[[str], Path], tmp_path: Path, session: Session, layout: str) -> Path:
        path = copied(plain("fat32"), tmp_path / "p.img")
        make_images(with_layout(session, layout), path, ["one", "two"])
        return path

    def _wipe(self, session: Session, path: Path, wanted: Callable[[str], bool], size: int = 16384) -> None:
        """Zero the first bytes of files in /.inpart."""
        with FileVolume(path, Access.WRITE) as volume:
            for claim in claims_of(session, volume) or ():
                if wanted(claim.name):
                    volume.write(int(claim.runs.array[0, 0]), bytes(size))
            volume.flush()

    def _all_goes(self, session: Session, path: Path) -> None:
        kept = names_of(session, path)
        rows = list_images(session, str(path), EVERY).images
        delete(session, path, *(row.id for row in rows))
        assert names_of(session, path) == [], kept
        with FileVolume(path) as volume:
            assert not claims_of(session, volume)
        assert BY_NAME["fat32"].complaints(path) == []

    def test_one_that_has_lost_its_beginning(self, session: Session, path: Path) -> None:
        self._wipe(session, path, lambda name: name.startswith("one"))
        delete(session, path, "one")
        assert names_of(session, path) == ["two"]
        assert errors_in(session, path) == []
        self._all_goes(session, path)

    def test_all_without_tables(self, session: Session, path: Path) -> None:
        self._wipe(session, path, lambda name: name.startswith(("toc", "inter")), 1 << 16)
        self._all_goes(session, path)

    def test_one_without_tables(self, session: Session, path: Path) -> None:
        self._wipe(session, path, lambda name: name.startswith(("toc", "inter")), 1 << 16)
        delete(session, path, "one")
        assert names_of(session, path) == ["two"]
        self._all_goes(session, path)

    def test_nothing_but_the_data_of_one(self, session: Session, path: Path) -> None:
        """No table, and no beginning of an image."""
        self._wipe(session, path, lambda name: name.startswith(("toc", "inter", "one")), 1 << 16)
        self._all_goes(session, path)

    def test_after_a_format(self, session: Session, path: Path) -> None:
        """Nothing protects them, and a scan finds them; then none does any more."""
        BY_NAME["fat32"].format(path)
        assert names_of(session, path) == ["one", "two"]
        delete(session, path, "one", "two")
        assert names_of(session, path) == []
        assert BY_NAME["fat32"].complaints(path) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_strays(session: Session, plain: Callable[[str], Path], tmp_path: Path, layout: str) -> None:
    """Of an image that no file protects only data are left, in free clusters."""
    kind, path = BY_NAME["fat32"], copied(plain("fat32"), tmp_path / "p.img")
    make_images(with_layout(session, layout), path, ["one"])
    with FileVolume(path, Access.WRITE) as volume:
        for claim in claims_of(session, volume) or ():
            first, last = claim.runs.array[0], claim.runs.array[-1]
            volume.write(int(first[0]), bytes(1 << 16))
            volume.write(int(last.sum()) - (1 << 14), bytes(1 << 14))
        volume.flush()
    kind.remove_hidden(path)
    (row,) = list_images(session, str(path), EVERY).images
    assert row.state == "stray"
    options = DeleteOptions(allow_factory=True)
    assert delete(session, path, row.id, options=options).freed_bytes == 0
    with pytest.raises(NoImageFound):
        list_images(session, str(path), EVERY)
    assert kind.complaints(path) == []


def test_files_that_have_taken_the_place_are_not_touched(
    session: Session, plain: Callable[[str], Path], tmp_path: Path
) -> None:
    """After a format a file lies where the newer image begins."""
    path = copied(plain("fat32"), tmp_path / "p.img")
    make_images(session, path, ["one", "two"])
    begin = list_images(session, str(path)).images[1].extents[0][0]
    BY_NAME["fat32"].format(path)
    start = probe(session, str(path)).info.data_start
    copy_in(path, {"/large.bin": random.Random(1).randbytes(begin + 8192 - start)})
    before = path.read_bytes()
    assert [row.name for row in list_images(session, str(path), EVERY).images] == ["one", "two"]
    with pytest.raises(IntegrityError, match="other files"):
        delete(session, path, "two")
    assert path.read_bytes() == before


def test_aids_follow(plain: Callable[[str], Path], tmp_path: Path) -> None:
    """What is left stands in them, at the end nothing."""
    path, aid = copied(plain("ext4"), tmp_path / "p.img"), f"file:{tmp_path}/p.ipaid"
    session = Session(plugins.load(), Policy(aids=(aid, "reserved")))
    make_images(session, path, ["one", "two"])
    delete(session, path, "one")
    assert aid_check(session, str(path)).in_sync
    assert [image.name for record in aid_show(session, aid) for image in record.images] == ["two"]
    delete(session, path, "two")
    for record in (*aid_show(session, aid), *aid_show(session, str(path))):
        assert (record.images, record.store_ids, record.places) == ((), (), ())
    with pytest.raises(NoImageFound):
        aid_sync(session, str(path))
    make_images(session, path, ["three"])
    assert aid_check(session, str(path)).in_sync
    assert BY_NAME["ext4"].complaints(path) == []


def test_the_command(
    plain: Callable[[str], Path], tmp_path: Path, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied(plain("fat16"), tmp_path / "p.img")
    make_images(session, path, ["shipped"], "factory")
    make_images(session, path, ["monday"])
    row = list_images(session, str(path)).images[1]
    assert run_cli(["delete", str(path), "monday", "--json"]) == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"deleted", "kept", "freed_bytes", "dry_run"}
    assert [one["id"] for one in told["deleted"]] == [row.id]
    assert (told["kept"], told["dry_run"]) == (["shipped"], False)
    assert told["freed_bytes"] >= row.stored_bytes
    for arguments, code in (
        (["monday"], ExitCode.NO_IMAGE),
        (["shipped"], ExitCode.USAGE),
        ([], ExitCode.USAGE),
        (["shipped", "--allow-factory"], ExitCode.DONE),
        (["shipped"], ExitCode.NO_IMAGE),
    ):
        assert run_cli(["delete", str(path), *arguments]) == code, arguments
    assert "no image is left" in capsys.readouterr().out


def live(session: Session, kind: Kind, path: Path, seed: int, steps: int) -> None:
    """Images come and go in a random order; after each step all that is there is whole."""
    dice = random.Random(seed)
    facts = kind.facts(path)
    made: list[tuple[str, str | None]] = []
    for step in range(steps):
        if len(made) < 4 and (not made or dice.random() < 0.55):
            parent = dice.choice([None, *(name for name, _ in made)])
            create(session, str(path), CreateOptions(f"{step}", layout=dice.choice(LAYOUTS), parent=parent))
            made.append((f"{step}", parent))
        else:
            going = {name for name, _ in dice.sample(made, dice.randint(1, len(made)))}
            delete(session, path, *going, options=DeleteOptions(with_children=True))
            while more := {name for name, parent in made if parent in going and name not in going}:
                going |= more
            made = [one for one in made if one[0] not in going]
        assert sorted(names_of(session, path)) == sorted(name for name, _ in made), f"seed {seed}, step {step}"
        assert kind.complaints(path) == [], f"seed {seed}, step {step}"
        assert not made or errors_in(session, path) == [], f"seed {seed}, step {step}"
    assert kind.facts(path) == facts, f"seed {seed}"


def test_random_lives(session: Session, kind: Kind, path: Path) -> None:
    live(session, kind, path, seed=len(kind.name), steps=6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(10))
def test_many_random_lives(session: Session, kind: Kind, path: Path, seed: int) -> None:
    live(session, kind, path, seed, steps=25)
