"""Sizes, alignment and checksums; the expected checksums are published test vectors."""

from __future__ import annotations

import pytest
from inpart.checksums import all_zero, blake3_digest, crc32c
from inpart.errors import UsageError
from inpart.units import align_down, align_up, format_size, is_power_of_two, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), (" 64K ", 65536), ("64kb", 65536), ("2GiB", 2 << 30), ("1m", 1 << 20), ("3 T", 3 << 40)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "-1", "1.5G", "1X", "0x10", "1 2", "٣", "9" * 5000])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (10 << 20, "10.0 MiB"),
        (100 << 20, "100 MiB"),
        ((1 << 30) - 1, "1.00 GiB"),
        (5 << 60, "5120 PiB"),
    ],
)
def test_sizes_are_written(size: int, text: str) -> None:
    assert format_size(size) == text


def test_alignment() -> None:
    assert [align_down(value, 8) for value in (0, 7, 8, 9)] == [0, 0, 8, 8]
    assert [align_up(value, 8) for value in (0, 1, 8, 9)] == [0, 8, 8, 16]
    assert [value for value in range(-2, 20) if is_power_of_two(value)] == [1, 2, 4, 8, 16]


def test_crc32c_of_the_vectors_in_rfc_3720() -> None:
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"56789", crc32c(b"1234")) == crc32c(b"123456789") == 0xE3069283


def test_blake3_of_the_published_vector() -> None:
    assert blake3_digest(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_all_zero() -> None:
    assert all_zero(b"")
    assert all_zero(bytearray(100_000))
    assert not all_zero(bytes(99_999) + b"\1")
    assert not all_zero(b"\1" + bytes(99_999))
