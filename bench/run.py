"""Measures inpart against its peers and zstd in memory: run.py [FOLDER] [--rounds N] [--filesystem fat32|ext4|ntfs].

FOLDER keeps the partition between runs (default: inpart-bench in the folder for temporary files, needs 14 GiB there).
Prints Markdown for bench/README.md. Every measurement is made once per round, in turn; the table has medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
INPART = str(Path(sys.executable).parent / "inpart")
GIB = 1 << 30


@dataclass(frozen=True)
class Peer:
    """What others use: how it writes ``{image}`` to a pipe and ``{target}`` from one, and how much faster to be."""

    name: str
    create: str
    restore: str
    creates: float = 2.5
    restores: float = 3.0


def partclone(kind: str) -> Peer:
    program = f"partclone.{kind}"
    return Peer(
        "partclone",
        f"{program} -c -s {{image}} -o - -L /dev/null -F 2>/dev/null",
        f"{program} -r -s - -O {{target}} -L /dev/null -F -C 2>/dev/null",
    )


NTFSCLONE = Peer("ntfsclone", "ntfsclone -q -s -O - {image}", "ntfsclone -q -r -O {target} - >/dev/null", 1.5, 1.5)
PEERS = {"fat32": partclone("fat"), "ext4": partclone("extfs"), "ntfs": NTFSCLONE}
"""By the name of the partition in FOLDER."""


@dataclass
class Samples:
    """All measurements of one kind: seconds, seconds of processor time, largest resident set in MiB, bytes written."""

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: int = 0
    size: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


class Bench:
    def __init__(self, folder: Path, filesystem: str) -> None:
        self.folder = folder
        self.partition = folder / f"{filesystem}.img"
        self.peer = PEERS[filesystem]
        self.samples: dict[str, Samples] = {}

    def run(self, name: str, command: str, made: Path | None = None) -> None:
        """Time one shell command; ``made`` is a file that it makes, removed before."""
        if made is not None:
            made.unlink(missing_ok=True)
        subprocess.run(["sync"], check=True)
        start = time.perf_counter()
        process = subprocess.Popen(["bash", "-o", "pipefail", "-c", command], cwd=self.folder)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status != 0:
            raise SystemExit(f"{name} failed: {command}")
        samples = self.samples.setdefault(name, Samples())
        samples.seconds.append(seconds)
        samples.processor.append(usage.ru_utime + usage.ru_stime)
        samples.memory = max(samples.memory, usage.ru_maxrss >> 10)
        samples.size = made.stat().st_blocks * 512 if made is not None else 0

    def in_memory(self) -> None:
        used = subprocess.run(
            [INPART, "map", str(self.partition), "--format", "json"], stdout=subprocess.PIPE, check=True
        ).stdout
        done = subprocess.run(
            [sys.executable, str(HERE / "in_memory.py"), str(self.partition)],
            input=used, stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        for name, result in json.loads(done.stdout).items():
            samples = self.samples.setdefault(f"zstd in memory, {name}", Samples())
            samples.seconds.append(result["seconds"])
            samples.size = int(result["bytes"])

    def round(self) -> None:
        stream, packed = self.folder / "image.ipi", self.folder / "image.pc.zst"
        target = self.folder / "restored.img"
        warm(self.partition)
        self.in_memory()
        create = f"{INPART} create {self.partition.name} --name bench --quiet --yes"
        self.run("create", f"{create} --verify none --to image.ipi >/dev/null", stream)
        peer = self.peer.create.format(image=self.partition.name)
        self.run("peer create", f"{peer} | zstd -q -T2 -3 -o image.pc.zst", packed)
        self.run("create, read back", f"{create} --to image.ipi >/dev/null", stream)
        restore = f"{INPART} restore image.ipi --to restored.img -q -y"
        warm(stream)
        self.run("restore", f"{restore} >/dev/null", target)
        self.run("restore, read back", f"{restore} --verify full >/dev/null", target)
        target.unlink()
        target.touch()
        os.truncate(target, self.partition.stat().st_size)
        warm(packed)
        peer = self.peer.restore.format(target=target.name)
        self.run("peer restore", f"zstd -q -dc image.pc.zst | {peer}")
        target.unlink()
        self.inside()

    def inside(self) -> None:
        """The same image inside a copy of the partition."""
        copy = self.folder / "inside.img"
        subprocess.run(["cp", "--sparse=always", str(self.partition), str(copy)], check=True)
        self.run("create inside", f"{INPART} create inside.img --name bench --verify none -q -y >/dev/null")
        copy.unlink()

    def scan(self) -> None:
        """A disk of 3 GiB without any image, searched, and read front to back; from the medium both times."""
        disk = self.folder / "disk.img"
        with disk.open("wb") as file:
            piece = os.urandom(64 << 20)
            for _ in range(48):
                file.write(piece)
        for name, command in (("read", "cat disk.img"), ("scan", f"{INPART} locate disk.img -q || [ $? -eq 10 ]")):
            subprocess.run(["sync"], check=True)
            subprocess.run(["dd", f"if={disk}", "iflag=nocache", "count=0", "status=none"], check=True)
            self.run(name, f"{command} >/dev/null 2>&1")
        disk.unlink()


def warm(path: Path) -> None:
    """Have the file in the page cache, as far as it fits, so that what reads it is measured and not the disk."""
    subprocess.run(["cat", str(path)], stdout=subprocess.DEVNULL, check=True)


def ratio(bench: Bench, left: str, right: str) -> float:
    return bench.samples[left].median / bench.samples[right].median


def report(bench: Bench, rounds: int) -> str:
    peer = bench.peer
    lines = [
        "| measured | seconds, median (all) | processor seconds | bytes written | peak memory |",
        "|---|---|---|---|---|",
    ]
    for name, samples in bench.samples.items():
        every = " ".join(f"{second:.2f}" for second in samples.seconds)
        size = f"{samples.size:,}" if samples.size else ""
        memory = f"{samples.memory} MiB" if samples.memory and "peer" not in name and name != "read" else ""
        processor = f"{statistics.median(samples.processor):.2f}" if samples.processor else ""
        lines.append(
            f"| {name.replace('peer', peer.name)} | {samples.median:.2f} ({every}) | {processor} | {size} | {memory} |"
        )
    sizes = bench.samples["create"].size / bench.samples["peer create"].size
    ratios = [
        (f"{peer.name} and zstd -T2 -3, over create", ratio(bench, "peer create", "create"), f">= {peer.creates}"),
        ("the same, over create with read back", ratio(bench, "peer create", "create, read back"), ""),
        (f"bytes: create over {peer.name} and zstd", sizes, "<= 1"),
        ("create over zstd in memory, its own threads", ratio(bench, "create", "zstd in memory, whole"), "<= 1.15"),
        ("create over zstd in memory, in pieces", ratio(bench, "create", "zstd in memory, pieces"), ""),
        (f"zstd and {peer.name} restore, over restore", ratio(bench, "peer restore", "restore"), f">= {peer.restores}"),
        ("create inside the partition over create to a file", ratio(bench, "create inside", "create"), "<= 1.2"),
        ("speed of the scan over that of reading", ratio(bench, "read", "scan"), ">= 0.8"),
    ]
    lines += ["", "| ratio | measured | wanted |", "|---|---|---|"]
    lines += [f"| {name} | {value:.3f} | {wanted} |" for name, value, wanted in ratios]
    when = datetime.now(UTC).date().isoformat()
    return f"{when}, {os.cpu_count()} processors, {memory_size()} of memory, {rounds} rounds\n\n" + "\n".join(lines)


def memory_size() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GIB:.0f} GiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()) / "inpart-bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--filesystem", choices=PEERS, default="fat32")
    options = parser.parse_args()
    bench = Bench(options.folder, options.filesystem)
    if not bench.partition.exists():
        subprocess.run([str(HERE / "make_partitions.sh"), str(options.folder)], check=True)
    for _ in range(options.rounds):
        bench.round()
        bench.scan()
    print(report(bench, options.rounds))


if __name__ == "__main__":
    main()
