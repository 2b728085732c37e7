"""A whole attribute of a file, whose pieces may stand in several records."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from inpart.errors import FilesystemDamaged
from numpy.typing import NDArray

from inpart_ntfs.attributes import HINT, Attribute
from inpart_ntfs.runs import contiguous

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Stream:
    """A whole attribute of a file, put together from its pieces in order of ``lowest_vcn``."""

    pieces: tuple[Attribute, ...]

    @property
    def first(self) -> Attribute:
        """The piece that has the sizes."""
        return self.pieces[0]

    @property
    def type(self) -> int:
        """Its AttributeType."""
        return self.first.type

    @property
    def name(self) -> str:
        """Its name; empty for most."""
        return self.first.name

    @property
    def non_resident(self) -> bool:
        """True if its value lies in clusters."""
        return self.first.non_resident

    @property
    def value(self) -> bytes:
        """The value of a resident attribute."""
        return self.first.value

    @property
    def data_size(self) -> int:
        """Bytes of the content."""
        return self.first.data_size

    @cached_property
    def rows(self) -> Numbers:
        """vcn, lcn, count of all clusters from vcn 0 on, shape (k, 3). Raises FilesystemDamaged."""
        if not self.non_resident:
            return self.first.rows
        rows = np.concatenate([piece.rows for piece in self.pieces])
        if not contiguous(rows):
            raise FilesystemDamaged(f"record {self.first.record}: {self.first} is not mapped completely", hint=HINT)
        return rows
