"""Maps of a partition: its used bytes as JSON, as bmap 2.0, as a ddrescue mapfile; and a picture for a terminal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from inpart.contracts import Filesystem, FilesystemEditor
from inpart.extents import Extents, Pairs
from inpart.units import align_up, format_size

BMAP_BLOCK = 4096
_WINDOW = 16384
_CHECKSUM_PLACE = "0" * 64
SHADES = " ░▒▓█"
"""How much of a cell is used, from nothing to all."""


def map_json(used: Extents, size: int, filesystem: str) -> Iterator[str]:
    """``{"unit": 1, "used": [[start, length], ...], ...}`` in pieces; every number is in bytes."""
    name = json.dumps(filesystem)
    yield f'{{"unit": 1, "filesystem": {name}, "size": {size}, "used_bytes": {used.total}, "used": ['
    for first, rows in _windows(used.array):
        yield (", " if first else "") + ", ".join(f"[{start}, {end - start}]" for start, end in rows)
    yield "]}\n"


def map_ddrescue(used: Extents, size: int) -> Iterator[str]:
    """A mapfile of GNU ddrescue: used bytes are ``+`` (finished), all others ``?`` (non-tried).

    It serves as a domain mapfile: ``ddrescue --domain-mapfile=MAP`` then reads only what is used. Source: the manual
    of ddrescue, chapter "Mapfile structure".
    """
    yield "# Mapfile. Created by inpart map\n# current_pos  current_status  current_pass\n"
    yield "0x00000000     +               1\n#      pos        size  status\n"
    inside = used.clip(0, size)
    rows = np.concatenate([inside.array, inside.complement(0, size).array])
    finished = np.arange(len(rows)) < len(inside)
    order = np.argsort(rows[:, 0], kind="stable")
    for first, window in _windows(rows[order]):
        marks = finished[order[first : first + len(window)]].tolist()
        yield "".join(
            f"0x{start:08X}  0x{end - start:08X}  {'+' if mark else '?'}\n"
            for (start, end), mark in zip(window, marks, strict=True)
        )


def map_bmap(used: Extents, size: int) -> Iterator[str]:
    """A bmap 2.0 file of the used blocks of 4096 bytes, for ``bmaptool copy``.

    Ranges carry no checksums of their own, the file carries one of itself. Source: the format's description in
    bmap-tools.
    """
    blocks = used.clip(0, size).align_out(BMAP_BLOCK).array // BMAP_BLOCK
    digest = hashlib.sha256()
    for piece in _bmap_pieces(blocks, size, _CHECKSUM_PLACE):
        digest.update(piece.encode())
    yield from _bmap_pieces(blocks, size, digest.hexdigest())


def _bmap_pieces(blocks: Pairs, size: int, checksum: str) -> Iterator[str]:
    mapped = int((blocks[:, 1] - blocks[:, 0]).sum())
    yield (
        '<?xml version="1.0" ?>\n<bmap version="2.0">\n'
        f"    <ImageSize> {size} </ImageSize>\n"
        f"    <BlockSize> {BMAP_BLOCK} </BlockSize>\n"
        f"    <BlocksCount> {align_up(size, BMAP_BLOCK) // BMAP_BLOCK} </BlocksCount>\n"
        f"    <MappedBlocksCount> {mapped} </MappedBlocksCount>\n"
        "    <ChecksumType> sha256 </ChecksumType>\n"
        f"    <BmapFileChecksum> {checksum} </BmapFileChecksum>\n"
        "    <BlockMap>\n"
    )
    for _, rows in _windows(blocks):
        yield "".join(
            f"        <Range> {first}-{end - 1} </Range>\n"
            if end - first > 1
            else f"        <Range> {first} </Range>\n"
            for first, end in rows
        )
    yield "    </BlockMap>\n</bmap>\n"


def _windows(rows: Pairs) -> Iterator[tuple[int, list[list[int]]]]:
    """(index of the first row, rows as plain integers), a bounded number at a time."""
    for first in range(0, len(rows), _WINDOW):
        yield first, rows[first : first + _WINDOW].tolist()


class Layer(Enum):
    """What a cell of the picture shows. No byte is in two layers; of two that fill a cell alike the later one shows."""

    FREE = ("free", SHADES[0])
    USED = ("files", SHADES[4])
    SYSTEM = ("system areas", "S")
    CONTAINER = ("images", "I")
    BAD = ("bad", "B")

    def __init__(self, title: str, glyph: str) -> None:
        self.title = title
        self.glyph = glyph


_RANK = {layer: rank for rank, layer in enumerate(Layer)}


@dataclass(frozen=True)
class Legend:
    """One line of the legend; ``total`` in bytes."""

    layer: Layer
    total: int

    def __str__(self) -> str:
        return f"{self.layer.glyph!r:>4} {self.layer.title}: {format_size(self.total)}"


@dataclass(frozen=True)
class Picture:
    """A partition as lines of cells. ``shares`` is the used share of each cell, 0 to 1; ``layers`` what it shows.

    Both have one element per cell; ``columns`` cells make a line; ``cell`` is the size of a cell in bytes.
    """

    columns: int
    cell: int
    shares: NDArray[np.float64]
    layers: tuple[Layer, ...]
    legend: tuple[Legend, ...]

    def glyph(self, index: int) -> str:
        """The character of a cell: a letter for system areas, images and bad clusters, else a shade of its use."""
        layer, share = self.layers[index], float(self.shares[index])
        if layer not in {Layer.FREE, Layer.USED}:
            return layer.glyph
        return SHADES[0] if share == 0 else SHADES[min(4, 1 + int(share * 4))]

    def rows(self) -> list[str]:
        """The lines without colour."""
        cells = "".join(self.glyph(index) for index in range(len(self.layers)))
        return [cells[at : at + self.columns] for at in range(0, len(cells), self.columns)]


def layers_of(filesystem: Filesystem) -> dict[Layer, Extents]:
    """What the picture of ``filesystem`` is drawn from. Raises FilesystemDamaged."""
    used = filesystem.allocated()
    system = Extents.union(area.extents for area in filesystem.system_areas())
    if not isinstance(filesystem, FilesystemEditor):
        return {Layer.USED: used - system, Layer.SYSTEM: system}
    container = Extents.union(claim.runs.extents() for claim in filesystem.claims()) - system
    bad = filesystem.immovable() - used - system
    return {
        Layer.USED: used - system - container,
        Layer.SYSTEM: system,
        Layer.CONTAINER: container,
        Layer.BAD: bad,
    }


def draw(layers: dict[Layer, Extents], size: int, *, columns: int, lines: int) -> Picture:
    """The picture of a partition of ``size`` bytes in at most ``columns`` x ``lines`` cells of equal size.

    ``layers`` are disjoint. A cell shows the one that fills most of it; bad clusters show in any quantity.
    """
    columns = max(1, columns)
    cell = max(align_up(-(-size // (columns * max(1, lines))), 512), 512)
    edges = np.minimum(np.arange(-(-size // cell) + 1, dtype=np.int64) * cell, size)
    filled = np.stack([_filled(layers.get(layer, Extents()), edges) for layer in Layer])
    busy = filled.sum(axis=0)
    ranks = len(Layer) - 1 - filled[::-1].argmax(axis=0)
    ranks[busy == 0] = _RANK[Layer.FREE]
    ranks[filled[_RANK[Layer.BAD]] > 0] = _RANK[Layer.BAD]
    every = tuple(Layer)
    widths = np.maximum(np.diff(edges), 1)
    return Picture(columns, cell, busy / widths, tuple(every[rank] for rank in ranks.tolist()), _legend(layers, size))


def _filled(extents: Extents, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes of the set in each interval between ``edges``."""
    if not extents:
        return np.zeros(len(edges) - 1, dtype=np.int64)
    starts, ends = extents.array[:, 0], extents.array[:, 1]
    before = np.concatenate([[0], np.cumsum(ends - starts)])
    index = np.searchsorted(starts, edges, side="right")
    last = np.maximum(index - 1, 0)
    partial = np.where(index > 0, np.minimum(edges, ends[last]) - starts[last], 0)
    return np.diff(np.where(index > 0, before[last] + partial, 0))


def _legend(layers: dict[Layer, Extents], size: int) -> tuple[Legend, ...]:
    totals = {layer: extents.clip(0, size).total for layer, extents in layers.items()}
    totals[Layer.FREE] = size - sum(totals.values())
    return tuple(Legend(layer, totals[layer]) for layer in Layer if totals.get(layer))
