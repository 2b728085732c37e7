"""The power-cut kit: whole operations on a real file system, cut at every write, judged by that file system's tools.

An adopter says how to make and read partitions of its kind, as for the other kits. What must hold are the promises (a)
to (d) of docs/DESIGN.md. The tests marked ``exhaustive`` take every cut, the others a seeded sample.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest

from inpart.contracts import Severity
from inpart.errors import IntegrityError, Interrupted, NoImageFound
from inpart.operations.create import CreateOptions, create
from inpart.operations.images import list_images
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.resume import resume
from inpart.operations.session import QuietProgress, Session
from inpart.operations.stores import EVERY
from inpart.operations.verify import verify
from inpart.plugins import load
from inpart.testing.cut_files import Files
from inpart.testing.cuts import Recording, Sample
from inpart.testing.kit import noting
from inpart.testing.powercut import recorded_file

_RESUMES = 2
"""After how many cuts a sample tries resume under power cuts."""


@dataclass
class Bench:
    """A partition in ``path`` with ``files`` and committed images ``names``; its disks after cuts go to ``cut``.

    ``moving`` says that files are in the way of the first image.
    """

    session: Session
    path: Path
    cut: Path
    files: Files
    names: list[str] = field(default_factory=list)
    moving: bool = True

    def create(self, name: str, kind: str = "user") -> None:
        """Add an image."""
        create(self.session, str(self.path), CreateOptions(name, kind))
        self.names.append(name)

    def committed(self, path: Path, *, doomed: Collection[str] = ()) -> list[str]:
        """Names of the images that are said to exist, found in every way; each must be whole, ``doomed`` ones aside."""
        try:
            rows = list_images(self.session, str(path), EVERY).images
        except NoImageFound:
            return []
        whole = [row for row in rows if row.state == "committed"]
        for row in whole:
            if row.name in doomed:
                continue
            bad = [one for one in verify(self.session, str(path), row.id).findings if one.code.startswith("image.")]
            assert not bad, f"C1: image {row.name} is announced and is not whole: {bad[0]}"
        return [row.name for row in whole]


class _Failing(QuietProgress):
    """Interrupts a create when it begins to write its image."""

    @contextmanager
    def phase(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Raises Interrupted."""
        if name == "imaging":
            raise Interrupted("in the middle of a create")
        with super().phase(name, total) as advance:
            yield advance


class PowerCutKit(ABC):
    """C: what must hold after a power cut at any write of an operation."""

    variants: ClassVar[Sequence[str]] = ("default",)
    sample: ClassVar[int] = 6
    torn: ClassVar[int] = 2
    unmoved: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def make(self, path: Path, variant: str) -> Files:
        """Make a partition in the file ``path``, with files at its very end, and half of it free; what it holds."""

    @abstractmethod
    def files(self, path: Path) -> Files:
        """What the file system's own tools read, without the container."""

    @abstractmethod
    def change(self, path: Path) -> None:
        """Change, delete and add files with the file system's own tools."""

    @abstractmethod
    def complaints(self, path: Path) -> list[str]:
        """What the reference checker finds, nothing on a healthy partition."""

    @abstractmethod
    def harmless(self, complaint: str) -> bool:
        """True for what soft updates may leave when nobody resumes: used clusters without an owner."""

    def wreck(self, path: Path) -> None:
        """Overwrite what makes the file system readable: the first tenth of the partition."""
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size // 10))

    def session(self) -> Session:
        """The plugins that are installed, and the default policy; no file has to move in the ``unmoved`` variants."""
        return Session(load())

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test for every variant, with a sample of cuts and with all of them."""
        metafunc.parametrize("variant", self.variants)
        every = pytest.param(None, marks=pytest.mark.exhaustive, id="all")
        metafunc.parametrize("cuts", [pytest.param(Sample(self.sample), id="sample"), every])

    @pytest.fixture
    def bench(self, tmp_path: Path, variant: str) -> Bench:
        """A partition without images."""
        return self.prepare(tmp_path, variant)

    def prepare(self, folder: Path, variant: str) -> Bench:
        """Make a partition in ``folder`` and see to it that its tools find nothing wrong."""
        path = folder / "partition.img"
        files = self.make(path, variant)
        assert self.files(path) == files
        assert self.complaints(path) == []
        return Bench(self.session(), path, folder / "cut.img", files, moving=variant not in self.unmoved)

    def test_c1_create_with_vacating(self, bench: Bench, cuts: Sample | None) -> None:
        """C1: the first image: files move, the container is made and claimed."""
        vacated = create(bench.session, str(bench.path), CreateOptions("new", dry_run=True)).vacated
        assert bool(vacated) == bench.moving, f"C1: {vacated} bytes have to move"
        recording = self._record(bench, lambda path: create(bench.session, path, CreateOptions("new")))
        self._each(bench, recording, cuts, lambda: self._check_create(bench, "C1"))

    def test_c2_create_beside_another_image(self, bench: Bench, cuts: Sample | None) -> None:
        """C2: the second image: tables change, clusters pass from one hidden file to another."""
        bench.create("first", "factory")
        recording = self._record(bench, lambda path: create(bench.session, path, CreateOptions("new")))
        self._each(bench, recording, cuts, lambda: self._check_create(bench, "C2"))

    def test_c3_restore_of_a_wrecked_partition(self, bench: Bench, cuts: Sample | None) -> None:
        """C3: no restore, however far it came, costs an image, and resume finishes it."""
        self._with_images(bench)
        self.change(bench.path)
        self.wreck(bench.path)
        recording = self._record(bench, lambda path: restore(bench.session, path, RestoreOptions()))
        self._each(bench, recording, cuts, lambda: self._check_restore(bench, "C3", bench.names))

    def test_c4_restore_of_an_older_image_alone(self, bench: Bench, cuts: Sample | None) -> None:
        """C4: the older image without the newer one: the newer one is there until the older one is back."""
        self._with_images(bench)
        self.change(bench.path)
        options = RestoreOptions("first", retain=False)
        recording = self._record(bench, lambda path: restore(bench.session, path, options))
        self._each(bench, recording, cuts, lambda: self._check_restore(bench, "C4", ["first"], options))

    def test_c5_resume_of_a_create(self, bench: Bench, cuts: Sample | None) -> None:
        """C5: a resume may be cut itself, and resumed."""
        recording = self._record(bench, lambda path: create(bench.session, path, CreateOptions("new")))
        self._each_resume(bench, recording, cuts, lambda: self._check_create(bench, "C5", strict=False))

    def test_c6_resume_of_a_restore(self, bench: Bench, cuts: Sample | None) -> None:
        """C6: the same for a restore."""
        self._with_images(bench)
        self.change(bench.path)
        self.wreck(bench.path)
        recording = self._record(bench, lambda path: restore(bench.session, path, RestoreOptions()))
        self._each_resume(bench, recording, cuts, lambda: self._check_restore(bench, "C6", bench.names))

    def test_c7_use_instead_of_resume(self, bench: Bench, cuts: Sample | None) -> None:
        """C7: nobody resumes, the file system is used as it is: nothing is lost, and inpart can be used again."""
        recording = self._record(bench, lambda path: create(bench.session, path, CreateOptions("new")))
        self._each(bench, recording, cuts, lambda: self._check_use(bench))

    def test_c8_restore_instead_of_resume(self, bench: Bench, cuts: Sample | None) -> None:
        """C8: the partition is wrecked as well before anybody resumes: what was committed comes back all the same."""
        bench.create("first", "factory")
        recording = self._record(bench, lambda path: create(bench.session, path, CreateOptions("new")))
        self._each(bench, recording, cuts, lambda: self._check_wrecked(bench))

    def test_c9_clean_up_of_a_failed_create(self, bench: Bench, cuts: Sample | None) -> None:
        """C9: a create fails when files have moved already: what it takes back may be cut too, and is resumed."""
        failing = replace(bench.session, progress=_Failing())

        def create_in_vain(path: str) -> None:
            with pytest.raises(Interrupted):
                create(failing, path, CreateOptions("new"))

        recording = self._record(bench, create_in_vain)
        self._each(bench, recording, cuts, lambda: self._check_create(bench, "C9"))

    def _with_images(self, bench: Bench) -> None:
        bench.create("first", "factory")
        bench.create("second")

    def _record(self, bench: Bench, action: Callable[[str], object]) -> Recording:
        with recorded_file(bench.path) as recording:
            action(str(bench.path))
        return recording

    def _each(self, bench: Bench, recording: Recording, cuts: Sample | None, check: Callable[[], None]) -> None:
        """Put the disk after each chosen cut into ``bench.cut`` and check it; a failure gets a note with the cut."""
        every = recording.cuts(torn=self.torn)
        for cut, disk in recording.disks(every if cuts is None else cuts.choose(every)):
            bench.cut.write_bytes(disk.data)
            with noting(f"power cut {cut} of {recording.writes} writes"):
                check()

    def _each_resume(self, bench: Bench, recording: Recording, cuts: Sample | None, check: Callable[[], None]) -> None:
        """Resume after the cuts that left something to be resumed, a few of them for a sample; cut that as well."""
        order = recording.cuts(torn=0)
        if cuts is not None:
            random.Random(cuts.seed).shuffle(order)
        found = 0
        for cut in order:
            bench.path.write_bytes(recording.disk(cut).data)
            with recorded_file(bench.path) as again:
                report = resume(bench.session, str(bench.path))
            if report.journals or report.restored:
                found += 1
                with noting(f"resume after the power cut {cut} of {recording.writes} writes"):
                    self._each(bench, again, cuts and Sample(cuts.count // 2), check)
            if cuts is not None and found == _RESUMES:
                break
        assert found, "no cut left anything to be resumed"

    def _check_use(self, bench: Bench) -> None:
        """Somebody uses the partition as it is, and resumes or gives up only later."""
        self.change(bench.cut)
        files = self.files(bench.cut)
        try:
            resume(bench.session, str(bench.cut))
        except IntegrityError:
            assert resume(bench.session, str(bench.cut), discard=True).discarded == 1, "C7"
        grave = [line for line in self.complaints(bench.cut) if not self.harmless(line)]
        assert not grave, f"C7: {grave}"
        assert self.files(bench.cut) == files, "C7: files changed"
        assert not resume(bench.session, str(bench.cut)).journals, "C7: resume did not finish"

    def _check_wrecked(self, bench: Bench) -> None:
        """The partition is wrecked and restored before anybody resumes."""
        self.wreck(bench.cut)
        images = bench.committed(bench.cut)
        assert images in (["first"], ["first", "new"]), f"C8: {images}"
        restore(bench.session, str(bench.cut), RestoreOptions("first"))
        resume(bench.session, str(bench.cut), discard=True)
        assert self.complaints(bench.cut) == [], "C8"
        assert self.files(bench.cut) == bench.files, "C8: files are not as in the image"
        images = bench.committed(bench.cut)
        assert images in (["first"], ["first", "new"]), f"C8: after restore and resume: {images}"
        if images == ["first"]:
            create(bench.session, str(bench.cut), CreateOptions("new"))

    def _check_create(self, bench: Bench, code: str, *, strict: bool = True) -> None:
        """Promises (a), (b) and (d) on the disk in ``bench.cut``, before and after resume."""
        assert self.files(bench.cut) == bench.files, f"{code}: files changed"
        grave = [line for line in self.complaints(bench.cut) if not self.harmless(line)]
        assert not grave, f"{code}: before resume: {grave}"
        assert bench.committed(bench.cut) in (bench.names, [*bench.names, "new"]), f"{code}: before resume"
        resume(bench.session, str(bench.cut))
        left = [line for line in self.complaints(bench.cut) if strict or not self.harmless(line)]
        assert not left, f"{code}: after resume: {left}"
        assert self.files(bench.cut) == bench.files, f"{code}: resume changed files"
        images = bench.committed(bench.cut)
        assert images in (bench.names, [*bench.names, "new"]), f"{code}: after resume there are {images}"
        assert resume(bench.session, str(bench.cut)).journals == 0, f"{code}: resume did not finish"
        if strict and images == bench.names:
            create(bench.session, str(bench.cut), CreateOptions("new"))
            assert bench.committed(bench.cut) == [*bench.names, "new"], f"{code}: no create after resume"

    def _check_restore(self, bench: Bench, code: str, names: list[str], options: RestoreOptions | None = None) -> None:
        """Promises (c) and (d) on the disk in ``bench.cut``, before and after resume."""
        images = bench.committed(bench.cut, doomed=set(bench.names) - set(names))
        assert images in (bench.names, names), f"{code}: before resume there are {images}"
        report = resume(bench.session, str(bench.cut))
        if report.restored is None:
            restore(bench.session, str(bench.cut), options or RestoreOptions())
        assert self.complaints(bench.cut) == [], f"{code}: after resume"
        assert self.files(bench.cut) == bench.files, f"{code}: files are not as in the image"
        assert bench.committed(bench.cut) == names, f"{code}: after resume"
        errors = [one for one in verify(bench.session, str(bench.cut)).findings if one.severity is Severity.ERROR]
        assert not errors, f"{code}: after resume: {errors[0]}"
