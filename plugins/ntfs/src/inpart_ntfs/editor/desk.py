"""What one transaction has done so far, whichever editors served it."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from inpart.contracts import Edits, Stage
from inpart.extents import Extents

_MANY = 4096


@dataclass
class Desk:
    """``latest`` has the latest stage in which a structure, known by a key, was edited.

    ``before`` holds the bytes that a record had when its latest stage began. ``freed`` are the clusters given back,
    which may not be filled again before the commit; ``spent`` are records given back, ``blocks`` are index blocks given
    back, by directory. ``front`` is the stage in which the boot sector comes to point to another front of $MFT.
    ``edits`` are pairs of the first byte and the end of what was edited in place; ``edited`` gives them as a set.
    """

    latest: dict[object, Stage] = field(default_factory=dict)
    before: dict[int, bytes] = field(default_factory=dict)
    freed: Extents = field(default_factory=Extents)
    spent: set[int] = field(default_factory=set)
    blocks: dict[int, set[int]] = field(default_factory=dict)
    front: Stage | None = None
    edits: list[tuple[int, int]] = field(default_factory=list)
    _edited: Extents = field(default_factory=Extents)

    def stage(self, key: object, stage: Stage) -> Stage:
        """The stage for an edit: never earlier than the one before of the same structure."""
        found = max(stage, self.latest.get(key, stage))
        self.latest[key] = found
        return found

    def note(self, start: int, length: int) -> None:
        """Remember that bytes are edited in place."""
        self.edits.append((start, start + length))
        if len(self.edits) >= _MANY:
            self.edited()

    def edited(self) -> Extents:
        """The bytes that were edited in place so far."""
        if self.edits:
            self._edited |= Extents(self.edits)
            self.edits.clear()
        return self._edited


_DESKS: WeakKeyDictionary[Edits, Desk] = WeakKeyDictionary()


def desk_of(tx: Edits) -> Desk:
    """The one desk of a transaction."""
    return _DESKS.setdefault(tx, Desk())
