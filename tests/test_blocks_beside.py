"""Images of both layouts made, deleted, made again and overwritten in any order: each is itself or is not found."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fatmaker import Recipe, copy_in, delete, fsck, make_partition
from fatwrecks import WRECKS, contents
from inpart import plugins
from inpart.errors import InpartError, NoImageFound, NoSpace, UsageError
from inpart.operations.create import CreateOptions, create
from inpart.operations.images import ImageRow, list_images, open_image
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Policy, Session
from inpart.operations.stores import EVERY, locate
from inpart.testing.tools import copied
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import Access, FileVolume
from inpart_fat.editor import FatEditor

RECIPE = Recipe("fat16", 12 * MIB, ("-F16", "-s2"))
NAMES = ("same", "same", "other")
LAYOUTS = ("blocks", "contiguous")


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(plugins.load(), Policy(min_free=0))


@dataclass
class Life:
    """A partition and what is true of it: the files now, and for each image that was ever made those that it holds."""

    path: Path
    session: Session
    chance: random.Random
    scratch: Path
    files: dict[str, bytes] = field(default_factory=dict)
    held: dict[str, dict[str, bytes]] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    parents: dict[str, str] = field(default_factory=dict)

    def change_files(self) -> None:
        """A file more, and perhaps one less: in clusters where blocks of deleted images are."""
        if len(self.files) > 2:
            gone = self.chance.choice(sorted(self.files))
            delete(self.path, gone)
            del self.files[gone]
        name = f"/{self.chance.randrange(10**6)}.bin"
        self.files[name] = self.chance.randbytes(self.chance.randrange(1, 300) * KIB)
        copy_in(self.path, {name: self.files[name]})

    def make(self) -> None:
        """An image, perhaps upon another one, perhaps with a name that is taken."""
        before = {row.id for row in self.rows()}
        layout = self.chance.choice(LAYOUTS)
        name = self.chance.choice(NAMES)
        parents = [image for image in sorted(self.kept) if image not in self.parents]
        parent = self.chance.choice([None, *parents])
        try:
            create(self.session, str(self.path), CreateOptions(name, layout=layout, parent=parent))
        except (NoSpace, UsageError):
            return
        (made,) = {row.id for row in self.rows()} - before
        self.held[made] = dict(self.files)
        self.kept.add(made)
        if parent is not None:
            self.parents[made] = parent

    def remove(self) -> None:
        """Delete an image that no other one builds on, with its files, as a user does."""
        free = sorted(self.kept - set(self.parents.values()))
        if not free:
            return
        gone = self.chance.choice(free)
        with FileVolume(self.path, Access.WRITE) as volume:
            located = locate(self.session, volume)
            (found,) = (one for one in located.images if one.summary.image_id.hex() == gone)
            tx = Transaction(volume)
            change = found.store.remove([found.summary.image_id], tx)
            editor = FatEditor(tx.view)
            if change.release:
                editor.release(change.release, tx)
            tx.commit(found.store.journal())
        self.kept.discard(gone)
        self.parents.pop(gone, None)

    def lose(self) -> None:
        """Delete the files of an image in blocks by hand: its seals stay, and its clusters are overwritten in time."""
        rows = {row.id: row for row in self.rows() if row.layout == "blocks"}
        free = sorted(self.kept.intersection(rows) - set(self.parents.values()))
        if not free:
            return
        gone = self.chance.choice(free)
        with FileVolume(self.path, Access.WRITE) as volume:
            tx = Transaction(volume)
            FatEditor(tx.view).release(rows[gone].files, tx)
            tx.commit(None)
        self.kept.discard(gone)
        self.lost.add(gone)

    def rows(self) -> tuple[ImageRow, ...]:
        """The images that the file system's files lead to."""
        try:
            return list_images(self.session, str(self.path)).images
        except NoImageFound:
            return ()


def judge(life: Life, wreck: str) -> None:
    """After a wreck each image that was kept gives back its files; of those deleted none is whole, named and chosen."""
    path = copied(life.path, life.scratch / f"{wreck}.img")
    WRECKS[wreck](life.session, path.stat().st_size)(path)
    rows = {row.id: row for row in list_images(life.session, str(path), EVERY).images if row.state != "stray"}
    assert life.kept <= rows.keys() <= life.kept | life.lost
    assert life.kept <= {image for image, row in rows.items() if row.state == "committed"}
    for image in rows:
        with suppress(InpartError), open_image(life.session, str(path), image, EVERY) as opened:
            whole = not list(opened.reader.verify("full", None))
            assert whole or image in life.lost
            if whole:
                target = life.scratch / f"{wreck}-{image}.img"
                restore(life.session, str(path), RestoreOptions(image, to=str(target)))
                assert contents(target, target.with_suffix(".out")) == life.held[image]
    chosen = life.chance.choice(sorted(life.kept))
    restore(life.session, str(path), RestoreOptions(chosen))
    assert fsck(path).complaints == ()
    assert contents(path, life.scratch / f"out-{wreck}") == life.held[chosen]
    rows = {row.id: row for row in list_images(life.session, str(path)).images}
    assert life.kept <= rows.keys() <= life.kept | life.lost


SEEDS = [1, 2, 3, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(4, 40))]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_life_of_images(session: Session, tmp_path: Path, seed: int) -> None:
    life = Life(make_partition(tmp_path / "p.img", RECIPE), session, random.Random(seed), tmp_path)
    for _ in range(14):
        life.change_files()
        life.chance.choice([life.make, life.make, life.make, life.remove, life.lose])()
    if not life.kept:
        life.make()
    assert fsck(life.path).complaints == ()
    assert contents(life.path, tmp_path / "before") == life.files
    judge(life, "nothing")
    judge(life, "reformatted")
    judge(life, "first-tenth")
