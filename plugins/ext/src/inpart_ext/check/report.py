"""How the check of ext writes findings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from inpart.contracts import ENOUGH, Finding, Reporter
from numpy.typing import NDArray

_REPORTER = Reporter("ext")
error = _REPORTER.error
warning = _REPORTER.warning
note = _REPORTER.note


def for_inodes(code: str, numbers: NDArray[np.int64], wrong: NDArray[np.bool_], message: str) -> Iterator[Finding]:
    """The same error for each of the inodes with ``numbers`` where ``wrong``."""
    for number in numbers[wrong][:ENOUGH].tolist():
        yield error(code, f"inode {number}", message)
