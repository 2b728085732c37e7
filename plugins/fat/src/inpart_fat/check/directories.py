"""Checks of directories: names, dots, duplicates, long names, sizes and start clusters of entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from numpy.typing import NDArray

from inpart_fat import structs
from inpart_fat.check.report import error, warning
from inpart_fat.directory import Slots
from inpart_fat.inventory import Survey, folder_path
from inpart_fat.structs import SLOT

if TYPE_CHECKING:
    from inpart_fat.filesystem import FatFilesystem

_ILLEGAL = np.zeros(256, dtype=bool)
_ILLEGAL[:0x20] = True
_ILLEGAL[0x7F] = True
_ILLEGAL[list(b'*?<>|"\\/:.')] = True
"""Bytes that fsck.fat does not accept in a short name."""


def check_directories(filesystem: FatFilesystem) -> Iterator[Finding]:
    """Every directory once; the findings below name places inside their directory.

    What was read is kept as the file system's inventory, for the checks that follow.
    """
    survey = Survey(filesystem.reader)
    folders = survey.folders
    for index, slots in survey:
        if not slots.count:
            continue
        folder = folders[index]
        parent = folders[folder.parent].cluster if folder.parent > 0 else 0
        findings = chain(
            _check_dots(slots, folder.cluster, parent) if index else (),
            _check_slots(slots, dotted=index > 0),
            _check_long_names(slots),
        )
        for finding in findings:
            yield replace(finding, where=folder_path(folders, index) + finding.where)
    filesystem.inventory = survey.inventory()


def _check_dots(slots: Slots, own: int, parent: int) -> Iterator[Finding]:
    for index, (name, cluster) in enumerate(((structs.DOT, own), (structs.DOTDOT, parent))):
        text = name.decode().rstrip()
        if index >= slots.end or slots.dirs["DIR_Name"][index].tobytes() != name:
            yield error("dot-entry", "", f"the entry {text!r} is missing from its place")
        elif int(slots.clusters[index]) != cluster:
            yield error("dot-entry", "", f"{text!r} leads to cluster {slots.clusters[index]} instead of {cluster}")
        elif not int(slots.dirs["DIR_Attr"][index]) & structs.ATTR_DIRECTORY:
            yield error("dot-entry", "", f"{text!r} is not marked as a directory")


def _check_slots(slots: Slots, *, dotted: bool) -> Iterator[Finding]:
    """Short entries; in a ``dotted`` directory the first two are not looked at."""
    chosen = np.flatnonzero(slots.short)
    chosen = chosen[chosen >= 2] if dotted else chosen
    is_label = slots.dirs["DIR_Attr"][chosen] & structs.ATTR_VOLUME_ID != 0
    labels, chosen = chosen[is_label], chosen[~is_label]
    names = slots.dirs["DIR_Name"][chosen]
    no_short = (slots.dirs["DIR_NTRes"][chosen] & structs.NT_NO_SHORT_NAME != 0) & (slots.first_slots[chosen] < chosen)
    for slot in _first(chosen[_bad_names(names) & ~no_short]):
        yield error("bad-name", "", f"the short name {slots.dirs['DIR_Name'][slot].tobytes()!r} is not allowed")
    for slot in _first(_repeated(names, chosen)):
        yield error("duplicate-name", slots.name(slot), "an entry before it has the same short name")
    is_dir = slots.dirs["DIR_Attr"][chosen] & structs.ATTR_DIRECTORY != 0
    for slot in _first(chosen[is_dir & (slots.dirs["DIR_FileSize"][chosen] != 0)]):
        yield warning("directory-size", slots.name(slot), "a directory has a size, which should be 0")
    occupied = (slots.clusters[labels] != 0) | (slots.dirs["DIR_FileSize"][labels] != 0)
    for _ in _first(labels[occupied]):
        yield warning("label-entry", "", "a volume label has a cluster or a size")


def _bad_names(names: NDArray[np.uint8]) -> NDArray[np.bool_]:
    wrong = _ILLEGAL[names]
    if len(names):
        wrong[:, 0] &= names[:, 0] != structs.KANJI_E5
    return np.asarray(wrong.any(axis=1) | (names[:, 0] == ord(" ")))


def _repeated(names: NDArray[np.uint8], slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of ``slots`` whose name an earlier one has."""
    keys = np.ascontiguousarray(names).view("V11").ravel()
    _, first = np.unique(keys, return_index=True)
    return np.delete(slots, first)


def _check_long_names(slots: Slots) -> Iterator[Finding]:
    if len(slots.stray):
        where = f"slot {slots.stray[0]}"
        yield warning("long-name", "", f"{len(slots.stray)} pieces of long names belong to no file, from {where} on")
    odd = (slots.longs["LDIR_FstClusLO"] != 0) | (slots.longs["LDIR_Attr"] != structs.ATTR_LONG_NAME)
    pointing = np.flatnonzero(slots.long & odd)
    if len(pointing):
        yield warning("long-name", "", f"{len(pointing)} pieces of long names have a start cluster or odd attributes")
    behind = np.frombuffer(slots.data, dtype=np.uint8)[slots.end * SLOT :: SLOT]
    left = np.count_nonzero((behind != structs.END_MARK) & (behind != structs.DELETED_MARK))
    if left:
        yield warning("behind-end", "", f"{left} slots behind the end mark hold something; Linux takes it for files")


def _first(slots: NDArray[np.int64]) -> list[int]:
    """As many as are reported, and one more to make the rest known."""
    return [int(slot) for slot in slots[:ENOUGH]]
