"""Images as tables for people."""

from __future__ import annotations

from collections.abc import Iterable

from inpart.cli.output import table
from inpart.operations.images import ImageList
from inpart.units import format_size


def image_table(found: ImageList, *, method: bool = False) -> Iterable[str]:
    """A line per image; ``method`` adds how it was found and where its partition begins."""
    head = ["NAME", "KIND", "CREATED", "ID", "STORED", "DATA", "LAYOUT", "STATE"]
    rows = [
        [
            row.name or "-",
            row.kind,
            row.created,
            row.id[:12],
            format_size(row.stored_bytes),
            format_size(row.image_bytes),
            row.layout,
            row.state,
        ]
        for row in found.images
    ]
    if method:
        head += ["FOUND BY", "PARTITION AT"]
        rows = [[*cells, row.method, str(row.base)] for cells, row in zip(rows, found.images, strict=True)]
    return table([head, *rows], right=(4, 5, 9))
