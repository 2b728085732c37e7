"""How large an image will be, found from a sample of the partition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inpart.contracts import Encoding
from inpart.extents import Extents
from inpart.volume import Volume

SAMPLES = 24
SAMPLE_SIZE = 256 * 1024
_FIXED = 64 * 1024
_PER_CHUNK = 256
_PER_RUN = 16
_MARGIN = 1.10


@dataclass(frozen=True)
class Estimate:
    """Sizes in bytes. ``upper`` holds if nothing can be compressed; ``expected`` comes from a sample."""

    image_bytes: int
    expected: int
    upper: int


def estimate_stream(view: Volume, used: Extents, encoding: Encoding, chunk_size: int) -> Estimate:
    """Encode a sample of ``used`` and extrapolate, with a margin of a tenth (S96, S97)."""
    total = used.total
    chunks = len(np.unique(used.split(chunk_size)[:, 0] // chunk_size))
    overhead = _FIXED + chunks * _PER_CHUNK + len(used) * _PER_RUN
    ratio = _sample_ratio(view, used, encoding, chunk_size) if total else 0.0
    expected = int(total * min(1.0, ratio * _MARGIN)) + overhead
    return Estimate(total, min(expected, total + overhead), total + overhead)


def _sample_ratio(view: Volume, used: Extents, encoding: Encoding, chunk_size: int) -> float:
    """Encoded size over plain size of evenly spread samples; everything if it is not more than they would be."""
    pieces = used.split(SAMPLE_SIZE)
    chosen = np.unique(np.linspace(0, len(pieces) - 1, SAMPLES).astype(np.int64))
    plain = b"".join(view.read(start, end - start) for start, end in pieces[chosen].tolist())
    together = len(plain) if chunk_size > SAMPLE_SIZE else chunk_size
    encoded = sum(len(encoding.encode(plain[at : at + together])) for at in range(0, len(plain), together))
    return min(1.0, encoded / len(plain))
