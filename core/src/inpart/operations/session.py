"""What every operation is given: the plugins, the policy, and how to talk to the user."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from inpart.contracts import LayoutOptions
from inpart.errors import Interrupted
from inpart.plugins import Plugins
from inpart.units import MIB


class Progress(Protocol):
    """Shows how far a long piece of work is."""

    def phase(self, name: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """A piece of work of ``total`` bytes; the result is called with the bytes done since the last call."""


class QuietProgress:
    """Shows nothing."""

    @contextmanager
    def phase(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A phase that nobody sees."""
        yield _ignore


def _ignore(_: int) -> None:
    """Progress that nobody sees."""


@dataclass(frozen=True)
class Policy:
    """The choices of an integrator; sizes in bytes.

    ``min_free`` is what a create leaves to the user, None for 1 % of the partition and at most 64 MiB. ``verify`` says
    how much is read back after writing: ``none``, ``stored`` (every stored byte against its checksum) or ``full``
    (decoded as well).
    """

    layout: str = "contiguous"
    options: LayoutOptions = field(default_factory=LayoutOptions)
    encoding: str = "zstd:3"
    min_free: int | None = None
    verify: str = "stored"
    aids: tuple[str, ...] = ()

    def reserve(self, partition_size: int) -> int:
        """Bytes that stay free for the user on a partition of this size."""
        return min(partition_size // 100, 64 * MIB) if self.min_free is None else self.min_free


def _agree(_: str) -> bool:
    """An answer for callers that asked beforehand."""
    return True


@dataclass
class Session:
    """Plugins, policy and the ways to reach the user; one per run of a command or per use of the library.

    ``aids`` are recovery aids to search with, as ``KIND:TARGET``, beside those of the policy.
    """

    plugins: Plugins
    policy: Policy = field(default_factory=Policy)
    progress: Progress = field(default_factory=QuietProgress)
    confirm: Callable[[str], bool] = _agree
    warn: Callable[[str], None] = lambda _: None
    filesystem: str | None = None
    aids: tuple[str, ...] = ()

    def ask(self, question: str) -> None:
        """Go on only if the user agrees. Raises Interrupted."""
        if not self.confirm(question):
            raise Interrupted("stopped: not confirmed; nothing was written")


_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterruptible() -> Iterator[None]:
    """Put Ctrl-C and its like off until the block has ended: a commit is short, never half-done by choice.

    Signals that are ignored, or that Python does not handle, are left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    handlers = {number: signal.getsignal(number) for number in _STOPPING}
    handled = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handled:
        signal.signal(number, lambda got, _: pending.append(got))
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
    if pending:
        raise KeyboardInterrupt
