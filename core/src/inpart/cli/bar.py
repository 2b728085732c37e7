"""The progress bar of a terminal, drawn by rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars

_WIDE = 80
"""Columns of a terminal on which bytes and rate have room, too."""


class BarProgress:
    """A bar for each phase that is under way, with rate and remaining time."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    @contextmanager
    def phase(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Draw one piece of work."""
        columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(None)]
        if self._console.width >= _WIDE:
            columns += [DownloadColumn(binary_units=True), TransferSpeedColumn()]
        bars = Bars(*columns, TimeRemainingColumn(), console=self._console, transient=True)
        with bars:
            task = bars.add_task(name, total=total)
            yield lambda count: bars.advance(task, count)
