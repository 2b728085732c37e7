"""The reference tools of TinyFS: a maker and a checker that share nothing with the plugin."""

from __future__ import annotations

import random
import sys
import zlib
from pathlib import Path

CLUSTERS = 1001
CLUSTER_SIZE = 1024
DATA_START = 1024


def make_tinyfs(used: int, seed: int = 0) -> bytes:
    """A TinyFS with ``used`` random clusters full of random bytes."""
    chance = random.Random(seed)
    taken = set(chance.sample(range(CLUSTERS), used))
    bitmap = bytearray(-(-CLUSTERS // 8))
    for number in taken:
        bitmap[number // 8] |= 1 << number % 8
    numbers = [CLUSTER_SIZE, CLUSTERS, CLUSTERS - used]
    head = b"TINYFS\r\n" + b"".join(number.to_bytes(4, "little") for number in numbers) + b"EXAMPLE".ljust(16, b"\0")
    head += zlib.crc32(head).to_bytes(4, "little")
    data = b"".join(chance.randbytes(CLUSTER_SIZE) if n in taken else bytes(CLUSTER_SIZE) for n in range(CLUSTERS))
    return (head.ljust(512, b"\0") + bitmap).ljust(DATA_START, b"\0") + data


def check_tinyfs(image: bytes) -> list[str]:
    """What is wrong with a TinyFS, one line each."""
    if image[:8] != b"TINYFS\r\n" or zlib.crc32(image[:36]) != int.from_bytes(image[36:40], "little"):
        return ["bad header"]
    count, free = (int.from_bytes(image[at : at + 4], "little") for at in (12, 16))
    used = sum(image[512 + number // 8] >> number % 8 & 1 for number in range(count))
    return [] if used + free == count else [f"{used} used and {free} free clusters of {count}"]


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(make_tinyfs(used=400))
