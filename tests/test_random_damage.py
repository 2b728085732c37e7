"""Random sectors of a whole partition replaced by noise: what is given as right is right, and the rest is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from inpart.contracts import EntryType, FilesystemTree
from inpart.errors import IntegrityError
from inpart.extents import Extents
from inpart.operations.create import CreateOptions, create
from inpart.operations.extraction import OutputTree
from inpart.operations.files import extract, open_tree
from inpart.operations.filesystems import find_filesystem
from inpart.operations.images import list_images, open_image
from inpart.operations.incomplete import survey
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.selection import Selection
from inpart.operations.session import Session
from inpart.operations.stores import EVERY, claims_of, locate
from inpart.operations.verify import verify
from inpart.units import SECTOR
from inpart.volume import FileVolume
from matrix.kinds import KINDS

LAYOUTS = ("contiguous", "blocks")
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Whole:
    """An undamaged partition with two images, names by id; ``content`` and ``used`` are those of the newest."""

    path: Path
    names: dict[str, str]
    content: bytes
    used: Extents


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, session: Session) -> Callable[[str, str], Whole]:
    """A partition of a kind with images in a layout, made once; not to be changed."""

    @cache
    def give(name: str, layout: str) -> Whole:
        kind = next(kind for kind in KINDS if kind.name == name)
        path = tmp_path_factory.mktemp("random") / f"{name}-{layout}.img"
        kind.make(path)
        create(session, str(path), CreateOptions("factory-1", "factory", layout=layout))
        kind.add(path)
        create(session, str(path), CreateOptions("mine", layout=layout))
        with open_image(session, str(path), "mine") as image:
            content, used = image.volume.read(0, image.volume.size), image.reader.extents
        names = {row.id: row.name for row in list_images(session, str(path)).images}
        return Whole(path, names, content, used)

    return give


def wreck(whole: Whole, path: Path, permille: int, seed: int) -> Path:
    """A copy in which so many thousandths of all sectors are noise."""
    chance = np.random.default_rng([seed, permille])
    sectors = np.fromfile(whole.path, dtype=np.uint8).reshape(-1, SECTOR)
    hit = chance.choice(len(sectors), len(sectors) * permille // 1000, replace=False)
    sectors[hit] = chance.integers(0, 256, (len(hit), SECTOR), dtype=np.uint8)
    sectors.tofile(path)
    return path


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("permille", [1, 10, 50, 200])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["fat16", "ext4"])
def test_what_is_given_as_right_is_right(whole: Callable[[str, str], Whole], session: Session, tmp_path: Path,
                                         name: str, layout: str, permille: int, seed: int) -> None:  # fmt: skip
    made = whole(name, layout)
    path = wreck(made, tmp_path / "wrecked.img", permille, seed)
    before = path.read_bytes()
    rows = list_images(session, str(path), EVERY).images
    _check_names(made, {row.id: row.name for row in rows}, some_lost=permille == 200)
    target = tmp_path / "target.img"
    try:
        report = restore(session, str(path), RestoreOptions(rows[-1].id, to=str(target), allow_incomplete=True))
    except IntegrityError as error:
        if permille < 200 or "every frame are lost" not in error.message:
            raise
        return
    assert path.read_bytes() == before
    with open_image(session, str(path), rows[-1].id, EVERY) as image:
        assert image.found is not None
        damage = survey(session, image)
        assert report.lost_bytes == damage.bad.total
        assert bool(damage.bad) == bool(damage.affected)
    if report.name == "mine":
        _compare(made, target.read_bytes(), damage.bad)
        _all_named(session, made, damage.bad, report.affected)
    assert verify(session, str(path), rows[-1].id).ok <= (not damage.bad)


def _check_names(made: Whole, found: dict[str, str], *, some_lost: bool) -> None:
    """Up to 5 % damage both images are found by name; beyond it all frames of one may be lost, and names."""
    assert found.keys() == made.names.keys() or (some_lost and found.keys() < made.names.keys())
    if not some_lost:
        assert found == made.names
    for image_id, name in found.items():
        assert name in {made.names[image_id], f"image-{image_id[:8]}", f"recovered-{image_id[:12]}"}


def _compare(made: Whole, restored: bytes, bad: Extents) -> None:
    assert len(restored) == len(made.content)
    for start, end in made.used - bad:
        assert restored[start:end] == made.content[start:end], f"bytes {start} to {end} are given as right"
    for start, end in bad:
        assert not any(restored[start:end]), f"bytes {start} to {end} are lost and not zeros"


def _all_named(session: Session, made: Whole, bad: Extents, affected: tuple[str, ...]) -> None:
    """What has lost bytes, as the undamaged partition tells it, is named; or it is said that nothing names some."""
    with FileVolume(made.path) as volume:
        filesystem = find_filesystem(session, volume).open(volume)
        assert isinstance(filesystem, FilesystemTree)
        lost = {path for path in filesystem.owners(bad & made.used) if not path.startswith("/.inpart")}
    if not any("nothing names" in one for one in affected):
        assert lost <= set(affected)
    elif len(affected) == 1:
        assert not lost


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_few_bad_sectors_cost_little(whole: Callable[[str, str], Whole], session: Session, tmp_path: Path,
                                       layout: str) -> None:  # fmt: skip
    """0.1 % of the sectors: at most a tenth of the image is lost, whatever the seed."""
    made = whole("fat16", layout)
    for seed in SEEDS:
        path = wreck(made, tmp_path / f"{seed}.img", 1, seed)
        target = tmp_path / f"{seed}.target"
        report = restore(session, str(path), RestoreOptions("mine", to=str(target), allow_incomplete=True))
        assert report.lost_bytes <= made.used.total // 10


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["fat16", "ext4"])
def test_in_place_the_other_images_stay(whole: Callable[[str, str], Whole], session: Session, tmp_path: Path,
                                        name: str, layout: str, seed: int) -> None:  # fmt: skip
    """1 %: what is given as right is right in place too, and no byte of the retained image changes, claimed or not."""
    made = whole(name, layout)
    path = wreck(made, tmp_path / "wrecked.img", 10, seed)
    told: list[str] = []
    with FileVolume(path) as volume:
        located = locate(session, volume, EVERY)
        (other,) = (one.image for one in located.images if one.summary.name == "factory-1")
        before = [volume.read(start, end - start) for start, end in other.extents]
        with open_image(session, str(path), "mine", EVERY) as image:
            damage = survey(session, image)
    report = restore(Session(session.plugins, warn=told.append), str(path),
                     RestoreOptions("mine", allow_incomplete=True))  # fmt: skip
    with FileVolume(path) as volume:
        assert [volume.read(start, end - start) for start, end in other.extents] == before
        claimed = claims_of(session, volume) or ()
        protected = any(claim.name.startswith("factory-1.") for claim in claimed)
        assert protected or any("may overwrite them" in message for message in told)
        if not protected:
            kept = (made.used - damage.bad) - other.extents
            assert all(volume.read(start, end - start) == made.content[start:end] for start, end in kept)
    assert report.lost_bytes >= damage.bad.total


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["fat16", "ext4"])
def test_what_is_taken_out_is_right(whole: Callable[[str, str], Whole], session: Session, tmp_path: Path,
                                    name: str, layout: str) -> None:  # fmt: skip
    """0.1 %: files come out whole, or they or their directories are named; most come out, with the bytes they had."""
    made = whole(name, layout)
    with open_tree(session, str(made.path)) as tree:
        files = {entry.path: entry for entry in tree.walk() if entry.type is EntryType.FILE}
        files = {path: entry for path, entry in files.items() if not path.startswith("/.inpart")}
        expected = {path: b"".join(tree.read(path)) for path in files}
    out = 0
    for seed in SEEDS:
        path = wreck(made, tmp_path / f"{seed}.img", 1, seed)
        output = tmp_path / f"out-{seed}"
        with open_tree(session, str(path), "mine") as tree:
            report = extract(session, tree, ["/"], OutputTree(output), Selection())
        found = {f"/{file.relative_to(output)}": file for file in output.rglob("*") if file.is_file()}
        assert all(file.read_bytes() == expected[path] for path, file in found.items() if not file.is_symlink())
        failed = {path for path, _ in report.failed}
        for missing in expected.keys() - found.keys():
            assert any(missing == one or missing.startswith(f"{one.rstrip('/')}/") for one in failed), missing
        out += len(found)
    assert out > len(expected) * len(SEEDS) // 2
