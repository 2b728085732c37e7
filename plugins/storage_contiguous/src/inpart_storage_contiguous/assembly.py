"""From structures found to stores: which table counts, what is damaged, what is stale, what is only somebody's data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from inpart.contracts import Finding, Severity
from inpart.extents import Extents
from inpart.volume import Volume

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.entries import Entry
from inpart_storage_contiguous.leftovers import judged, store_from_leftovers, unfinished, with_partial_tables
from inpart_storage_contiguous.publishing import active_slot
from inpart_storage_contiguous.ranking import is_content_of, without_stale
from inpart_storage_contiguous.rebuild import FoundImage, from_segments, unique_stems
from inpart_storage_contiguous.scan import Group, Key, Marks
from inpart_storage_contiguous.store import ContiguousStore
from inpart_storage_contiguous.structs import (
    TableKind,
)
from inpart_storage_contiguous.tables import Table, try_read

MAX_STORES = 256


def stores_from(volume: Volume, marks: Marks, *, rebuild: bool = True, owned: bool = False) -> list[ContiguousStore]:
    """The stores that ``marks`` amount to, best first; without ``rebuild`` only those that have a table.

    ``owned`` says that all that was found lies in files of the layout.
    """
    found: list[tuple[ContiguousStore, Extents]] = []
    for key, group in list(marks.groups.items())[:MAX_STORES]:
        store = _from_table(volume, key, group)
        if store is None and rebuild:
            store = store_from_leftovers(volume, key, group, owned=owned)
        if store is not None:
            found.append((store, group.span(key[1])))
    kept = [store for store, span in found if not any(is_content_of(store, span, other) for other, _ in found)]
    return sorted(without_stale(kept), key=lambda store: (store.rebuilt, not store.found, store.base != 0))


def open_store(volume: Volume, base: int, table: Table, group: Group) -> ContiguousStore:
    """The store of a valid table, its other tables checked. Segments in ``group`` that it does not name are judged.

    Those of an image that was committed and is whole belong to a newer table that is lost.
    """
    findings: list[Finding] = []
    lost: set[str] = set()
    for name, message in _check_tables(volume, base, table):
        lost.add(name)
        findings.append(Finding(Severity.WARNING, f"container.{_code(name)}", name, message))
    if not table.toc_begin_offset:
        findings.append(_no_toc_begin())
    doubtful = _is_doubtful(volume, base, table, lost)
    left = from_segments(group.headers(), frozenset(entry.image_id for entry in table.entries))
    findings += [unfinished(image_id) for image_id in left.unfinished]
    newer = [image.entry for image in left.images if image.entry is not None]
    if newer:
        findings += [_unlisted(entry) for entry in newer]
        lost |= {naming.TOC_END, naming.TOC_BEGIN}
        table = replace(
            table, generation=table.generation + 1, toc_begin_offset=0,
            entries=with_partial_tables(volume, group, unique_stems([*table.entries, *newer])),
        )  # fmt: skip
    images = tuple(judged(volume, base, FoundImage.of(entry), findings) for entry in table.entries)
    return ContiguousStore(
        volume, base, table, images, tuple(findings), frozenset(lost), rebuilt=bool(newer), doubtful=doubtful
    )


def _unlisted(entry: Entry) -> Finding:
    return Finding(
        Severity.ERROR, "container.table-outdated", entry.summary.name,
        f"image {entry.summary.name} is whole, but the only table of contents left is from before it was made",
    )  # fmt: skip


def _no_toc_begin() -> Finding:
    return Finding(
        Severity.NOTE, "container.no-toc-begin", naming.TOC_BEGIN,
        "the container was put together from its parts; the next image brings its second table of contents back",
    )  # fmt: skip


def _is_doubtful(volume: Volume, base: int, table: Table, lost: set[str]) -> bool:
    """True if both other copies of the table are damaged, so that one of them may have been newer."""
    other = try_read(volume, base + table.geometry.slot_offset(1 - active_slot(table)))
    older = other is not None and other.container_id == table.container_id and other.generation < table.generation
    return table.kind == TableKind.TOC_END and (naming.TOC_BEGIN in lost or not table.toc_begin_offset) and not older


def newest_table(volume: Volume, group: Group) -> Table | None:
    """The valid table of the highest generation; of equals the one in ``toc_end``."""
    full = [(header, offset) for header, offset in group.tables if header.kind != TableKind.INTER]
    for _, offset in sorted(full, key=lambda found: (-found[0].generation, found[0].kind)):
        table = try_read(volume, offset)
        if table is not None:
            return table
    return None


def _code(name: str) -> str:
    return {naming.TOC_END: "toc-end-lost", naming.TOC_BEGIN: "toc-begin-lost"}.get(name, "inter-lost")


def _check_tables(volume: Volume, base: int, table: Table) -> Iterator[tuple[str, str]]:
    """(file name, what is wrong) for each table that does not say what the newest one says."""
    slot = try_read(volume, base + table.geometry.slot_offset(active_slot(table)))
    if not _says_the_same(slot, table, TableKind.TOC_END):
        yield naming.TOC_END, "the table of contents at the end of the container is damaged or out of date"
    begin = try_read(volume, base + table.toc_begin_offset)
    if table.toc_begin_offset and not _says_the_same(begin, table, TableKind.TOC_BEGIN):
        yield naming.TOC_BEGIN, "the table of contents at the beginning of the container is damaged or out of date"
    for entry in table.entries:
        if entry.inter_number:
            partial = try_read(volume, base + entry.inter_offset)
            if partial is None or partial.kind != TableKind.INTER or not _names(partial, entry.image_id):
                yield (
                    naming.inter_name(entry.inter_number),
                    f"the partial table of image {entry.summary.name} is damaged",
                )


def _says_the_same(other: Table | None, table: Table, kind: TableKind) -> bool:
    return (
        other is not None
        and (other.kind, other.generation, other.container_id) == (kind, table.generation, table.container_id)
        and other.checksum() == table.checksum()
    )


def _names(table: Table, image_id: bytes) -> bool:
    return [entry.image_id for entry in table.entries] == [image_id]


def _from_table(volume: Volume, key: Key, group: Group) -> ContiguousStore | None:
    table = newest_table(volume, group)
    return None if table is None else open_store(volume, key[1], table, group)
