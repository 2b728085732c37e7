"""The files of an image that was made without the content of some of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inpart.contracts import Entry, FilesystemTree, Finding, SystemArea
from inpart.errors import UsageError
from inpart.extents import Extents, Runs


class PartialTree(FilesystemTree):
    """The file system in an image that holds the bytes ``held`` of its partition; the others read as zeros."""

    def __init__(self, tree: FilesystemTree, held: Extents) -> None:
        self.info = tree.info
        self._tree = tree
        self._held = held

    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Raises UsageError for a file whose content is not in the image, rather than giving zeros for it."""
        missing = self._tree.runs(path).extents() - self._held
        if missing:
            raise UsageError(
                f"the content of {path} was left out of the image when that was made",
                hint="`inpart show` says what was left out",
            )
        return self._tree.read(path, offset, length)

    def allocated(self) -> Extents:
        return self._tree.allocated()

    def system_areas(self) -> tuple[SystemArea, ...]:
        return self._tree.system_areas()

    def check(self) -> Iterator[Finding]:
        return self._tree.check()

    def walk(self, path: str = "/") -> Iterator[Entry]:
        return self._tree.walk(path)

    def list(self, path: str = "/") -> Iterator[Entry]:
        return self._tree.list(path)

    def stat(self, path: str) -> Entry:
        return self._tree.stat(path)

    def runs(self, path: str) -> Runs:
        return self._tree.runs(path)

    def folded(self, name: str) -> str:
        return self._tree.folded(name)

    def content(self, entries: Iterable[Entry]) -> Extents:
        return self._tree.content(entries)
