"""The entry point: answers ``--version`` at once and hands everything else to inpart.cli.app."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

from inpart import __version__

_INTERRUPTED = 130
_COLLECT_AFTER = 50_000
"""Objects between two looks for unreachable ones: with the usual 700 a tenth of the start goes into that."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        sys.stdout.write(f"inpart {__version__}\n")
        return
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # numpy would start threads for linear algebra, which is not used
    gc.set_threshold(_COLLECT_AFTER)
    try:
        from inpart.cli.app import run  # noqa: PLC0415 - the version must not wait for typer
    except KeyboardInterrupt:
        _say_interrupted(json="--json" in arguments)
        code = _INTERRUPTED
    else:
        code = run(arguments)
    if code == _INTERRUPTED:
        _leave_at_once()
    sys.exit(code)


def _say_interrupted(*, json: bool) -> None:
    """What ``run`` says of Ctrl-C, for one that comes while it is still being loaded."""
    sys.stderr.write("inpart: interrupted\n")
    if json:
        sys.stdout.write(
            '{"error": {"kind": "Interrupted", "exit_code": 130, "message": "interrupted", "hint": null}}\n'
        )


def _leave_at_once() -> None:
    """Everything is closed. A thread that was just being started when Ctrl-C came would be waited for for ever."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
