"""A bounded pipeline of threads: one produces, a few work, the caller takes the results in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, TypeVar

WORKERS = 2

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(
    items: Iterator[T], work: Callable[[T], R], *, depth: int, workers: int = WORKERS
) -> Generator[R, None, None]:
    """``work(item)`` for each item, in the order of ``items``.

    ``items`` is advanced in a thread of its own and ``work`` runs in ``workers`` others; at most ``depth`` items are
    between production and the moment when the caller asks for the next result. An error in any of them is raised
    here. Closing the generator, which ``contextlib.closing`` does on an exception in the caller, stops all threads.
    """
    pipeline = _Pipeline(items, work, depth, workers)
    try:
        yield from pipeline.results()
    finally:
        pipeline.stop()


class _Pipeline(Generic[T, R]):
    def __init__(self, items: Iterator[T], work: Callable[[T], R], depth: int, workers: int) -> None:
        self._items = items
        self._work = work
        self._room = threading.Semaphore(depth)
        self._stopped = threading.Event()
        self._queue: SimpleQueue[Future[R] | None] = SimpleQueue()
        self._pool = ThreadPoolExecutor(workers + 1, thread_name_prefix="inpart")
        self._feeder = self._pool.submit(self._feed)

    def _feed(self) -> None:
        try:
            while self._wait_for_room():
                try:
                    item = next(self._items)
                except StopIteration:
                    break
                self._queue.put(self._pool.submit(self._work, item))
        finally:
            self._queue.put(None)

    def _wait_for_room(self) -> bool:
        self._room.acquire()
        return not self._stopped.is_set()

    def results(self) -> Iterator[R]:
        while (future := self._queue.get()) is not None:
            yield future.result()
            self._room.release()
        self._feeder.result()

    def stop(self) -> None:
        self._stopped.set()
        self._room.release()
        self._feeder.exception()
        self._pool.shutdown(cancel_futures=True)
