"""Conformance of a file system at level 2, the tree: behaviours T1 to T9 of docs/PLUGINS.md."""

from __future__ import annotations

import random
from typing import ClassVar, cast

import pytest

from inpart.contracts import Entry, EntryType, FilesystemTree
from inpart.errors import UsageError
from inpart.extents import Extents, Runs
from inpart.testing.kit import noting
from inpart.testing.reader_kit import FilesystemReaderKit
from inpart.testing.specimen import fill_with_noise
from inpart.units import MIB
from inpart.volume import RunsVolume, Volume

PIECE_LIMIT = 16 * MIB


class FilesystemTreeKit(FilesystemReaderKit):
    """What level 1 asks for; ``resident_limit`` declares that files up to so many bytes may lie in no cluster."""

    resident_limit: ClassVar[int] = 0

    def tree(self, volume: Volume) -> FilesystemTree:
        """The file system on ``volume`` at this level."""
        return cast("FilesystemTree", self.provider.open(volume))

    def test_t1_walk_yields_everything_once(self, variant: str) -> None:
        """T1: walk yields each file and directory below the path once, parents first, with type and size."""
        specimen = self.specimen(variant)
        entries = list(self.tree(specimen.frozen()).walk())
        paths = [entry.path for entry in entries]
        expected = {*specimen.files, *specimen.directories(), *specimen.others}
        assert sorted(paths) == sorted(expected), f"T1: {sorted(set(paths) ^ expected)} differ, of {len(paths)}"
        for entry in entries:
            parent = entry.path.rpartition("/")[0]
            assert not parent or paths.index(parent) < paths.index(entry.path), f"T1: {entry.path} before its parent"
            if entry.path in specimen.files:
                assert entry.type is EntryType.FILE, f"T1: {entry}"
                assert entry.size == len(specimen.files[entry.path]), f"T1: {entry}"
            if entry.path in specimen.directories():
                assert entry.type is EntryType.DIR, f"T1: {entry}"

    def test_t2_walk_and_list_of_a_part(self, variant: str) -> None:
        """T2: walk(path) is what walk() has below that path; list(path) its direct children; a file lists itself."""
        specimen = self.specimen(variant)
        tree = self.tree(specimen.frozen())
        everything = list(tree.walk())
        for path in ("/", *specimen.directories()):
            prefix = path.rstrip("/") + "/"
            below = [entry for entry in everything if entry.path.startswith(prefix)]
            assert _by_path(tree.walk(path)) == _by_path(below), f"T2: walk({path!r})"
            children = [entry for entry in below if "/" not in entry.path.removeprefix(prefix)]
            assert _by_path(tree.list(path)) == _by_path(children), f"T2: list({path!r})"
        for path in specimen.files:
            assert [entry.path for entry in tree.list(path)] == [path], f"T2: list({path!r})"

    def test_t3_stat_agrees_with_walk(self, variant: str) -> None:
        """T3: stat yields the same entry as walk; the root is a directory."""
        tree = self.tree(self.specimen(variant).frozen())
        for entry in tree.walk():
            assert tree.stat(entry.path) == entry, f"T3: {entry.path}"
        assert tree.stat("/").type is EntryType.DIR, "T3: the root"

    def test_t4_missing_paths_are_usage_errors(self, variant: str) -> None:
        """T4: a path that is not there is a UsageError for every method, and so is reading a directory."""
        specimen = self.specimen(variant)
        tree = self.tree(specimen.frozen())
        missing = "/no such file.bin"
        for method in (tree.walk, tree.list, tree.read):
            with noting("T4"), pytest.raises(UsageError):
                list(method(missing))
        for look in (tree.stat, tree.runs):
            with noting("T4"), pytest.raises(UsageError):
                look(missing)
        with noting("T4"), pytest.raises(UsageError):
            list(tree.read("/"))

    def test_t5_read_yields_the_bytes(self, variant: str) -> None:
        """T5: read yields a file's bytes in pieces of bounded size."""
        specimen = self.specimen(variant)
        tree = self.tree(specimen.frozen())
        for path, content in specimen.files.items():
            pieces = list(tree.read(path))
            assert b"".join(pieces) == content, f"T5: {path}"
            assert all(len(piece) <= PIECE_LIMIT for piece in pieces), f"T5: pieces of {path}"

    def test_t6_read_of_a_part(self, variant: str) -> None:
        """T6: offset and length choose a part; beyond the end there is nothing."""
        specimen = self.specimen(variant)
        tree, chance = self.tree(specimen.frozen()), random.Random(6)
        for path, content in specimen.files.items():
            ends = [(0, 1), (len(content), 10), (max(0, len(content) - 3), 10), (len(content) + 5, None)]
            inner = [(chance.randrange(len(content) + 1), chance.randrange(20000)) for _ in range(4)]
            for offset, length in ends + inner:
                expected = content[offset:] if length is None else content[offset : offset + length]
                assert b"".join(tree.read(path, offset, length)) == expected, f"T6: {path} {offset} {length}"

    def test_t7_runs_hold_the_content(self, variant: str) -> None:
        """T7: runs are whole, allocated clusters in file order, of one file, with its bytes; content is all of them."""
        specimen = self.specimen(variant)
        volume = specimen.frozen()
        tree = self.tree(volume)
        info, seen = tree.info, Extents()
        for path, content in specimen.files.items():
            runs = tree.runs(path)
            if not runs.total and len(content) <= self.resident_limit:
                continue
            assert runs.total >= len(content), f"T7: {path} has {runs.total} bytes of clusters"
            for start, length in runs:
                whole = length % info.cluster_size == 0 and (start - info.data_start) % info.cluster_size == 0
                assert whole or start == Runs.HOLE, f"T7: {path}: {length} bytes at {start} are not whole clusters"
            assert tree.allocated().covers(runs.extents()), f"T7: {path} lies in clusters that are not allocated"
            assert not runs.extents() & seen, f"T7: {path} shares clusters with another file"
            seen |= runs.extents()
            assert RunsVolume(volume, runs, size=len(content)).read(0, len(content)) == content, f"T7: {path}"

        entries = [entry for entry in tree.walk() if entry.path in specimen.files]
        together = Extents.union(tree.runs(path).extents() for path in specimen.files)
        assert tree.content(entries) == together, "T7: the content of all is something else than the runs of each"

    def test_t8_owners_are_named(self, variant: str) -> None:
        """T8: owners names the files, and only those, that have bytes in the given extents."""
        specimen = self.specimen(variant)
        tree = self.tree(specimen.frozen())
        for path in specimen.files:
            extents = tree.runs(path).extents()
            if extents:
                assert list(tree.owners(Extents.span(extents.start, extents.start + 1))) == [path], f"T8: {path}"
        outside = tree.allocated().complement(0, tree.info.size)
        assert not list(tree.owners(outside)), "T8: free bytes have an owner"

    def test_t9_slack_and_dispensable_need_no_image(self, variant: str) -> None:
        """T9: with noise in slack and dispensable clusters all else reads as before; the latter are as declared."""
        specimen = self.specimen(variant)
        tree = self.tree(specimen.frozen())
        slack, dispensable = tree.slack(), tree.dispensable()
        declared = Extents(pair for path in specimen.dispensable for pair in tree.runs(path).extents())
        assert dispensable == declared, f"T9: {dispensable} are dispensable, {declared} were declared"
        assert tree.allocated().covers(slack), "T9: slack outside what is allocated"
        volume = specimen.volume()
        fill_with_noise(volume, slack | dispensable, seed=9)
        assert not self.complaints(volume), f"T9: {self.complaints(volume)}"
        changed = self.tree(volume)
        for path, content in specimen.files.items():
            if path not in specimen.dispensable:
                assert b"".join(changed.read(path)) == content, f"T9: {path} has changed"

    def _content(self, volume: Volume) -> object:
        tree = self.tree(volume)
        entries = list(tree.walk())
        files = {entry.path: b"".join(tree.read(entry.path)) for entry in entries if entry.type is EntryType.FILE}
        runs = {entry.path: tree.runs(entry.path) for entry in entries}
        return super()._content(volume), entries, files, runs, tree.slack(), tree.dispensable()


def _by_path(entries: object) -> list[Entry]:
    return sorted(cast("list[Entry]", entries), key=lambda entry: entry.path)
