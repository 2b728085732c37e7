"""The compact form of extents in frames and in the index: gaps and lengths as LEB128 numbers.

One byte ``shift``, then for each run two unsigned LEB128 numbers: the gap since the end of the run before (since
``base`` for the first one) and the length, both in units of ``1 << shift`` bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inpart.errors import IntegrityError
from inpart.extents import Extents, Pairs

MAX_SHIFT = 30
MAX_DIGITS = 9
_WINDOW = 1 << 20


def encode_extents(extents: Extents, base: int = 0) -> bytes:
    """The compact form of ``extents``, which lie at or above ``base``."""
    flat = extents.array.ravel()
    steps = np.diff(flat, prepend=base)
    combined = int(np.bitwise_or.reduce(steps)) if len(steps) else 1
    shift = min((combined & -combined).bit_length() - 1, MAX_SHIFT)
    parts = [bytes([shift])]
    for start in range(0, len(steps), _WINDOW):
        parts.append(_encode_numbers(steps[start : start + _WINDOW] >> shift))
    return b"".join(parts)


def decode_extents(data: bytes | memoryview, base: int, end: int, *, max_runs: int) -> Extents:
    """The extents coded in ``data``, all of them in ``[base, end)`` and at most ``max_runs``. Raises IntegrityError."""
    raw = np.frombuffer(data, dtype=np.uint8)
    if not len(raw) or raw[0] > MAX_SHIFT:
        raise _broken("have no valid shift")
    shift, raw = int(raw[0]), raw[1:]
    count = int(np.count_nonzero(raw < 0x80))
    if count % 2 or (len(raw) and raw[-1] >= 0x80):
        raise _broken("end inside a run")
    if count > 2 * max_runs:
        raise _broken(f"are {count // 2} where at most {max_runs} can be")
    points: NDArray[np.int64] = np.empty(count, dtype=np.int64)
    _decode_numbers(raw, points, (end - base) >> shift)
    if (points[1:] == 0).any():
        raise _broken("overlap or touch")
    np.cumsum(points, out=points)
    points <<= shift
    points += base
    if count and int(points[-1]) > end:
        raise _broken(f"end at {int(points[-1])}, beyond {end}")
    return Extents(points.reshape(-1, 2))


def _encode_numbers(values: Pairs) -> bytes:
    digits = np.ones(len(values), dtype=np.int64)
    for place in range(1, MAX_DIGITS):
        digits += values >= (1 << (7 * place))
    starts = np.cumsum(digits) - digits
    out = np.zeros(int(digits.sum()), dtype=np.uint8)
    for place in range(int(digits.max())):
        there = digits > place
        more = (digits[there] > place + 1).astype(np.uint8) << 7
        out[starts[there] + place] = ((values[there] >> (7 * place)) & 0x7F).astype(np.uint8) | more
    return out.tobytes()


def _decode_numbers(raw: NDArray[np.uint8], out: NDArray[np.int64], limit: int) -> None:
    """Fill ``out``; every number, and the sum of all, is at most ``limit``."""
    done = at = total = 0
    while done < len(out):
        window = raw[at : at + _WINDOW]
        lasts = np.flatnonzero(window < 0x80)
        if not len(lasts):
            raise _broken("have a number that is too long")
        starts = np.concatenate([[0], lasts[:-1] + 1])
        digits = lasts - starts + 1
        if int(digits.max()) > MAX_DIGITS:
            raise _broken("have a number that is too long")
        values = np.zeros(len(lasts), dtype=np.int64)
        for place in range(int(digits.max())):
            there = digits > place
            values[there] |= (window[starts[there] + place].astype(np.int64) & 0x7F) << (7 * place)
        if int(values.max()) > limit or total + float(values.sum(dtype=np.float64)) > 2.0 * limit + 1:
            raise _broken("reach beyond their end")
        total += int(values.sum())
        if total > limit:
            raise _broken("reach beyond their end")
        out[done : done + len(values)] = values
        done += len(values)
        at += int(lasts[-1]) + 1


def _broken(what: str) -> IntegrityError:
    return IntegrityError(f"coded runs of used bytes {what}", hint="the image is damaged here; verify names the chunk")
