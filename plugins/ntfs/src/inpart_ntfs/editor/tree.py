"""The B-tree of a $I30 index: insertion with splits and removal, in memory; ``folder`` brings the nodes to disk.

Nothing is changed in place: a node that changes, and all nodes above it, get a new place when they are written. The
root never becomes larger than it is allowed to be: what does not fit goes one level down.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

from inpart.errors import FilesystemDamaged, FilesystemUnsupported

from inpart_ntfs.editor.nodes import Entry, Node

ROOT = -1
"""What the root node is called; nodes that have no place yet are called by smaller numbers."""
_MAX_DEPTH = 32
_HINT = "run chkdsk on it first"

Order = Callable[[bytes], tuple[bytes, bytes]]
Path = list[tuple[int, int]]
"""Nodes from the root down, each with the slot that was followed or found."""


class Tree:
    """An index whose nodes are read by number when they are needed.

    ``changed`` are the nodes to be written, ``dropped`` those whose place is no longer needed.
    """

    def __init__(
        self, root: Node, load: Callable[[int], Node], order: Order, *, root_limit: int, limit: int, what: str
    ) -> None:
        """``root_limit`` and ``limit`` are bytes for the entries of the root and of other nodes.

        ``order`` gives what a name is sorted by: without case, then with it; ``what`` is the index in messages.
        """
        self.nodes: dict[int, Node] = {ROOT: root}
        self.changed: set[int] = set()
        self.dropped: set[int] = set()
        self._load = load
        self._order = order
        self._root_limit = root_limit
        self._limit = limit
        self._what = what
        self._last = ROOT

    def node(self, number: int) -> Node:
        """Raises FilesystemDamaged."""
        if number not in self.nodes:
            self.nodes[number] = self._load(number)
        return self.nodes[number]

    def entries(self) -> Iterator[Entry]:
        """All entries in order. Raises FilesystemDamaged for nodes that lead to one another."""
        seen: set[int] = set()
        stack: Path = [(ROOT, 0)]
        while stack:
            number, slot = stack.pop()
            node = self.node(number)
            if slot:
                yield node.entries[slot - 1]
            elif number in seen:
                raise FilesystemDamaged(f"{self._what} leads twice to block {number}", hint=_HINT)
            seen.add(number)
            if slot < len(node.entries):
                stack.append((number, slot + 1))
            if node.children:
                stack.append((node.children[slot], 0))

    def find(self, name: bytes) -> Entry | None:
        """The entry of a name; if there is none, one that differs in case only."""
        path, there = self._search(self._order(name))
        if there:
            return self.node(path[-1][0]).entries[path[-1][1]]
        folded = self._order(name)[0]
        entry = self._next(self._search((folded, b""))[0])
        return entry if entry is not None and self._order(entry.name)[0] == folded else None

    def insert(self, entry: Entry) -> None:
        """Raises FilesystemDamaged if the name is there, FilesystemUnsupported for blocks that are too small."""
        path, there = self._search(self._order(entry.name))
        if there:
            raise FilesystemDamaged(f"{self._what} would have a name twice", hint=_HINT)
        number, slot = path[-1]
        self.node(number).entries.insert(slot, entry)
        self._touch(path)
        self._relieve(path)

    def replace(self, entry: Entry) -> None:
        """Put an entry in the place of the one of the same name."""
        path = self._existing(entry.name)
        number, slot = path[-1]
        if self.node(number).entries[slot] != entry:
            self.node(number).entries[slot] = entry
            self._touch(path)

    def remove(self, name: bytes) -> None:
        """Remove a name. Raises FilesystemDamaged if it is not there."""
        path = self._existing(name)
        node, spare = self.node(path[-1][0]), None
        if node.children:
            spare = self._edge(node.children[path[-1][1]])
            self.remove(spare.name)
            path = self._existing(name)
            node = self.node(path[-1][0])
        self._touch(path)
        if node.children and spare is not None:
            node.entries[path[-1][1]] = spare
            self._relieve(path)
            return
        del node.entries[path[-1][1]]
        if not node.entries:
            self._cut(path)
        if spare is not None:
            self.insert(spare)

    def _search(self, key: tuple[bytes, bytes]) -> tuple[Path, bool]:
        """The way to a name, or to the leaf and slot where it would stand."""
        path: Path = []
        number = ROOT
        while len(path) < _MAX_DEPTH:
            node = self.node(number)
            slot = bisect_left(node.entries, key, key=lambda entry: self._order(entry.name))
            path.append((number, slot))
            if slot < len(node.entries) and self._order(node.entries[slot].name) == key:
                return path, True
            if not node.children:
                return path, False
            number = node.children[slot]
        raise FilesystemDamaged(f"{self._what} is deeper than any index can be", hint=_HINT)

    def _existing(self, name: bytes) -> Path:
        path, there = self._search(self._order(name))
        if not there:
            raise FilesystemDamaged(f"{self._what} lacks {name.decode('utf-16-le', 'replace')}", hint=_HINT)
        return path

    def _next(self, path: Path) -> Entry | None:
        """The entry at the end of a way, or the first one behind it."""
        for number, slot in reversed(path):
            entries = self.node(number).entries
            if slot < len(entries):
                return entries[slot]
        return None

    def _edge(self, number: int) -> Entry:
        """The last entry of the leaf that is last below a node."""
        for _ in range(_MAX_DEPTH):
            node = self.node(number)
            if not node.children and node.entries:
                return node.entries[-1]
            if not node.children:
                break
            number = node.children[-1]
        raise FilesystemDamaged(f"{self._what} has an empty block", hint=_HINT)

    def _touch(self, path: Path) -> None:
        self.changed.update(number for number, _ in path)

    def _relieve(self, path: Path) -> None:
        """Split the node at the end of a way if it has become too large, and those above it."""
        number, slot = path[-1]
        node = self.node(number)
        if node.size <= (self._root_limit if number == ROOT else self._limit):
            return
        if number == ROOT:
            below = self._new(Node(node.entries, node.children))
            node.entries, node.children = [], [below]
            self._relieve([(ROOT, 0), (below, slot)])
            return
        if len(node.entries) < 3:
            raise FilesystemUnsupported(f"{self._what} has blocks that are too small for its names")
        middle = _middle(node)
        separator, more = node.entries[middle], 1 if node.children else 0
        right = Node(node.entries[middle + 1 :], node.children[middle + 1 :])
        node.entries, node.children = node.entries[:middle], node.children[: more * (middle + 1)]
        parent, at = path[-2]
        self.node(parent).entries.insert(at, separator)
        self.node(parent).children.insert(at + 1, self._new(right))
        self._relieve(path[:-1])

    def _new(self, node: Node) -> int:
        self._last -= 1
        self.nodes[self._last] = node
        self.changed.add(self._last)
        return self._last

    def _cut(self, path: Path) -> None:
        """Take an empty node out of the one above it, whose entry beside it goes to the next leaf."""
        if len(path) == 1:
            self.node(ROOT).children = []
            return
        number, (above, slot) = path[-1][0], path[-2]
        self.changed.discard(number)
        if number > ROOT:
            self.dropped.add(number)
        parent = self.node(above)
        if not parent.entries:
            self._cut(path[:-1])
            return
        entry = parent.entries.pop(min(slot, len(parent.entries) - 1))
        del parent.children[slot]
        self.insert(entry)


def _middle(node: Node) -> int:
    """The entry at which a node is split into halves of about the same size; one stays on each side at least."""
    half, before = node.size // 2, 0
    for index, entry in enumerate(node.entries):
        before += entry.size
        if before >= half:
            return min(max(index, 1), len(node.entries) - 2)
    return len(node.entries) - 2
