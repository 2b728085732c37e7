"""Expanding deflated bytes of which nothing is certain."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from inpart.errors import IntegrityError
from inpart.inflate import inflate


@pytest.mark.parametrize("content", [b"", b"a", b"abc" * 1000])
def test_what_was_deflated_comes_back(content: bytes) -> None:
    assert inflate(zlib.compress(content), len(content), "it") == content


@pytest.mark.parametrize(
    ("stored", "size"),
    [
        (zlib.compress(b"abc"), 2),
        (zlib.compress(b"abc"), 4),
        (zlib.compress(bytes(range(256)))[:-20], 256),
        (b"not deflated at all", 3),
        (b"", 1),
    ],
)
def test_anything_else_is_named(stored: bytes, size: int) -> None:
    with pytest.raises(IntegrityError, match="the box is damaged: its compressed part"):
        inflate(stored, size, "the box")


def test_a_bomb_costs_no_memory() -> None:
    bomb = zlib.compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError):
            inflate(bomb, 1000, "it")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
