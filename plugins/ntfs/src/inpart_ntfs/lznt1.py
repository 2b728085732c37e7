"""LZNT1, the compression of NTFS files: chunks of 4 KiB, each stored plain or as literals and back references."""

from __future__ import annotations

from inpart.errors import FilesystemDamaged

CHUNK = 4096
"""Bytes that a chunk holds once it is decompressed; only the last one may hold fewer."""
_COMPRESSED = 0x8000
_LENGTH = 0x0FFF
_LEAST_MATCH = 3


def _shifts() -> tuple[int, ...]:
    """For each position in a chunk: how many low bits of a back reference are its length."""
    return tuple(16 - max(4, (position - 1).bit_length()) for position in range(CHUNK))


_SHIFTS = _shifts()


def decompress(data: bytes, size: int) -> bytes:
    """The ``size`` bytes of a compression unit; what its chunks leave out is zeros.

    Raises FilesystemDamaged when a chunk reaches outside of ``data``, outside of itself, or holds more than it may.
    """
    found = bytearray()
    at = 0
    while at + 2 <= len(data) and len(found) < size:
        header = int.from_bytes(data[at : at + 2], "little")
        if not header:
            break
        start, at = at + 2, at + 3 + (header & _LENGTH)
        if at > len(data):
            raise _damaged(start, "a chunk reaches beyond the end of the unit")
        chunk = _expand(data, start, at) if header & _COMPRESSED else data[start:at]
        if len(chunk) > CHUNK:
            raise _damaged(start, "a chunk holds more than 4096 bytes")
        found += chunk
        if len(chunk) < CHUNK:
            found += bytes(CHUNK - len(chunk))
    return bytes(found[:size].ljust(size, b"\0"))


def _expand(data: bytes, at: int, end: int) -> bytearray:
    """One compressed chunk, ``data[at:end]``, at most eight matches longer than it may be."""
    found = bytearray()
    while at < end and len(found) <= CHUNK:
        tags = data[at]
        at += 1
        if not tags:
            found += data[at : min(at + 8, end)]
            at += 8
            continue
        for _ in range(8):
            if at >= end:
                break
            if tags & 1:
                _copy(found, data, at, end)
                at += 2
            else:
                found.append(data[at])
                at += 1
            tags >>= 1
    return found


def _copy(found: bytearray, data: bytes, at: int, end: int) -> None:
    """Append what a back reference names; it may overlap what it makes."""
    position = len(found)
    if at + 2 > end:
        raise _damaged(at, "a back reference is cut off")
    if not 0 < position < CHUNK:
        raise _damaged(at, "a back reference stands where there can be none")
    token = data[at] | data[at + 1] << 8
    shift = _SHIFTS[position]
    distance, length = (token >> shift) + 1, (token & ((1 << shift) - 1)) + _LEAST_MATCH
    if distance > position:
        raise _damaged(at, "a back reference reaches before its chunk")
    start = position - distance
    if distance >= length:
        found += found[start : start + length]
    else:
        found += (found[start:] * (length // distance + 1))[:length]


def _damaged(place: int, what: str) -> FilesystemDamaged:
    return FilesystemDamaged(
        f"compressed data are damaged: {what} (byte {place} of the unit)",
        hint="the rest of the file system is not affected; an image may still have the file",
    )
