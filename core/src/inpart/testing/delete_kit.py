"""The power-cut kit with images that are deleted: what stays is whole, and nothing goes before its image does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from inpart.errors import IntegrityError, NoImageFound, NoSpace
from inpart.operations.create import CreateOptions, create
from inpart.operations.delete import DeleteOptions, delete_images
from inpart.operations.images import list_images
from inpart.operations.protection import repair_stores
from inpart.operations.resume import resume
from inpart.operations.stores import claims_of
from inpart.testing.cut_kit import Bench, PowerCutKit
from inpart.testing.cuts import Recording, Sample
from inpart.volume import FileVolume


class DeleteKit(PowerCutKit):
    """C: what must hold after a power cut while images are deleted, beside all of ``PowerCutKit``."""

    def test_c10_delete_of_one_image(self, bench: Bench, cuts: Sample | None) -> None:
        """C10: one of two images is deleted, the older or the newer one: the other one is whole at any time."""
        self._with_images(bench)
        for name in bench.names:
            kept = [one for one in bench.names if one != name]
            recording = self._record_delete(bench, [name])
            self._each(bench, recording, cuts, partial(self._check_delete, bench, "C10", kept))

    def test_c11_delete_of_all_images(self, bench: Bench, cuts: Sample | None) -> None:
        """C11: with the last image go container, files and directory."""
        self._with_images(bench)
        recording = self._record_delete(bench, bench.names)
        self._each(bench, recording, cuts, lambda: self._check_delete(bench, "C11", []))

    def test_c12_use_instead_of_resuming_a_delete(self, bench: Bench, cuts: Sample | None) -> None:
        """C12: nobody resumes, the file system is used: nothing is lost, and what is left over can be given back."""
        self._with_images(bench)
        recording = self._record_delete(bench, bench.names)
        self._each(bench, recording, cuts, lambda: self._check_use_of_delete(bench))

    def _record_delete(self, bench: Bench, names: Sequence[str]) -> Recording:
        """What a delete writes; the partition is as before afterwards."""
        before = bench.path.read_bytes()
        recording = self._record(bench, lambda path: _delete(bench, path, names))
        bench.path.write_bytes(before)
        return recording

    def _check_delete(self, bench: Bench, code: str, kept: list[str]) -> None:
        """Nothing of the user's or of the images ``kept`` is touched; the others go together."""
        self._check_untouched(bench, code, kept)
        resume(bench.session, str(bench.cut))
        assert self.complaints(bench.cut) == [], f"{code}: after resume"
        assert self.files(bench.cut) == bench.files, f"{code}: resume changed files"
        images = bench.committed(bench.cut)
        assert images in (bench.names, kept), f"{code}: after resume there are {images}"
        assert resume(bench.session, str(bench.cut)).journals == 0, f"{code}: resume did not finish"
        if images != kept:
            _delete(bench, str(bench.cut), [name for name in bench.names if name not in kept])
        if not kept:
            self._check_gone(bench, code)

    def _check_untouched(self, bench: Bench, code: str, kept: list[str]) -> None:
        assert self.files(bench.cut) == bench.files, f"{code}: files changed"
        grave = [line for line in self.complaints(bench.cut) if not self.harmless(line)]
        assert not grave, f"{code}: before resume: {grave}"
        images = bench.committed(bench.cut)
        assert set(kept) <= set(images) <= set(bench.names), f"{code}: before resume there are {images}"

    def _check_gone(self, bench: Bench, code: str) -> None:
        """No file of inpart's is left, and the next image is the first one again."""
        with FileVolume(bench.cut) as volume:
            left = claims_of(bench.session, volume)
        assert not left, f"{code}: files are left in /.inpart: {left}"
        assert self.complaints(bench.cut) == [], f"{code}: afterwards"
        assert bench.committed(bench.cut) == [], f"{code}: images are found after all were deleted"
        create(bench.session, str(bench.cut), CreateOptions("new"))
        assert bench.committed(bench.cut) == ["new"], f"{code}: no create afterwards"

    def _check_use_of_delete(self, bench: Bench) -> None:
        self.change(bench.cut)
        files, path = self.files(bench.cut), str(bench.cut)
        try:
            resume(bench.session, path)
        except IntegrityError:
            resume(bench.session, path, discard=True)
        grave = [line for line in self.complaints(bench.cut) if not self.harmless(line)]
        assert not grave, f"C12: {grave}"
        assert self.files(bench.cut) == files, "C12: files changed"
        images = bench.committed(bench.cut)
        assert set(images) <= set(bench.names), f"C12: there are {images}"
        if self.complaints(bench.cut):
            return  # what the file system's own checker has to mend first
        with suppress(NoImageFound):
            repair_stores(bench.session, path)
        with suppress(NoImageFound):
            _delete(bench, path, [row.id for row in list_images(bench.session, path).images])
        with FileVolume(bench.cut) as volume:
            left = [claim for claim in claims_of(bench.session, volume) or () if claim.runs]
        assert not left, f"C12: files are left in /.inpart: {left}"
        with suppress(NoSpace):  # clusters that nobody owns are given back by checkers of some file systems only
            create(bench.session, path, CreateOptions("new"))
        assert bench.committed(bench.cut) in ([], ["new"]), "C12: what was deleted is found again"
        assert self.complaints(bench.cut) == [], "C12: afterwards"
        assert self.files(bench.cut) == files, "C12: files changed afterwards"


def _delete(bench: Bench, path: str, names: Sequence[str]) -> None:
    delete_images(bench.session, path, names, DeleteOptions(allow_factory=True))
