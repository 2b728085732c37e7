"""The pipeline of threads: order, bounds, errors from every place, cancelling."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from image_samples import content, manifest
from inpart.encodings.zstd import ZstdEncoding
from inpart.errors import NoSpace, VolumeError
from inpart.extents import Extents
from inpart.image import ordered_map, write_image
from inpart.testing.faults import FaultyVolume
from inpart.volume import Buffer, MemoryVolume


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("inpart")}


@pytest.fixture(autouse=True)
def _no_thread_stays_behind() -> Iterator[None]:
    yield
    assert threads() == set()


def test_results_come_in_order_whatever_takes_how_long() -> None:
    def work(item: int) -> int:
        time.sleep(0.004 if item % 5 == 0 else 0)
        return item * item

    with closing(ordered_map(iter(range(60)), work, depth=4)) as results:
        assert list(results) == [n * n for n in range(60)]


def test_nothing_to_do() -> None:
    assert list(ordered_map(iter(()), str, depth=2)) == []


def test_no_more_than_depth_are_under_way() -> None:
    produced: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            produced.append(number)
            yield number

    with closing(ordered_map(items(), lambda item: item, depth=3)) as results:
        for done in results:
            time.sleep(0.002)
            assert produced[-1] - done <= 3


@pytest.mark.parametrize("at", [0, 1, 17])
def test_an_error_of_the_producer_comes_after_what_it_produced(at: int) -> None:
    def items() -> Iterator[int]:
        yield from range(at)
        raise VolumeError("cannot read")

    seen: list[int] = []
    with pytest.raises(VolumeError, match="cannot read"), closing(ordered_map(items(), int, depth=4)) as results:
        seen.extend(results)
    assert seen == list(range(at))


def test_an_error_of_a_worker_stops_the_producer() -> None:
    produced: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            produced.append(number)
            yield number

    def work(item: int) -> int:
        if item == 7:
            raise NoSpace("full")
        return item

    with pytest.raises(NoSpace, match="full"), closing(ordered_map(items(), work, depth=4)) as results:
        list(results)
    assert len(produced) < 16


@pytest.mark.parametrize("error", [KeyboardInterrupt, NoSpace])
def test_an_error_of_the_consumer_stops_all(error: type[BaseException]) -> None:
    def consume() -> None:
        with closing(ordered_map(iter(range(10_000)), int, depth=4)) as results:
            for number in results:
                if number == 5:
                    raise error("stop")

    with pytest.raises(error):
        consume()


class Sink:
    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, data: Buffer) -> None:
        self.room -= len(data)
        if self.room < 0:
            raise NoSpace("the sink is full")


def test_writing_stops_at_the_first_error_of_source_encoding_or_sink() -> None:
    data = content(1 << 20, 8)
    used = Extents.span(0, len(data))

    class Refusing(ZstdEncoding):
        def encode(self, data: Buffer) -> bytes:
            if len(data) == 65536:
                raise NoSpace("no key")
            return super().encode(data)

    cases = [
        (MemoryVolume(data), ZstdEncoding(), Sink(300_000), "the sink is full"),
        (FaultyVolume(MemoryVolume(data), ends_at=500_000), ZstdEncoding(), Sink(1 << 30), "Input/output error"),
        (MemoryVolume(data), Refusing(), Sink(1 << 30), "no key"),
    ]
    for volume, encoding, sink, message in cases:
        with pytest.raises((NoSpace, VolumeError), match=message):
            write_image(volume, used, sink, manifest(), encoding=encoding, chunk_size=65536)


INTERRUPTED = """
import os, signal, threading
from inpart.image import ordered_map
def items():
    number = 0
    while True:
        yield number
        number += 1
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    for _ in ordered_map(items(), lambda item: item, depth=4):
        pass
except KeyboardInterrupt:
    print("stopped", threading.active_count())
"""


def test_ctrl_c_stops_it_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split()[0] == "stopped"


MEMORY = """
import sys
import numpy as np
sys.path.insert(0, {tests!r})
from image_samples import ENCODINGS, manifest
from inpart.extents import Extents
from inpart.image import ImageReader, ImageVolume, write_image
from inpart.volume import MemoryVolume, ReadOnlyVolume

class Synthetic(ReadOnlyVolume):
    name, size = "synthetic", 512 << 20
    pattern = np.random.default_rng(1).integers(0, 255, 16 << 20, dtype=np.uint8)
    def readinto(self, offset, buffer):
        buffer[:] = self.pattern[offset % (1 << 20):][:len(buffer)]

def peak():
    # ru_maxrss would begin with the size of the process that started this one
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) >> 10

class Forgetful:
    count = 0
    def __call__(self, data):
        self.count += len(data)

source = Synthetic()
before = peak()
for chunk_size in (4 << 20, 16 << 20):
    used = Extents.span(0, source.size)
    write_image(source, used, Forgetful(), manifest(), encoding=ENCODINGS[2], chunk_size=chunk_size)
    print(chunk_size >> 20, peak() - before, peak())
"""


def test_memory_is_bounded() -> None:
    script = MEMORY.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    rows = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [4, 16]
    assert rows[0][1] <= 100
    assert rows[1][2] <= 256
