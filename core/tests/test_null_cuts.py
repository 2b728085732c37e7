"""The null file system and the null layout under power cuts: the core's own promises, without any plugin or tool."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from inpart.contracts import Stage, StoreChange
from inpart.encodings import builtin_encodings
from inpart.errors import InpartError
from inpart.extents import Extents
from inpart.operations.session import Policy, Session
from inpart.plugins import Plugins
from inpart.testing.delete_kit import DeleteKit
from inpart.testing.null import NullFilesystem, NullFilesystemProvider, NullLayout, make_null, null_plugins
from inpart.testing.null.layout import NullStore
from inpart.testing.null.structs import FREE, USED, Record, RecordType
from inpart.transaction import Transaction
from inpart.units import MIB
from inpart.volume import Access, FileVolume, Volume

FRAGMENTS = {"plain": 1, "fragmented": 3}


class NullCuts(DeleteKit):
    variants: ClassVar[Sequence[str]] = tuple(FRAGMENTS)
    filesystem: ClassVar[type[NullFilesystem]] = NullFilesystem
    layout: ClassVar[type[NullLayout]] = NullLayout

    def session(self) -> Session:
        kind = self.filesystem
        provider = type("Provider", (NullFilesystemProvider,), {"open": lambda _, volume: kind(volume)})()
        plugins = Plugins((provider,), builtin_encodings(), (self.layout(),), null_plugins().aids)
        return Session(plugins, Policy(layout="null"))

    def make(self, path: Path, variant: str) -> dict[str, bytes]:
        dice = random.Random(variant)
        files = {
            f"/dir{number % 3}/file{number}": dice.randbytes(dice.choice((700, 5000, 30000))) for number in range(9)
        }
        with FileVolume.create(path, 2 * MIB) as volume:
            make_null(volume, {"/filler": bytes(1_700_000)} | files, slots=32, fragments=FRAGMENTS[variant], seed=4)
            change(volume, gone="/filler")
        return files

    def files(self, path: Path) -> dict[str, bytes]:
        with FileVolume(path) as volume:
            tree = NullFilesystem(volume)
            records = [record for record in tree.records() if record.type is RecordType.FILE]
            names = [record.path for record in records if not record.path.startswith("/.inpart")]
            return {name: b"".join(tree.read(name)) for name in names}

    def change(self, path: Path) -> None:
        with FileVolume(path, Access.WRITE) as volume:
            change(volume, gone="/dir1/file4")
            change(volume, added={"/dir0/added": bytes(3000)})

    def complaints(self, path: Path) -> list[str]:
        with FileVolume(path) as volume:
            return [f"{finding.code} {finding.where}" for finding in NullFilesystemProvider().open(volume).check()]

    def harmless(self, complaint: str) -> bool:
        return complaint.startswith("null.lost")


def change(volume: FileVolume, *, gone: str = "", added: dict[str, bytes] | None = None) -> None:
    """What a driver would do, without a cut in between."""
    tx = Transaction(volume)
    tree = NullFilesystem(tx.view)
    for record in tree.records():
        if record.path == gone:
            tree._put(replace(record, type=RecordType.EMPTY, path="", runs=(), size=0), tx, Stage.SWITCH)
            tree._mark(record.runs, FREE, tx, Stage.RELEASE)
    for path, content in (added or {}).items():
        runs = tree._take(-(-len(content) // tree.superblock.cluster_size), tree.free(), path)
        made = tree._placed(Record(-1, RecordType.FILE, path, size=len(content), runs=runs))
        tree._mark(runs, USED, tx, Stage.ALLOCATE)
        tree._put(made, tx, Stage.SWITCH)
        tx.write(tree.bytes_of(made).extents().start, content)
    tx.commit(None)


class TestNull(NullCuts):
    """Run the kit."""


def keeps_clusters(self: NullFilesystem, runs: Any, value: int, tx: Any, stage: Stage) -> None:
    if value != FREE:
        NullFilesystem._mark(self, runs, value, tx, stage)


def marks_last(self: NullFilesystem, runs: Any, value: int, tx: Any, stage: Stage) -> None:
    NullFilesystem._mark(self, runs, value, tx, Stage.PUBLISH if value == USED else stage)


def careless_release(self: NullFilesystem, names: Any, tx: Any) -> None:
    """Lets go of the files and keeps their clusters."""
    careless = type("Careless", (NullFilesystem,), {"_mark": lambda *_: None})(self.volume)
    careless.release(names, tx)


def unseen_store(self: NullLayout, volume: Volume, search: Any) -> list[NullStore]:
    """Of stores that say that they lie nowhere."""
    found = list(NullLayout.locate(self, volume, search))
    for store in found:
        store.__class__ = type(
            "Unseen", (NullStore,), {"extents": lambda _: Extents(), "claims": lambda _: StoreChange()}
        )
    return found


BROKEN = {
    "C1-keeps": ("c1_create_with_vacating", {"_mark": keeps_clusters}, {}),
    "C1-marks": ("c1_create_with_vacating", {"_mark": marks_last}, {}),
    "C3-unseen": ("c3_restore_of_a_wrecked_partition", {}, {"locate": unseen_store}),
    "C7-marks": ("c7_use_instead_of_resume", {"_mark": marks_last}, {}),
    "C9-release": ("c9_clean_up_of_a_failed_create", {"release": careless_release}, {}),
}


@pytest.mark.parametrize("case", BROKEN)
def test_the_kit_notices(case: str, tmp_path: Path) -> None:
    test, filesystem, layout = BROKEN[case]
    kit = NullCuts()
    bench = kit.prepare(tmp_path, "plain")
    broken = {
        "filesystem": type("Broken", (NullFilesystem,), filesystem), "layout": type("Broken", (NullLayout,), layout),
    }  # fmt: skip
    kit = type("Broken", (NullCuts,), broken)()
    bench.session = kit.session()
    with pytest.raises((AssertionError, InpartError)) as caught:
        getattr(kit, f"test_{test}")(bench, None)
    assert isinstance(caught.value, InpartError) or case[:2] in str(caught.value)
