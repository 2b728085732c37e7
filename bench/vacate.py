"""Measures vacating 1 GiB of files on ext4 against ``cp`` and ``fsync`` of 1 GiB: vacate.py [FOLDER] [--rounds N].

With ``--move PARTITION`` it is the process that is measured: it empties the end of a partition that holds 1 GiB.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from inpart.extents import Extents
from inpart.transaction import Transaction
from inpart.volume import Access, FileVolume
from inpart_ext.editor import ExtEditor

GIB = 1 << 30
SIZES = (20_000, 200_000, 1 << 20, 8 << 20)


def make(path: Path) -> None:
    """An ext4 partition of 4 GiB, its lower half nearly empty and its upper half full of files of ``SIZES``."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        noise, total, count = os.urandom(9 << 20), 0, 0
        while total < 3.4 * GIB:
            size = SIZES[count % len(SIZES)]
            Path(folder, f"file{count}").write_bytes(noise[count % 4096 : count % 4096 + size])
            total, count = total + size, count + 1
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", folder, path, "4G"], check=True)
    with FileVolume(path) as volume:
        filesystem = ExtEditor(volume)
        files = [entry.path for entry in filesystem.list("/") if entry.path.startswith("/file")]
        low = [file for file in files if filesystem.runs(file).extents().end < 2 * GIB]
    commands = "".join(f"rm {file}\n" for file in low)
    subprocess.run(["debugfs", "-w", "-f", "-", path], input=commands.encode(), check=True, capture_output=True)


def move(path: Path) -> None:
    """Empty the end of the partition from the place on behind which 1 GiB is in use."""
    with FileVolume(path, access=Access.WRITE) as volume:
        filesystem = ExtEditor(volume)
        used = (filesystem.allocated() - filesystem.immovable()).array[::-1]
        last = min(int(np.searchsorted(np.cumsum(used[:, 1] - used[:, 0]), GIB)), len(used) - 1)
        region, remaining = Extents.span(int(used[last, 0]), filesystem.info.data_end), 1
        while remaining:
            tx = Transaction(volume)
            remaining = ExtEditor(tx.view).vacate(region, tx, avoid=Extents()).remaining
            tx.commit(None)


def timed(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def measure(folder: Path, rounds: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partition, work, plain = folder / "vacate.img", folder / "work.img", folder / "plain.bin"
    if not partition.exists():
        make(partition)
    plain.write_bytes(os.urandom(GIB))
    moved, copied = [], []
    for _ in range(rounds):
        subprocess.run(["cp", "--sparse=never", partition, work], check=True)
        subprocess.run(["sync"], check=True)
        moved.append(timed(sys.executable, __file__, "--move", str(work)))
        subprocess.run(["e2fsck", "-fn", work], check=True, capture_output=True)
        work.unlink()
        subprocess.run(["sync"], check=True)
        copied.append(timed("sh", "-c", f"cp {plain} {work} && sync {work}"))
        work.unlink()
    plain.unlink()
    for name, seconds in (("vacating 1 GiB", moved), ("cp and fsync of 1 GiB", copied)):
        print(f"{name}: {statistics.median(seconds):.2f} s ({' '.join(f'{second:.2f}' for second in seconds)})")
    print(f"ratio {statistics.median(moved) / statistics.median(copied):.2f}, wanted <= 2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()) / "inpart-bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--move", type=Path)
    options = parser.parse_args()
    if options.move is not None:
        move(options.move)
    else:
        measure(options.folder, options.rounds)


if __name__ == "__main__":
    main()
