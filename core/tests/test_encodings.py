"""The built-in encodings, and choosing one by its text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.contracts import API_VERSION
from inpart.encodings import builtin_encodings
from inpart.errors import IntegrityError, UsageError
from inpart.image.writer import encoding_text
from inpart.plugins import Plugins

ALL = builtin_encodings()
PLUGINS = Plugins(encodings=ALL)


def test_ids_and_names_are_those_of_the_format() -> None:
    assert {number: encoding.name for number, encoding in PLUGINS.encodings_by_id.items()} == {1: "store", 2: "zstd"}
    assert all(encoding.api_version == API_VERSION and encoding.summary for encoding in ALL)


@pytest.mark.parametrize("text", ["store", "zstd:3", "zstd:22", "zstd:-7"])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.binary(max_size=5000))
def test_round_trip(text: str, data: bytes) -> None:
    encoding = PLUGINS.encoding(text)
    body = encoding.encode(memoryview(bytearray(data)))
    assert encoding.decode(memoryview(body), len(data)) == data
    for size in (len(data) + 1, len(data) - 1):
        with pytest.raises(IntegrityError):
            encoding.decode(body, size)


def _words(seed: int, size: int) -> bytes:
    """Eight letters each, from a vocabulary of 5000, some of them often."""
    generator = np.random.default_rng(seed)
    words = generator.integers(97, 123, (5000, 8), dtype=np.uint8)
    return words[generator.zipf(1.3, size // 8) % 5000].tobytes()


def _packed(seed: int, size: int) -> bytes:
    """What hardly shrinks any more: 56 bytes of noise behind each word."""
    rows = np.random.default_rng(seed).integers(0, 256, (size // 64, 64), dtype=np.uint8)
    rows[:, :8] = np.frombuffer(_words(seed, len(rows) * 8), dtype=np.uint8).reshape(-1, 8)
    return rows.tobytes()


def test_what_hardly_shrinks_is_packed_no_worse_by_less_work() -> None:
    twice = _packed(1, 3 << 19)
    for content in (_packed(2, 4 << 20), twice + _packed(3, 1 << 19) + twice):
        body = PLUGINS.encoding("zstd:3").encode(content)
        thorough = zstandard.ZstdCompressor(level=3).compress(content)
        assert body != thorough
        assert len(body) <= len(thorough) * 1.001
        assert PLUGINS.encoding("zstd").decode(body, len(content)) == content


@pytest.mark.parametrize(
    ("level", "content"),
    [
        (3, _words(1, 2 << 20)),
        (3, _words(1, 1 << 20) + _packed(1, 1 << 20)),
        (3, _packed(1, 1 << 19)),
        (9, _packed(1, 1 << 20)),
    ],
    ids=["shrinks", "half of it shrinks", "small", "another level"],
)
def test_all_else_is_packed_as_zstd_does_it(level: int, content: bytes) -> None:
    thorough = zstandard.ZstdCompressor(level=level).compress(content)
    assert PLUGINS.encoding(f"zstd:{level}").encode(content) == thorough


@pytest.mark.parametrize("level", [1, 3, 9])
def test_what_comes_twice_in_a_chunk_is_stored_once(level: int) -> None:
    """Level 3 by itself looks 2 MiB back."""
    once = _words(1, 1 << 20)
    content = once + bytes(range(256)) * (6 << 12) + once
    body = PLUGINS.encoding(f"zstd:{level}").encode(content)
    apart = zstandard.ZstdCompressor(level=level)
    assert len(body) < 1.2 * len(apart.compress(once))
    assert PLUGINS.encoding("zstd").decode(body, len(content)) == content


def test_what_zstd_refuses() -> None:
    encoding = PLUGINS.encoding("zstd")
    good = encoding.encode(b"x" * 1000)
    two = zstandard.ZstdCompressor().compress(b"x" * 500) + zstandard.ZstdCompressor().compress(b"x" * 500)
    dictionary = zstandard.ZstdCompressionDict(b"inpart" * 100, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    foreign = zstandard.ZstdCompressor(dict_data=dictionary).compress(b"inpart" * 100 + b"x" * 400)
    for bad in (b"", b"x", good[:-1], good[:4], good + b"\0", b"\0" * 50, two, foreign):
        with pytest.raises(IntegrityError):
            encoding.decode(bad, 1000)


def test_many_threads_use_one_encoding() -> None:
    encoding = PLUGINS.encoding("zstd:3")
    samples = [bytes([n]) * 10_000 + n.to_bytes(4, "big") * 500 for n in range(64)]
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(encoding.encode, samples * 4))
        assert list(pool.map(encoding.decode, bodies, [12_000] * 256)) == samples * 4


@pytest.mark.parametrize(
    ("text", "level"), [("zstd", "zstd:3"), ("zstd:", "zstd:3"), ("zstd:19", "zstd:19"), ("store", "store")]
)
def test_text_and_back(text: str, level: str) -> None:
    assert encoding_text(PLUGINS.encoding(text)) == level


@pytest.mark.parametrize("text", ["", "gzip", "zstd:x", "zstd:23", "zstd:-8", "store:1", "zstd:3+store", "ZSTD:3"])
def test_what_is_no_encoding(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        PLUGINS.encoding(text)
    assert raised.value.hint
