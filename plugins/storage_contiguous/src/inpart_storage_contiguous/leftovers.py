"""A store from partial tables and segments when both tables of contents are lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from inpart.contracts import Finding, Severity
from inpart.extents import Runs
from inpart.volume import Volume

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.entries import Entry
from inpart_storage_contiguous.rebuild import PARTIAL, FoundImage, from_segments, unique_stems
from inpart_storage_contiguous.scan import Group, Key
from inpart_storage_contiguous.store import ContiguousStore
from inpart_storage_contiguous.structs import (
    TableKind,
    to_stamp,
)
from inpart_storage_contiguous.tables import Table, try_read


def store_from_leftovers(volume: Volume, key: Key, group: Group, *, owned: bool = False) -> ContiguousStore | None:
    """A store from partial tables and segments, both tables of contents being lost; ``owned`` if by files."""
    partial = _partial_tables(volume, group)
    entries = {table.entries[0].image_id: table.entries[0] for table in partial}
    left = from_segments(group.headers(), frozenset(), owned=owned)
    for image_id in left.removed:
        entries.pop(image_id, None)
    findings = [unfinished(image_id) for image_id in left.unfinished]
    found = [judged(volume, key[1], FoundImage.of(entry), findings) for entry in entries.values()]
    found += [judged(volume, key[1], image, findings) for image in left.images if image.summary.image_id not in entries]
    found.sort(key=lambda image: (image.summary.created, -image.extents.end))
    whole = unique_stems(image.entry for image in found if image.entry is not None)
    table = _leftover_table(key, group, partial, found, whole)
    if table is None:
        return None
    if found:
        message = "both tables of contents are lost; images were put together from what is left"
        findings.insert(0, Finding(Severity.ERROR, "container.tables-lost", naming.TOC_END, message))
    lost = frozenset({naming.TOC_END, naming.TOC_BEGIN})
    return ContiguousStore(volume, key[1], table, tuple(found), tuple(findings), lost, rebuilt=True)


def _partial_tables(volume: Volume, group: Group) -> list[Table]:
    """Valid partial tables, newest first, one for each image."""
    found: dict[bytes, Table] = {}
    headers = [(header, offset) for header, offset in group.tables if header.kind == TableKind.INTER]
    for _, offset in sorted(headers, key=lambda pair: -pair[0].generation):
        table = try_read(volume, offset)
        if table is not None and len(table.entries) == 1:
            found.setdefault(table.entries[0].image_id, table)
    return list(found.values())


def with_partial_tables(volume: Volume, group: Group, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries with the places of those partial tables that were found in front of their images."""
    known = {table.entries[0].image_id: table.entries[0] for table in _partial_tables(volume, group)}
    return tuple(
        replace(entry, inter_number=known[entry.image_id].inter_number, inter_offset=known[entry.image_id].inter_offset)
        if entry.image_id in known
        else entry
        for entry in entries
    )


def _leftover_table(
    key: Key, group: Group, partial: Sequence[Table], images: Sequence[FoundImage], entries: tuple[Entry, ...]
) -> Table | None:
    """What can be said of the container without a table of contents; None if nothing can."""
    first = partial[0] if partial else next(group.headers(), None)
    if first is None:
        return None
    newest = partial[0] if partial else None
    begin = newest.toc_begin_offset if newest else 0
    if any(image.extents.clip(begin, begin + first.geometry.toc_size) for image in images):
        begin = 0
    return Table(
        geometry=first.geometry,
        container_id=key[0],
        partition_signature=first.partition_signature,
        generation=1 + max((header.generation for header, _ in group.tables), default=0),
        created=max((to_stamp(image.summary.created) for image in images), default=0),
        toc_begin_offset=begin,
        room=newest.room if newest else Runs(),
        entries=entries,
    )


def judged(volume: Volume, base: int, image: FoundImage, findings: list[Finding]) -> FoundImage:
    """``image``, as partial if it reaches beyond the volume."""
    if base + image.extents.start >= 0 and base + image.extents.end <= volume.size:
        return image
    findings.append(
        Finding(
            Severity.ERROR, "container.beyond-volume", image.summary.name,
            f"image {image.summary.name} lies at bytes {base + image.extents.start} to {base + image.extents.end}, "
            f"{volume.name} has {volume.size}",
        )
    )  # fmt: skip
    return replace(image, state=PARTIAL)


def unfinished(image_id: bytes) -> Finding:
    """The finding for segments that no commit ever announced."""
    return Finding(
        Severity.NOTE, "container.unfinished-image", image_id.hex(),
        "segments of an image that was never finished; a later image may overwrite them",
    )  # fmt: skip
