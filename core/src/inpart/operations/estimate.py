"""How large an image will be, found from a sample of the partition."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inpart.checksums import blake3_digest
from inpart.contracts import Encoding
from inpart.extents import Extents, Runs
from inpart.image import ImageReader, default_chunk_size
from inpart.operations.selection import Selection
from inpart.volume import RunsVolume, Volume

SAMPLES = 64
SAMPLE_SIZE = 64 * 1024
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

    def likely(self) -> Estimate:
        """The same with room for an eighth of the used bytes more than expected: enough unless the sample misleads."""
        return replace(self, upper=min(self.upper, self.expected + self.image_bytes // 8))

    def kept_small(self, selection: Selection) -> Estimate:
        """What room is to be kept for an image inside the partition that it is made of.

        Of all sectors those where the image goes are left out: room for the worst case would leave out nearly all
        that is free.
        """
        upper = min(self.upper, self.expected + self.expected // 4)
        return replace(self, upper=upper) if selection.all_sectors else self


def estimate_stream(view: Volume, used: Extents, encoding: Encoding, parent: ImageReader | None = None) -> Estimate:
    """Encode a sample of ``used`` and extrapolate, with a margin of a tenth (S96, S97).

    With ``parent`` a sample of the chunks is compared with that image, because only what differs is stored.
    """
    chunk_size = parent.chunk_size if parent else default_chunk_size(view.size, used)
    total = used.total
    numbers = np.unique(used.split(chunk_size)[:, 0] // chunk_size)
    overhead = _FIXED + len(numbers) * _PER_CHUNK + len(used) * _PER_RUN
    share = _sample_ratio(view, used, encoding, chunk_size) * _MARGIN if total else 0.0
    if parent and total:
        share *= _changed_share(view, used, numbers, parent)
    expected = int(total * min(1.0, share)) + overhead
    return Estimate(total, expected, total + overhead)


def _sample_ratio(view: Volume, used: Extents, encoding: Encoding, chunk_size: int) -> float:
    """Encoded size over plain size of evenly spread samples; everything if it is not more than they would be."""
    plain = _along(view, used)
    size = min(SAMPLE_SIZE, max(1, plain.size // SAMPLES))
    starts = np.linspace(0, plain.size - size, SAMPLES).astype(np.int64)
    sample = b"".join(plain.read(start, size) for start in np.unique(starts).tolist())
    encoded = sum(len(encoding.encode(sample[at : at + chunk_size])) for at in range(0, len(sample), chunk_size))
    return min(1.0, encoded / len(sample))


def _changed_share(view: Volume, used: Extents, numbers: NDArray[np.int64], parent: ImageReader) -> float:
    """The share of the used bytes that lies in chunks other than the parent's; of a sample two more are counted."""
    chosen = numbers[np.unique(np.linspace(0, len(numbers) - 1, SAMPLES).astype(np.int64))]
    seen = changed = 0
    for number in chosen.tolist():
        runs = used.clip(number * parent.chunk_size, (number + 1) * parent.chunk_size)
        seen += runs.total
        plain = _along(view, runs)
        if not parent.has_same(number, runs, blake3_digest(plain.read(0, plain.size))):
            changed += runs.total
    unseen = 0 if len(chosen) == len(numbers) else 2 * seen / len(chosen)
    return min(1.0, (changed + unseen) / seen)


def _along(view: Volume, extents: Extents) -> Volume:
    """The bytes of ``extents``, one after the other."""
    return RunsVolume(view, Runs(np.stack([extents.array[:, 0], np.diff(extents.array)[:, 0]], axis=1)))
