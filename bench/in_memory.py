"""What two threads of zstd level 3 need for bytes that lie in memory; prints one JSON object.

The bytes are the used ones of a partition: argument 1 is its file, standard input the output of
``inpart map --format json``. ``whole`` is zstd's own two threads over all bytes as one, ``pieces`` two threads with
a compressor each over pieces of 4 MiB.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import zstandard

LEVEL = 3
PIECE = 4 << 20


def used_bytes(path: Path, runs: list[tuple[int, int]]) -> bytes:
    with path.open("rb") as file:
        return b"".join(file.read(length) for start, length in runs if file.seek(start) == start)


def whole(data: bytes) -> int:
    return len(zstandard.ZstdCompressor(level=LEVEL, threads=2).compress(data))


def pieces(data: bytes) -> int:
    view = memoryview(data)

    def half(first: int) -> int:
        compressor = zstandard.ZstdCompressor(level=LEVEL)
        return sum(len(compressor.compress(view[at : at + PIECE])) for at in range(first * PIECE, len(view), 2 * PIECE))

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(half, (0, 1)))


def timed(work: Callable[[bytes], int], data: bytes) -> dict[str, float]:
    start = time.perf_counter()
    size = work(data)
    return {"seconds": time.perf_counter() - start, "bytes": size}


if __name__ == "__main__":
    content = used_bytes(Path(sys.argv[1]), json.load(sys.stdin)["used"])
    print(json.dumps({"whole": timed(whole, content), "pieces": timed(pieces, content)}))
