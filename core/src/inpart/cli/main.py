"""The entry point: answers ``--version`` at once and hands everything else to inpart.cli.app."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

from inpart import __version__
from inpart.cli.interrupts import INTERRUPTED, leave_at_once

_COLLECT_AFTER = 50_000
"""Objects between two looks for unreachable ones: with the usual 700 a tenth of the start goes into that."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    leave_at_once()
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        sys.stdout.write(f"inpart {__version__}\n")
        return
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # numpy would start threads for linear algebra, which is not used
    gc.set_threshold(_COLLECT_AFTER)
    from inpart.cli.app import run  # noqa: PLC0415 - the version must not wait for typer
    from inpart.cli.memory import return_large_blocks  # noqa: PLC0415 - nor for ctypes

    return_large_blocks()

    code = run(arguments)
    if code == INTERRUPTED:
        _end()
    sys.exit(code)


def _end() -> None:
    """Everything is closed. A thread that was just being started when Ctrl-C came would be waited for for ever."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
