"""Runs of data blocks as rows of a table: what continues is joined, what is there twice is left out."""

from __future__ import annotations

import numpy as np
from inpart_storage_blocks.pieces import PIECE, Pieces, groups, merged
from inpart_storage_blocks.structs import MAX_SEQUENCE

BLOCK = 4096


def made(*rows: tuple[int, int, int, int]) -> Pieces:
    """Pieces of (image, sequence, count, number of the block at which it lies)."""
    pieces = np.zeros(len(rows), dtype=PIECE)
    for piece, (image, sequence, count, place) in zip(pieces, rows, strict=True):
        piece["image"], piece["block"] = (image, 0), BLOCK
        piece["sequence"], piece["count"], piece["place"] = sequence, count, place * BLOCK
    return pieces


def shown(pieces: Pieces) -> list[tuple[int, int, int, int]]:
    return [
        (int(piece["image"][0]), int(piece["sequence"]), int(piece["count"]), int(piece["place"]) // BLOCK)
        for piece in pieces
    ]


def test_what_continues_on_the_medium_is_one() -> None:
    pieces = merged(made((1, 4, 4, 104), (1, 0, 4, 100), (1, 8, 2, 500), (2, 10, 1, 502)))
    assert shown(pieces) == [(1, 0, 8, 100), (1, 8, 2, 500), (2, 10, 1, 502)]
    assert [len(group) for group in groups(pieces)] == [2, 1]


def test_a_block_that_is_there_twice_counts_once() -> None:
    pieces = merged(made((1, 0, 10, 100), (1, 2, 3, 300), (1, 9, 3, 400), (1, 10, 4, 600), (2, 5, 1, 700)))
    assert shown(pieces) == [(1, 0, 10, 100), (1, 10, 2, 401), (1, 12, 2, 602), (2, 5, 1, 700)]


def test_forged_numbers_hide_no_double() -> None:
    """Among many images, one with the highest number that a header can have."""
    images = [(image, sequence, 10, 1000 * image + 20 * sequence) for image in range(200) for sequence in (0, 9)]
    pieces = merged(made(*images, (500, MAX_SEQUENCE - 1, 1, 1)))
    kept = [row for image in range(200) for row in ((image, 0, 10), (image, 10, 9))]
    assert [row[:3] for row in shown(pieces)] == [*kept, (500, MAX_SEQUENCE - 1, 1)]
