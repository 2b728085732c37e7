"""The hashes of names in htree directories: legacy, half MD4 and TEA, with signed or unsigned characters.

Source of facts: Linux, fs/ext4/hash.c, and the descriptions of TEA (Wheeler, Needham) and MD4 (RFC 1320).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEGACY, HALF_MD4, TEA, LEGACY_UNSIGNED, HALF_MD4_UNSIGNED, TEA_UNSIGNED = range(6)
UNSIGNED_HASH_FLAG = 0x0002
"""In s_flags: the first three hashes of the volume take characters as unsigned."""

_MASK = 0xFFFFFFFF
_SEED = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_EOF = 0x7FFFFFFF
_K2, _K3 = 0o13240474631, 0o15666365641
_DELTA = 0x9E3779B9


def name_hash(name: bytes, version: int, seed: Sequence[int]) -> int:
    """The major hash of a name, its lowest bit cleared; ``seed`` is s_hash_seed. Raises KeyError for other versions."""
    signed = version in (LEGACY, HALF_MD4, TEA)
    codes = [code - 256 if signed and code > 127 else code for code in name]
    if version in (LEGACY, LEGACY_UNSIGNED):
        value = _legacy(codes)
    else:
        start = list(seed) if any(seed) else list(_SEED)
        step, size = {HALF_MD4: (_half_md4, 32), TEA: (_tea, 16)}[version if signed else version - 3]
        for first in range(0, len(codes), size):
            start = step(start, _words(codes[first:], size))
        value = start[1] if size == 32 else start[0]
    value &= ~1 & _MASK
    return (_EOF - 1 << 1) & _MASK if value == (_EOF << 1) & _MASK else value


def name_hashes(names: Sequence[bytes], version: int, seed: Sequence[int]) -> NDArray[np.int64]:
    """``name_hash`` of many names, all at once but for the legacy hashes."""
    if version in (LEGACY, LEGACY_UNSIGNED):
        return np.array([name_hash(name, version, seed) for name in names], dtype=np.int64)
    step, size = (_half_md4, 32) if version in (HALF_MD4, HALF_MD4_UNSIGNED) else (_tea, 16)
    lengths = np.array([len(name) for name in names], dtype=np.int64)
    width = -(-int(lengths.max(initial=1)) // size) * size
    flat = np.frombuffer(b"".join(name.ljust(width, b"\0") for name in names), dtype=np.uint8)
    codes = flat.view(np.int8 if version in (HALF_MD4, TEA) else np.uint8).reshape(-1, width).astype(np.int64)
    state = [np.full(len(names), number, dtype=np.int64) for number in (seed if any(seed) else _SEED)]
    for first in range(0, width, size):
        left = lengths - first
        mixed = step(state, _word_columns(codes[:, first : first + size], left))
        state = [np.where(left > 0, new, old) for new, old in zip(mixed, state, strict=True)]
    value = state[1 if size == 32 else 0] & ~1 & _MASK
    return np.where(value == (_EOF << 1) & _MASK, (_EOF - 1 << 1) & _MASK, value)


def _word_columns(codes: NDArray[np.int64], left: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """``_words`` of many names, of which ``left`` characters are left: a column for each word."""
    words = []
    for place in range(0, codes.shape[1], 4):
        value = left * 0x01010101 & _MASK
        for index in range(place, place + 4):
            value = np.where(index < left, (codes[:, index] + (value << 8)) & _MASK, value)
        words.append(value)
    return words


def _legacy(codes: list[int]) -> int:
    hash0, hash1 = 0x12A3FE2D, 0x37ABE8F9
    for code in codes:
        value = (hash1 + (hash0 ^ (code * 7152373 & _MASK))) & _MASK
        if value & 0x80000000:
            value -= 0x7FFFFFFF
        hash1, hash0 = hash0, value
    return hash0 << 1 & _MASK


def _words(codes: list[int], size: int) -> list[int]:
    """The first ``size`` characters as words, padded with a word made of the length of what is left."""
    length = len(codes)
    pad = length * 0x01010101
    words: list[int] = []
    value = pad
    for index, code in enumerate(codes[:size]):
        value = (code + (value << 8)) & _MASK
        if index % 4 == 3:
            words.append(value)
            value = pad
    return [*words, value, *[pad] * (size // 4)][: size // 4]


def _rotated(value: Any, count: int) -> Any:
    return (value << count | value >> 32 - count) & _MASK


_Mix = Callable[[Any, Any, Any], Any]
"""On numbers, or on arrays of numbers."""


def _half_md4(state: list[Any], words: list[Any]) -> list[Any]:
    rounds: tuple[tuple[_Mix, int, tuple[int, ...], tuple[int, ...]], ...] = (
        (lambda x, y, z: z ^ x & (y ^ z), 0, (3, 7, 11, 19), (0, 1, 2, 3, 4, 5, 6, 7)),
        (lambda x, y, z: (x & y) + ((x ^ y) & z), _K2, (3, 5, 9, 13), (1, 3, 5, 7, 0, 2, 4, 6)),
        (lambda x, y, z: x ^ y ^ z, _K3, (3, 9, 11, 15), (3, 7, 2, 6, 1, 5, 0, 4)),
    )
    a, b, c, d = state
    for function, constant, shifts, order in rounds:
        for index, word in enumerate(order):
            mixed = (a + function(b, c, d) + words[word] + constant) & _MASK
            a, b, c, d = d, _rotated(mixed, shifts[index % 4]), b, c
    return [(old + new) & _MASK for old, new in zip(state, (a, b, c, d), strict=True)]


def _tea(state: list[Any], words: list[Any]) -> list[Any]:
    left, right, total = state[0], state[1], 0
    a, b, c, d = words
    for _ in range(16):
        total = (total + _DELTA) & _MASK
        left = (left + (((right << 4) + a) ^ (right + total) ^ ((right >> 5) + b))) & _MASK
        right = (right + (((left << 4) + c) ^ (left + total) ^ ((left >> 5) + d))) & _MASK
    return [(state[0] + left) & _MASK, (state[1] + right) & _MASK, *state[2:]]
